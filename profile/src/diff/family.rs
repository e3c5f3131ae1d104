//! What is asked of a comparison: the sums that are looked at, all of them together one family of questions.

use std::collections::HashMap;

use super::{
    options::Per,
    side::{Side, Sums},
};

/// Of the functions that took most. What is asked beyond is not worth the time that it takes to draw chance for it.
const MAX_MEMBERS: usize = 1000;
/// From this share on, in percent, a sum is all there is: its share cannot change, and what it takes by second or request
/// is a question of its own.
const WHOLE_PERCENT: f64 = 99.9;

/// A function of either side.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) module: Option<String>,
    /// Its position in the functions of the baseline and of the comparison.
    pub(super) at: [Option<usize>; 2],
    /// What it took on both.
    pub(super) sums: [Sums; 2],
    /// The positions of its questions in [`Family::members`].
    pub(super) own: Option<usize>,
    pub(super) total: Option<usize>,
}

/// One question: has this sum changed?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Member {
    /// What a function took itself, by position in [`Family::rows`].
    Own(usize),
    /// With all that it called.
    Total(usize),
    /// What everything took.
    Whole,
}

/// The functions that matter, and the questions.
#[derive(Debug, Clone)]
pub(super) struct Family {
    pub(super) rows: Vec<Row>,
    pub(super) members: Vec<Member>,
    pub(super) totals: [f64; 2],
}

impl Family {
    pub(super) fn new(baseline: &Side, comparison: &Side, min_share_percent: f64, per: Per) -> Self {
        let totals = [baseline, comparison].map(Side::total);
        // Of both sides together: whichever side has more, the questions are the same, and chance chooses none of them.
        let share = |sums: &[Sums; 2], of: fn(&Sums) -> f64| -> f64 {
            sums.iter().zip(totals).map(|(sums, total)| 100.0 * of(sums) / total).sum()
        };
        let mut rows: Vec<Row> = rows(baseline, comparison);
        rows.retain(|row| share(&row.sums, |sums| sums.total) >= min_share_percent);
        let weight =
            |row: &Row| row.sums.iter().zip(totals).map(|(sums, total)| sums.total / total).sum::<f64>();
        rows.sort_by(|a, b| weight(b).total_cmp(&weight(a)).then_with(|| a.name.cmp(&b.name)));
        let mut members = Vec::new();
        if per != Per::Share {
            members.push(Member::Whole);
        }
        for (index, row) in rows.iter_mut().enumerate() {
            if members.len() >= MAX_MEMBERS {
                break;
            }
            if share(&row.sums, |sums| sums.own) >= min_share_percent {
                row.own = Some(members.len());
                members.push(Member::Own(index));
            }
            // A leaf is one question, not two.
            let is_leaf = row.sums.iter().all(|sums| sums.total - sums.own <= 0.01 * sums.total);
            let is_whole =
                row.sums.iter().zip(totals).all(|(sums, total)| 100.0 * sums.total / total > WHOLE_PERCENT);
            if !is_leaf && !is_whole {
                row.total = Some(members.len());
                members.push(Member::Total(index));
            } else if is_leaf {
                row.total = row.own;
            }
        }
        Self { rows, members, totals }
    }

    /// What a window of side 0 or 1 has for a question.
    pub(super) fn value(&self, member: Member, side: usize, sums: &HashMap<usize, Sums>, total: f64) -> f64 {
        let of = |row: usize| {
            let at = self.rows.get(row).and_then(|row| row.at.get(side).copied().flatten());
            at.and_then(|at| sums.get(&at)).copied().unwrap_or_default()
        };
        match member {
            Member::Own(row) => of(row).own,
            Member::Total(row) => of(row).total,
            Member::Whole => total,
        }
    }
}

/// The functions of both sides, those without a symbol too; what says why a stack stops is none.
fn rows(baseline: &Side, comparison: &Side) -> Vec<Row> {
    let sums = [baseline, comparison].map(sums);
    let of_comparison =
        comparison.functions.iter().filter(|function| baseline.function(&function.name).is_none());
    let all = baseline.functions.iter().chain(of_comparison);
    all.filter(|function| function.is_named || !function.name.starts_with('['))
        .map(|function| {
            let at = [baseline, comparison].map(|side| side.function(&function.name));
            let sum = |side: usize| {
                let at = at.get(side).copied().flatten();
                at.and_then(|at| sums.get(side)?.get(at)).copied().unwrap_or_default()
            };
            let module = at[1].and_then(|at| comparison.functions.get(at)).unwrap_or(function).module.clone();
            Row { name: function.name.clone(), module, at, sums: [sum(0), sum(1)], own: None, total: None }
        })
        .collect()
}

/// Of each function of a side, all its windows together.
fn sums(side: &Side) -> Vec<Sums> {
    let mut all = vec![Sums::default(); side.functions.len()];
    for (function, sums) in side.windows.iter().flat_map(|window| &window.sums) {
        if let Some(known) = all.get_mut(*function) {
            known.own += sums.own;
            known.total += sums.total;
        }
    }
    all
}

impl Family {
    /// What side 0 or 1 has for a question in all.
    pub(super) fn sum(&self, member: Member, side: usize) -> f64 {
        let of =
            |row: usize| self.rows.get(row).and_then(|row| row.sums.get(side)).copied().unwrap_or_default();
        match member {
            Member::Own(row) => of(row).own,
            Member::Total(row) => of(row).total,
            Member::Whole => self.totals.get(side).copied().unwrap_or(0.0),
        }
    }
}

//! What a comparison found, for people and for programs.

use serde::Serialize;

use super::{
    chance::{Chance, MIN_WINDOWS, Tested},
    family::{Family, Member, Row},
    options::{Options, Per},
    side::Side,
};
use crate::{report::ReportValue, units::rounded};

/// What is listed. All that is significant comes first.
const MAX_FUNCTIONS: usize = 500;
/// From this share on it is said how much lies in code without a name.
const MUCH_UNNAMED_PERCENT: f64 = 5.0;
/// From here on windows scatter so much more than samples that it is worth a remark.
const MUCH_DISPERSION: f64 = 2.0;

/// Two sides compared. `docs/diff.md` tells what each key holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the keys are described once, as a table, in docs/diff.md")]
pub struct Comparison {
    pub value: ReportValue,
    pub per: Per,
    pub baseline: SideSummary,
    pub comparison: SideSummary,
    pub method: Method,
    pub whole: Change,
    pub gained: usize,
    pub lost: usize,
    pub functions: Vec<FunctionChange>,
    pub notes: Vec<String>,
}

/// What a side is made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as above")]
pub struct SideSummary {
    pub files: usize,
    pub windows: usize,
    pub samples: Option<u64>,
    pub duration_ns: u64,
    pub requests: Option<u64>,
    pub total: f64,
}

/// What is drawn to see what chance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Windows of time, or runs: whatever makes one unlike the next counts.
    Window,
    /// Samples: nothing counts but their number.
    Sample,
}

/// How it was decided what is more than chance.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as above")]
pub struct Method {
    pub unit: Option<Unit>,
    pub confidence_percent: f64,
    pub questions: usize,
    pub replicates: usize,
    pub seed: u64,
    pub critical: Option<f64>,
    pub dispersion: f64,
    pub correlation: f64,
}

/// Whether a sum has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It has grown by more than chance.
    Gained,
    /// It has shrunk by more than chance.
    Lost,
    /// Chance may be all there is to the difference.
    Same,
    /// There is too little to say anything.
    Untested,
}

/// A sum on both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as above")]
pub struct Change {
    pub baseline_percent: f64,
    pub comparison_percent: f64,
    pub baseline_per_second: Option<f64>,
    pub comparison_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline_per_request: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison_per_request: Option<f64>,
    pub growth_percent: Option<f64>,
    pub growth_error_percent: Option<f64>,
    pub p_value: Option<f64>,
    pub verdict: Verdict,
}

/// A function on both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunctionChange {
    /// Its name, without what compilers add to it.
    pub name: String,
    /// The file it lies in.
    pub module: Option<String>,
    /// In the function itself.
    #[serde(rename = "self")]
    pub own: Change,
    /// In the function and in all that it called.
    pub total: Change,
}

impl FunctionChange {
    /// That of the function itself if it has one, else that of all that it called.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match (self.own.verdict, self.total.verdict) {
            (own @ (Verdict::Gained | Verdict::Lost), _) => own,
            (_, total) => total,
        }
    }

    fn is_regression(&self, threshold_percent: f64) -> bool {
        self.own.is_regression(threshold_percent) || self.total.is_regression(threshold_percent)
    }
}

impl Change {
    /// New functions have no growth in percent: they grew by more than any.
    fn is_regression(&self, threshold_percent: f64) -> bool {
        self.verdict == Verdict::Gained
            && self.growth_percent.is_none_or(|growth| growth >= threshold_percent)
    }
}

impl Comparison {
    /// Functions that grew by so much or more, and by more than chance.
    pub fn regressions(&self, threshold_percent: f64) -> impl Iterator<Item = &FunctionChange> {
        self.functions.iter().filter(move |function| function.is_regression(threshold_percent))
    }

    /// Whether something got worse by so much or more: a function, or everything together.
    #[must_use]
    pub fn has_regression(&self, threshold_percent: f64) -> bool {
        self.whole.is_regression(threshold_percent) || self.regressions(threshold_percent).next().is_some()
    }
}

pub(super) fn comparison(
    family: &Family,
    baseline: &Side,
    comparison: &Side,
    per: Per,
    chance: &Chance,
    options: &Options,
) -> Comparison {
    let context = Context { family, sides: [baseline, comparison], per, chance, options };
    let mut functions: Vec<(f64, FunctionChange)> =
        family.rows.iter().enumerate().map(|(index, row)| context.function(index, row)).collect();
    functions.sort_by(|(a_weight, a), (b_weight, b)| {
        let is_significant = |it: &FunctionChange| matches!(it.verdict(), Verdict::Gained | Verdict::Lost);
        let by_verdict = is_significant(b).cmp(&is_significant(a));
        by_verdict.then(b_weight.total_cmp(a_weight)).then_with(|| a.name.cmp(&b.name))
    });
    let mut functions: Vec<FunctionChange> = functions.into_iter().map(|(_, function)| function).collect();
    let n_of = |verdict| functions.iter().filter(|function| function.verdict() == verdict).count();
    let (gained, lost) = (n_of(Verdict::Gained), n_of(Verdict::Lost));
    functions.truncate(MAX_FUNCTIONS.max(gained + lost));
    let value_type = baseline.value_type();
    let whole = family.members.iter().position(|member| *member == Member::Whole);
    Comparison {
        value: ReportValue {
            kind: value_type.kind.clone().into_owned(),
            unit: value_type.unit.clone().into_owned(),
        },
        per,
        baseline: summary(baseline),
        comparison: summary(comparison),
        method: Method {
            unit: chance.unit,
            confidence_percent: options.confidence_percent,
            questions: family.members.len(),
            replicates: chance.n_replicates,
            seed: options.seed,
            critical: chance.unit.map(|_| rounded(chance.critical)),
            dispersion: rounded(chance.dispersion),
            correlation: rounded(chance.correlation),
        },
        whole: context.change(Member::Whole, whole),
        gained,
        lost,
        functions,
        notes: notes(baseline, comparison, per, chance),
    }
}

fn summary(side: &Side) -> SideSummary {
    SideSummary {
        files: side.n_files(),
        windows: side.windows.len(),
        samples: side.n_samples().map(|n| n.round() as u64),
        duration_ns: side.duration_ns(),
        requests: side.n_requests().map(|n| n.round() as u64),
        total: side.total(),
    }
}

struct Context<'a> {
    family: &'a Family,
    sides: [&'a Side; 2],
    per: Per,
    chance: &'a Chance,
    options: &'a Options,
}

impl Context<'_> {
    /// The function, and how far it moved in itself or, if it did not, with all that it called: what it is sorted by.
    fn function(&self, index: usize, row: &Row) -> (f64, FunctionChange) {
        let own = self.change(Member::Own(index), row.own);
        let total = self.change(Member::Total(index), row.total);
        let moved = |change: &Change| (change.comparison_percent - change.baseline_percent).abs();
        let weight =
            if matches!(own.verdict, Verdict::Same | Verdict::Untested) && own.verdict != total.verdict {
                moved(&own)
            } else {
                moved(&own).max(0.1 * moved(&total))
            };
        (weight, FunctionChange { name: row.name.clone(), module: row.module.clone(), own, total })
    }

    fn change(&self, member: Member, question: Option<usize>) -> Change {
        let sums = [0, 1].map(|side| self.family.sum(member, side));
        let share = |side: usize| sums[side] / self.family.totals[side];
        let per_second = |side: usize| match self.sides[side].duration_ns() {
            0 => None,
            duration_ns => Some(sums[side] / (duration_ns as f64 / 1e9)),
        };
        let per_request = |side: usize| self.sides[side].n_requests().map(|n| sums[side] / n);
        let tested = question.and_then(|at| self.chance.tested.get(at).copied().flatten());
        let rates = question.and_then(|at| self.chance.rates.get(at).copied());
        let growth = rates.and_then(|rates| self.growth(rates));
        Change {
            baseline_percent: precise(100.0 * share(0)),
            comparison_percent: precise(100.0 * share(1)),
            baseline_per_second: per_second(0),
            comparison_per_second: per_second(1),
            baseline_per_request: per_request(0),
            comparison_per_request: per_request(1),
            growth_percent: growth.map(|[growth, _]| precise(growth)),
            growth_error_percent: growth
                .zip(tested)
                .map(|([_, slope], tested)| precise(slope * tested.error * self.chance.critical)),
            p_value: tested.map(|tested| tested.p_value),
            verdict: self.verdict(rates, tested),
        }
    }

    /// By how much it grew, in percent, and by how much it would have more for each unit of the rate.
    ///
    /// What takes a share of `p` of all time and becomes slower by a tenth has not a tenth more of all time, as it makes
    /// all time longer. Its time over that of all others has: so shares grow by their odds.
    fn growth(&self, [baseline, comparison]: [f64; 2]) -> Option<[f64; 2]> {
        let (before, after, slope) = match self.per {
            Per::Share => {
                let odds = |share: f64| share / (1.0 - share);
                (odds(baseline), odds(comparison), 1.0 / (1.0 - comparison).powi(2))
            }
            Per::Second | Per::Request => (baseline, comparison, 1.0),
        };
        let is_known = before > 0.0 && before.is_finite() && after.is_finite();
        is_known.then(|| [100.0 * (after / before - 1.0), 100.0 * slope / before])
    }

    fn verdict(&self, rates: Option<[f64; 2]>, tested: Option<Tested>) -> Verdict {
        let Some(([baseline, comparison], tested)) = rates.zip(tested) else { return Verdict::Untested };
        // As many draws as there are leave no room for a smaller one.
        let limit = 1.0 - self.options.confidence_percent / 100.0;
        match tested.p_value <= limit {
            true if comparison > baseline => Verdict::Gained,
            true => Verdict::Lost,
            false => Verdict::Same,
        }
    }
}

/// To four digits after the point.
fn precise(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn notes(baseline: &Side, comparison: &Side, per: Per, chance: &Chance) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(reason) = chance.reason {
        notes.push(format!("nothing can be said of chance: {reason}"));
    }
    if chance.unit == Some(Unit::Sample) {
        let scatter = match baseline.windows.len().max(comparison.windows.len()) {
            1 => "each side is one profile, so it is not known how much one run differs from the next: a change that is \
                  more than the chance of sampling may still be that of the run"
                .to_owned(),
            n => format!("at most {n} profiles a side tell only roughly how much one run differs from the next"),
        };
        notes.push(format!("{scatter}; {MIN_WINDOWS} windows or runs a side tell"));
    }
    if chance.dispersion >= MUCH_DISPERSION {
        notes.push(format!("windows scatter {:.1} times as much as samples alone would", chance.dispersion));
    }
    if chance.correlation > 0.0 {
        notes.push(format!(
            "windows that follow each other are alike (correlation {:.2}); they count for less, therefore",
            chance.correlation
        ));
    }
    if per == Per::Share {
        notes.push("shares add up to 100 %: where one gains, others lose".to_owned());
    }
    let unnamed = baseline.unnamed_percent().max(comparison.unnamed_percent());
    if unnamed >= MUCH_UNNAMED_PERCENT {
        notes.push(format!(
            "{unnamed:.0} % of the samples are in code without a symbol, which goes by its place in the file: two builds \
             have it in two places"
        ));
    }
    notes
}

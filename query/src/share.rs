//! What share of all values a function has, step by step of time: what is watched over time, in one reading of the samples.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ahash::RandomState;
use arrow_schema::DataType;
use datafusion::{
    functions_aggregate::expr_fn::sum,
    logical_expr::{cast, col, lit},
};
use futures::TryStreamExt as _;
use layout::Table;
use serde::Serialize;

use crate::{
    column::{Id, ids, integers},
    engine::{Answer, Engine},
    error::Error,
    names::names,
    plan,
    question::Question,
    scan::Scan,
    selector::Matcher,
    stacks::stacks,
    sums::Sums,
};

/// Steps of a question.
const MAX_STEPS: u64 = 1_000;
/// Names of functions in an answer.
const MAX_FUNCTIONS: usize = 10;

/// What is asked of a function.
#[derive(Clone, Debug)]
pub struct ShareQuestion {
    /// Which samples.
    pub of: Question,
    /// Which functions, by name. The name of the matcher says nothing.
    pub function: Matcher,
    /// Only stacks that end in it, not all that have it.
    pub is_self: bool,
    /// How long a step is.
    pub step_ns: u64,
}

/// What functions have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Shares {
    /// Of all values.
    pub unit: String,
    /// Steps that have samples, in their order.
    pub steps: Vec<ShareStep>,
    /// What was meant, in order of names; the first of them.
    pub functions: Vec<String>,
    /// How many were.
    pub n_functions: usize,
}

/// One step of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ShareStep {
    /// When it begins.
    pub from_unix_ns: u64,
    /// Of stacks with the function; each counts once.
    pub matched: i64,
    /// Of all stacks.
    pub total: i64,
}

/// Sums of a stack by step.
type Steps = BTreeMap<i64, i64>;

async fn by_stack(scan: &Scan, question: &ShareQuestion) -> Result<HashMap<Id, Steps, RandomState>, Error> {
    let Question { what, selector, range, .. } = &question.of;
    let samples = scan.table(Table::Samples, &[*range]).await?;
    let mut rows = plan::of_type(what).and(plan::within(*range));
    if let Some(chosen) = plan::chosen(selector, plan::SAMPLE_LABELS) {
        rows = rows.and(chosen);
    }
    let number = |ns: u64| lit(i64::try_from(ns).unwrap_or(i64::MAX));
    let since = cast(col("time"), DataType::Int64) - number(range.from_unix_ns);
    let step = (since / number(question.step_ns)).alias("step");
    let summed =
        samples.filter(rows)?.aggregate(vec![col("stack"), step], vec![sum(col("value")).alias("value")])?;
    let mut batches = summed.execute_stream().await?;
    let mut all: HashMap<Id, Steps, RandomState> = HashMap::default();
    let mut n_sums = 0_usize;
    while let Some(batch) = batches.try_next().await? {
        let max_sums = scan.limits().max_sums;
        n_sums = n_sums.saturating_add(batch.num_rows());
        if n_sums > max_sums {
            return Err(Error::TooMuch { what: format!("more than {max_sums} sums of stacks") });
        }
        let stacks = ids(&batch, "stack")?;
        let (steps, values) = (integers(&batch, "step")?.values(), integers(&batch, "value")?.values());
        for ((row, step), value) in (0..stacks.len()).zip(steps).zip(values) {
            let sum = all.entry(stacks.at(row)).or_default().entry(*step).or_default();
            *sum = sum.saturating_add((*value).max(0));
        }
    }
    Ok(all)
}

/// The largest stacks; the others count as ones without the function.
fn largest(scan: &Scan, all: HashMap<Id, Steps, RandomState>) -> (Vec<(Id, Steps)>, Vec<Steps>) {
    let size = |steps: &Steps| steps.values().fold(0_i64, |sum, value| sum.saturating_add(*value));
    let mut all: Vec<(Id, Steps)> = all.into_iter().collect();
    all.sort_by(|(a, of_a), (b, of_b)| size(of_b).cmp(&size(of_a)).then_with(|| a.cmp(b)));
    let rest = all.split_off(scan.limits().max_stacks.min(all.len()));
    if !rest.is_empty() {
        scan.warn(format!("{} stacks with little in them count as ones without the function", rest.len()));
    }
    (all, rest.into_iter().map(|(_, steps)| steps).collect())
}

async fn shares(scan: &Scan, question: &ShareQuestion) -> Result<Shares, Error> {
    let (all, rest) = largest(scan, by_stack(scan, question).await?);
    // The place of a stack goes where its value does: what comes back has no identity any more.
    let places = (0_i64..).zip(&all).map(|(place, (stack, _))| (*stack, [place, 0])).collect();
    let sums = Sums { by_stack: places, ..Sums::default() };
    let ranges = [question.of.range];
    let found = stacks(scan, &ranges, &sums).await?;
    let names = names(scan, &ranges, &found.ids).await?;
    let text = |label: u32| {
        let name = usize::try_from(names.at(label)?.name).ok()?;
        names.names.texts.get(name).map(String::as_str)
    };
    let is_meant: Vec<bool> = (0_u32..)
        .zip(&names.labels)
        .map(|(label, _)| text(label).is_some_and(|name| question.function.is_met(name)))
        .collect();
    let label_of = |frame: &u32| names.of_frame(*frame);
    let is_label_meant =
        |label: u32| usize::try_from(label).ok().and_then(|at| is_meant.get(at)).copied().unwrap_or(false);
    let mut is_matched = vec![false; all.len()];
    let mut functions: BTreeSet<&str> = BTreeSet::new();
    for (frames, [place, _]) in found.iter() {
        let frames = if question.is_self { frames.get(..1).unwrap_or(frames) } else { frames };
        for label in frames.iter().map(label_of).filter(|label| is_label_meant(*label)) {
            functions.extend(text(label));
            if let Some(is_matched) = usize::try_from(place).ok().and_then(|at| is_matched.get_mut(at)) {
                *is_matched = true;
            }
        }
    }
    let with = all.iter().map(|(_, steps)| steps).zip(is_matched);
    let steps = added(question, with.chain(rest.iter().map(|steps| (steps, false))));
    Ok(Shares {
        unit: question.of.what.unit.clone(),
        steps,
        n_functions: functions.len(),
        functions: functions.into_iter().take(MAX_FUNCTIONS).map(str::to_owned).collect(),
    })
}

fn added<'a>(question: &ShareQuestion, stacks: impl Iterator<Item = (&'a Steps, bool)>) -> Vec<ShareStep> {
    let mut sums: BTreeMap<i64, [i64; 2]> = BTreeMap::new();
    for (steps, is_matched) in stacks {
        for (step, value) in steps {
            let [matched, total] = sums.entry(*step).or_default();
            *total = total.saturating_add(*value);
            *matched = matched.saturating_add(if is_matched { *value } else { 0 });
        }
    }
    let begins = |step: i64| {
        let since = u64::try_from(step).unwrap_or(0).saturating_mul(question.step_ns);
        question.of.range.from_unix_ns.saturating_add(since)
    };
    sums.into_iter()
        .map(|(step, [matched, total])| ShareStep { from_unix_ns: begins(step), matched, total })
        .collect()
}

impl Engine {
    /// What share a function has, step by step.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn shares(&self, question: &ShareQuestion) -> Result<Answer<Shares>, Error> {
        let n_steps = question.of.range.duration_ns().checked_div(question.step_ns);
        if n_steps.is_none_or(|n_steps| n_steps > MAX_STEPS) {
            return Err(Error::Parameter {
                name: "step",
                what: format!("makes no, or more than {MAX_STEPS} steps"),
            });
        }
        self.answer(&question.of.tenant, |scan| {
            let question = question.clone();
            async move { shares(&scan, &question).await }
        })
        .await
    }
}

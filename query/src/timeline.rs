//! Values over time.

use std::collections::{BTreeMap, HashMap};

use arrow_schema::DataType;
use datafusion::{
    functions_aggregate::expr_fn::sum,
    logical_expr::{Expr, cast, col, lit},
};
use futures::TryStreamExt as _;
use layout::Table;
use serde::Serialize;

use crate::{
    chosen::labels_of,
    column::{Texts, integers, texts},
    engine::{Answer, Engine},
    error::Error,
    plan,
    question::Question,
    scan::Scan,
};

const MS_NS: u64 = 1_000_000;
/// Points of a series unless somebody says otherwise.
const POINTS: u64 = 300;
/// Points of a series.
const MAX_POINTS: u64 = 11_000;
/// Names that values may be told apart by.
const MAX_BY: usize = 8;
/// Series while they are added up.
const MAX_ALL_SERIES: usize = 100_000;
/// Steps that people read without a calculator.
const STEPS_MS: [u64; 17] = [
    1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000,
    3_600_000, 7_200_000, 21_600_000, 43_200_000, 86_400_000,
];

/// What is asked of values over time.
#[derive(Clone, Debug)]
pub struct TimelineQuestion {
    /// Which samples.
    pub of: Question,
    /// How much time a point stands for.
    pub step_ms: Option<u64>,
    /// Names of labels that have series of their own.
    pub by: Vec<String>,
}

/// Values over time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// How much time a point stands for.
    pub step_ms: u64,
    /// Of all values.
    pub unit: String,
    /// The largest first.
    pub series: Vec<Series>,
    /// Whether there are more.
    pub truncated: bool,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Series {
    /// Of whom.
    pub labels: BTreeMap<String, String>,
    /// Beginnings of steps, in milliseconds since the Unix epoch, and sums; a step without samples has no point.
    pub points: Vec<(u64, i64)>,
}

impl TimelineQuestion {
    /// How much time a point stands for: as it was said, or so that there are some hundred.
    fn step_ns(&self) -> Result<u64, Error> {
        let wrong = |name, what| Err(Error::Parameter { name, what });
        if self.by.len() > MAX_BY {
            return wrong("by", format!("has more than {MAX_BY} names"));
        }
        let duration_ns = self.of.range.duration_ns();
        let step_ms = match self.step_ms {
            Some(step_ms) => step_ms,
            None => {
                let least_ms = duration_ns / POINTS / MS_NS;
                let found = STEPS_MS.into_iter().find(|step_ms| *step_ms >= least_ms);
                found.unwrap_or_else(|| least_ms.next_multiple_of(86_400_000))
            }
        };
        let step_ns = step_ms.saturating_mul(MS_NS);
        if step_ns == 0 || i64::try_from(step_ns).is_err() || duration_ns / step_ns > MAX_POINTS {
            return wrong("step_ms", format!("makes no, or more than {MAX_POINTS} points"));
        }
        Ok(step_ns)
    }
}

type Sums = HashMap<Vec<String>, BTreeMap<i64, i64>>;

async fn sums(scan: &Scan, question: &TimelineQuestion, step_ns: u64) -> Result<Sums, Error> {
    let Question { what, selector, range, .. } = &question.of;
    let samples = scan.table(Table::Samples, &[*range]).await?;
    let mut rows = plan::of_type(what).and(plan::within(*range));
    if let Some(chosen) = plan::chosen(selector, plan::SAMPLE_LABELS) {
        rows = rows.and(chosen);
    }
    let is_of_columns = question.by.iter().all(|name| plan::COLUMNS.contains(&name.as_str()));
    let mut columns: Vec<&str> =
        plan::COLUMNS.into_iter().filter(|name| question.by.iter().any(|by| by == name)).collect();
    if !is_of_columns {
        columns.extend(plan::SAMPLE_LABELS);
    }
    let step = cast(col("time"), DataType::Int64) / lit(i64::try_from(step_ns).unwrap_or(i64::MAX));
    let mut by: Vec<Expr> = columns.iter().map(|name| col(*name)).collect();
    by.push(step.alias("step"));
    let summed = samples.filter(rows)?.aggregate(by, vec![sum(col("value")).alias("value")])?;
    let mut batches = summed.execute_stream().await?;
    let mut sums = Sums::new();
    while let Some(batch) = batches.try_next().await? {
        let found: Vec<(&str, Texts)> =
            columns.iter().map(|name| Ok((*name, texts(&batch, name)?))).collect::<Result<_, Error>>()?;
        let (steps, values) = (integers(&batch, "step")?.values(), integers(&batch, "value")?.values());
        for (row, (step, value)) in steps.iter().zip(values).enumerate() {
            let key = key(&question.by, &found, row);
            if sums.len() >= MAX_ALL_SERIES && !sums.contains_key(&key) {
                return Err(Error::TooMuch { what: format!("more than {MAX_ALL_SERIES} series") });
            }
            let sum = sums.entry(key).or_default().entry(*step).or_default();
            *sum = sum.saturating_add(*value);
        }
    }
    Ok(sums)
}

/// The values of the names that series are told apart by.
fn key(by: &[String], columns: &[(&str, Texts)], row: usize) -> Vec<String> {
    let text =
        |name: &str| columns.iter().find(|(column, _)| *column == name).map(|(_, texts)| texts.at(row));
    let labels: Vec<_> = plan::SAMPLE_LABELS.iter().filter_map(|name| text(name)).map(labels_of).collect();
    let value = |name: &String| match text(name) {
        Some(value) if plan::COLUMNS.contains(&name.as_str()) => value.to_owned(),
        _ => labels.iter().rev().find_map(|labels| labels.get(name)).cloned().unwrap_or_default(),
    };
    by.iter().map(value).collect()
}

/// As they are shown: the largest first.
fn timeline(question: &TimelineQuestion, step_ns: u64, sums: Sums, max_series: usize) -> Timeline {
    let mut all: Vec<(i64, Vec<String>, BTreeMap<i64, i64>)> = sums
        .into_iter()
        .map(|(key, points)| {
            (points.values().fold(0_i64, |sum, value| sum.saturating_add(*value)), key, points)
        })
        .collect();
    all.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let truncated = all.len() > max_series;
    let step_ms = step_ns / MS_NS;
    let series = all.into_iter().take(max_series).map(|(_, key, points)| Series {
        labels: question.by.iter().cloned().zip(key).collect(),
        points: points
            .into_iter()
            .map(|(step, value)| (u64::try_from(step).unwrap_or(0).saturating_mul(step_ms), value))
            .collect(),
    });
    Timeline { step_ms, unit: question.of.what.unit.clone(), series: series.collect(), truncated }
}

impl Engine {
    /// The values of a question over time.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn timeline(&self, question: &TimelineQuestion) -> Result<Answer<Timeline>, Error> {
        let step_ns = question.step_ns()?;
        self.answer(&question.of.tenant, |scan| {
            let question = question.clone();
            async move {
                let sums = sums(&scan, &question, step_ns).await?;
                Ok(timeline(&question, step_ns, sums, scan.limits().max_series))
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{question::TypeUnit, range::TimeRange, selector::Selector};

    #[test]
    fn steps_are_round_and_points_are_some_hundred() {
        let step_ms = |seconds: u64, step_ms: Option<u64>| {
            let range = TimeRange { from_unix_ns: 0, until_unix_ns: seconds * 1_000_000_000 };
            let what = TypeUnit { kind: String::new(), unit: String::new() };
            let of = Question { tenant: String::new(), what, selector: Selector::default(), range };
            TimelineQuestion { of, step_ms, by: Vec::new() }.step_ns().ok().map(|ns| ns / MS_NS)
        };
        assert_eq!(step_ms(60, None), Some(1_000));
        assert_eq!(step_ms(3_600, None), Some(15_000));
        assert_eq!(step_ms(86_400, None), Some(300_000));
        assert_eq!(step_ms(86_400 * 3_650, None), Some(13 * 86_400_000));
        assert_eq!(step_ms(3_600, Some(7)), None);
        assert_eq!(step_ms(3_600, Some(0)), None);
        assert_eq!(step_ms(3_600, Some(u64::MAX)), None);
    }
}

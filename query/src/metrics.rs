//! Metrics over time, each series with a verdict on where it goes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ahash::RandomState;
use arrow_array::{Float64Array, TimestampNanosecondArray};
use datafusion::prelude::col;
use futures::TryStreamExt as _;
use layout::Table;
use serde::Serialize;

use crate::{
    chosen::labels_of,
    column::{any, texts},
    engine::{Answer, Engine},
    error::Error,
    labels::distinct,
    metrics_series::{MetricSeries, series},
    plan,
    range::TimeRange,
    scan::Scan,
    selector::Selector,
};

/// Points that are read for one question.
const MAX_POINTS: usize = 4 << 20;

/// A name of a metric.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct MetricName {
    /// Its name.
    pub name: String,
    /// In which unit.
    pub unit: String,
    /// What kind of number it is.
    pub kind: String,
}

/// What is asked of metrics.
#[derive(Clone, Debug)]
pub struct MetricsQuestion {
    /// Whose.
    pub tenant: String,
    /// Which.
    pub name: String,
    /// Of whom.
    pub selector: Selector,
    /// Of when.
    pub range: TimeRange,
    /// Series of the answer; as many as the engine shows to people, if nothing is said.
    pub max_series: Option<usize>,
}

/// A metric over time.
#[derive(Clone, Debug, Serialize)]
pub struct Metrics {
    /// Of all values.
    pub unit: String,
    /// Those with the largest last value first.
    pub series: Vec<MetricSeries>,
    /// Whether there are more.
    pub truncated: bool,
}

/// What tells series apart: service, host, labels as they are stored, unit, kind.
type Key = [String; 5];

async fn points(
    scan: &Scan,
    question: &MetricsQuestion,
) -> Result<HashMap<Key, BTreeMap<i64, f64>, RandomState>, Error> {
    let metrics = scan.table(Table::Metrics, &[question.range]).await?;
    let mut rows = plan::is("name", &question.name).and(plan::within(question.range));
    if let Some(chosen) = plan::chosen(&question.selector, plan::METRIC_LABELS) {
        rows = rows.and(chosen);
    }
    let names = ["service", "host", "labels", "unit", "kind"];
    let columns = names.into_iter().chain(["time", "value"]).map(col);
    let mut batches = metrics.filter(rows)?.select(columns)?.execute_stream().await?;
    let mut all: HashMap<Key, BTreeMap<i64, f64>, RandomState> = HashMap::default();
    let mut n_points = 0_usize;
    while let Some(batch) = batches.try_next().await? {
        n_points = n_points.saturating_add(batch.num_rows());
        if n_points > MAX_POINTS {
            return Err(Error::TooMuch { what: format!("more than {MAX_POINTS} points") });
        }
        let found: Vec<_> = names.iter().map(|name| texts(&batch, name)).collect::<Result<_, _>>()?;
        let times: &TimestampNanosecondArray = any(&batch, "time")?;
        let values: &Float64Array = any(&batch, "value")?;
        for (row, (time, value)) in times.values().iter().zip(values.values()).enumerate() {
            let key: Vec<String> = found.iter().map(|texts| texts.at(row).to_owned()).collect();
            let Ok(key) = Key::try_from(key) else { continue };
            // Of the same time the last: it was sent twice.
            all.entry(key).or_default().insert(*time, *value);
        }
    }
    Ok(all)
}

impl Engine {
    /// The names of a tenant's metrics.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn metric_names(
        &self,
        tenant: &str,
        range: TimeRange,
    ) -> Result<Answer<Vec<MetricName>>, Error> {
        self.answer(tenant, |scan| async move {
            let rows = scan.table(Table::Metrics, &[range]).await?.filter(plan::within(range))?;
            let mut names = BTreeSet::new();
            distinct(rows, &["name", "unit", "kind"], |texts, _| {
                let [name, unit, kind] = texts else { return };
                let [name, unit, kind] = [name, unit, kind].map(|text| (*text).to_owned());
                names.insert(MetricName { name, unit, kind });
            })
            .await?;
            Ok(names.into_iter().collect())
        })
        .await
    }

    /// A metric over time.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn metrics(&self, question: &MetricsQuestion) -> Result<Answer<Metrics>, Error> {
        self.answer(&question.tenant, |scan| {
            let question = question.clone();
            async move {
                let all = points(&scan, &question).await?;
                let unit = all.keys().next().map(|[_, _, _, unit, _]| unit.clone()).unwrap_or_default();
                let mut all: Vec<_> = all.into_iter().collect();
                let last =
                    |points: &BTreeMap<i64, f64>| points.last_key_value().map_or(0.0, |(_, value)| *value);
                all.sort_by(|(a, of_a), (b, of_b)| last(of_b).total_cmp(&last(of_a)).then_with(|| a.cmp(b)));
                let max = question.max_series.unwrap_or(scan.limits().max_series);
                let truncated = all.len() > max;
                let shown = all.into_iter().take(max).map(|([service, host, labels, unit, kind], points)| {
                    let mut labels = labels_of(&labels);
                    labels.extend([("service".to_owned(), service), ("host".to_owned(), host)]);
                    series(labels, &kind, &unit, &points)
                });
                Ok(Metrics { unit, series: shown.collect(), truncated })
            }
        })
        .await
    }
}

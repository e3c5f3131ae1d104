//! What there is to ask for: types, names of labels, their values.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::{
    functions_aggregate::expr_fn::count,
    logical_expr::{Expr, col, lit},
    prelude::DataFrame,
};
use futures::TryStreamExt as _;
use layout::Table;
use serde::Serialize;

use crate::{
    chosen::labels_of,
    column::{integers, texts},
    engine::{Answer, Engine},
    error::Error,
    plan,
    range::TimeRange,
    scan::Scan,
    selector::{Selector, column_of},
};

/// Values of a label in an answer.
const MAX_VALUES: usize = 10_000;

/// What values count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProfileType {
    /// What.
    #[serde(rename = "type")]
    pub kind: String,
    /// In which unit.
    pub unit: String,
    /// What happens between two samples, if it is known.
    pub period_type: String,
    /// In which unit.
    pub period_unit: String,
    /// Rows of samples.
    pub n_rows: u64,
}

/// Names of labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Labels {
    /// In order.
    pub labels: Vec<String>,
}

/// Values of a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Values {
    /// In order.
    pub values: Vec<String>,
    /// Whether there are more.
    pub truncated: bool,
}

/// Distinct texts of some columns, and how many rows have them.
pub(crate) async fn distinct(
    rows: DataFrame,
    columns: &[&'static str],
    mut each: impl FnMut(&[&str], u64),
) -> Result<(), Error> {
    let by: Vec<Expr> = columns.iter().map(|name| col(*name)).collect();
    let counted = rows.aggregate(by, vec![count(lit(1)).alias("n_rows")])?;
    let mut batches = counted.execute_stream().await?;
    while let Some(batch) = batches.try_next().await? {
        let found: Vec<_> = columns.iter().map(|name| texts(&batch, name)).collect::<Result<_, _>>()?;
        let n_rows = integers(&batch, "n_rows")?.values();
        for (row, n_rows) in n_rows.iter().enumerate() {
            let of_row: Vec<&str> = found.iter().map(|texts| texts.at(row)).collect();
            each(&of_row, n_rows.unsigned_abs());
        }
    }
    Ok(())
}

/// Samples that a selector means.
pub(crate) async fn chosen(scan: &Scan, selector: &Selector, range: TimeRange) -> Result<DataFrame, Error> {
    let samples = scan.table(Table::Samples, &[range]).await?;
    let rows = plan::within(range);
    let rows = match plan::chosen(selector, plan::SAMPLE_LABELS) {
        Some(chosen) => rows.and(chosen),
        None => rows,
    };
    Ok(samples.filter(rows)?)
}

impl Engine {
    /// What values of a tenant count.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn types(
        &self,
        tenant: &str,
        selector: &Selector,
        range: TimeRange,
    ) -> Result<Answer<Vec<ProfileType>>, Error> {
        self.answer(tenant, |scan| {
            let selector = selector.clone();
            async move {
                let rows = chosen(&scan, &selector, range).await?;
                let mut types: BTreeMap<[String; 2], ProfileType> = BTreeMap::new();
                distinct(rows, &["type", "unit", "period_type", "period_unit"], |texts, n_rows| {
                    let [kind, unit, period_type, period_unit] = texts else { return };
                    let it = types.entry([kind, unit].map(|text| (*text).to_owned()));
                    let it = it.or_insert_with(|| ProfileType {
                        kind: (*kind).to_owned(),
                        unit: (*unit).to_owned(),
                        period_type: String::new(),
                        period_unit: String::new(),
                        n_rows: 0,
                    });
                    it.n_rows = it.n_rows.saturating_add(n_rows);
                    // The last by name, where senders differ.
                    if **period_type > *it.period_type {
                        it.period_type = (*period_type).to_owned();
                        it.period_unit = (*period_unit).to_owned();
                    }
                })
                .await?;
                Ok(types.into_values().collect())
            }
        })
        .await
    }

    /// The names of a tenant's labels, `service` and `host` among them.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn labels(
        &self,
        tenant: &str,
        selector: &Selector,
        range: TimeRange,
    ) -> Result<Answer<Labels>, Error> {
        self.answer(tenant, |scan| {
            let selector = selector.clone();
            async move {
                let mut names: BTreeSet<String> =
                    plan::COLUMNS.iter().map(|name| (*name).to_owned()).collect();
                for column in plan::SAMPLE_LABELS {
                    let rows = chosen(&scan, &selector, range).await?;
                    distinct(rows, &[column], |texts, _| {
                        names.extend(texts.iter().flat_map(|text| labels_of(text).into_keys()));
                    })
                    .await?;
                }
                Ok(Labels { labels: names.into_iter().collect() })
            }
        })
        .await
    }

    /// The values of a label.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn values(
        &self,
        tenant: &str,
        name: &str,
        selector: &Selector,
        range: TimeRange,
    ) -> Result<Answer<Values>, Error> {
        let name = column_of(name);
        self.answer(tenant, |scan| {
            let (selector, name) = (selector.clone(), name.to_owned());
            async move {
                let mut values = BTreeSet::new();
                let columns: &[&'static str] = match plan::COLUMNS.iter().position(|column| *column == name) {
                    Some(place) => plan::COLUMNS.get(place..=place).unwrap_or_default(),
                    None => plan::SAMPLE_LABELS,
                };
                let is_of_labels = columns == plan::SAMPLE_LABELS;
                for column in columns {
                    let rows = chosen(&scan, &selector, range).await?;
                    distinct(rows, &[column], |texts, _| {
                        values.extend(texts.iter().filter_map(|text| match is_of_labels {
                            true => labels_of(text).remove(&name),
                            false => Some((*text).to_owned()),
                        }));
                    })
                    .await?;
                }
                let truncated = values.len() > MAX_VALUES;
                Ok(Values { values: values.into_iter().take(MAX_VALUES).collect(), truncated })
            }
        })
        .await
    }
}

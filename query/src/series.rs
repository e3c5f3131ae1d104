//! Which series there are: the labels that samples have, without their values.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    chosen::labels_of,
    engine::{Answer, Engine},
    error::Error,
    labels::{chosen, distinct},
    plan,
    range::TimeRange,
    selector::{Selector, column_of},
};

/// Series of an answer.
const MAX_SERIES: usize = 10_000;

/// What a series is called by, beside its labels.
const TYPE_COLUMNS: [&str; 4] = ["type", "unit", "period_type", "period_unit"];

/// A series.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesLabels {
    /// Type, unit, and what happens between two samples with its unit.
    pub what: [String; 4],
    /// Labels, `service` and `host` among them.
    pub labels: BTreeMap<String, String>,
}

impl Engine {
    /// The series of a tenant; of their labels those in `names`, or all if there are none. 10,000 at most.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn series(
        &self,
        tenant: &str,
        selector: &Selector,
        range: TimeRange,
        names: &[String],
    ) -> Result<Answer<BTreeSet<SeriesLabels>>, Error> {
        let names: Vec<String> = names.iter().map(|name| column_of(name).to_owned()).collect();
        self.answer(tenant, |scan| {
            let (selector, names) = (selector.clone(), names.clone());
            async move {
                let is_wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
                let mut columns: Vec<&'static str> = TYPE_COLUMNS.to_vec();
                columns.extend(plan::COLUMNS.into_iter().filter(|name| is_wanted(name)));
                if names.is_empty() || names.iter().any(|name| !plan::COLUMNS.contains(&name.as_str())) {
                    columns.extend(plan::SAMPLE_LABELS);
                }
                let rows = chosen(&scan, &selector, range).await?;
                let mut series = BTreeSet::new();
                distinct(rows, &columns, |texts, _| {
                    let mut it = SeriesLabels::default();
                    for (column, text) in columns.iter().zip(texts) {
                        if let Some(place) = TYPE_COLUMNS.iter().position(|name| name == column) {
                            if let Some(what) = it.what.get_mut(place) {
                                (*text).clone_into(what);
                            }
                        } else if plan::COLUMNS.contains(column) {
                            it.labels.insert((*column).to_owned(), (*text).to_owned());
                        } else {
                            it.labels.extend(labels_of(text).into_iter().filter(|(name, _)| is_wanted(name)));
                        }
                    }
                    if series.len() < MAX_SERIES {
                        series.insert(it);
                    }
                })
                .await?;
                Ok(series)
            }
        })
        .await
    }
}

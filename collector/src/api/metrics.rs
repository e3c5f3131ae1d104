//! Questions about metrics.

use query::{Answer, Error, MetricName, MetricsQuestion};
use serde::Serialize;

use super::{
    Asked,
    reply::{Failure, Reply},
};

#[derive(Serialize)]
struct Names {
    names: Vec<MetricName>,
}

pub(super) async fn names(asked: &Asked<'_>) -> Result<Reply, Failure> {
    let Asked { engine, tenant, parameters, now_unix_ns, .. } = asked;
    let Answer { value, warnings } = engine.metric_names(tenant, parameters.range(*now_unix_ns)?).await?;
    Reply::json(&Answer { value: Names { names: value }, warnings })
}

pub(super) async fn metrics(asked: &Asked<'_>) -> Result<Reply, Failure> {
    let Asked { engine, tenant, parameters, now_unix_ns, .. } = asked;
    let missing =
        || Error::Parameter { name: "name", what: "is missing: see /api/v1/metrics/names".to_owned() };
    let question = MetricsQuestion {
        tenant: (*tenant).to_owned(),
        name: parameters.text("name")?.ok_or_else(missing)?.to_owned(),
        selector: parameters.selector("match")?,
        range: parameters.range(*now_unix_ns)?,
        max_series: None,
    };
    Reply::json(&engine.metrics(&question).await?)
}

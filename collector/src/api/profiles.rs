//! Questions about profiles.

use query::{Answer, Format, ProfileType, TimelineQuestion};
use serde::Serialize;

use super::{
    Asked,
    reply::{Failure, Reply},
};

/// Functions unless somebody says otherwise.
const TOP: usize = 100;

#[derive(Serialize)]
struct Types {
    types: Vec<ProfileType>,
}

pub(super) async fn types(asked: &Asked<'_>) -> Result<Reply, Failure> {
    let Asked { engine, tenant, parameters, now_unix_ns, .. } = asked;
    let (selector, range) = (parameters.selector("match")?, parameters.range(*now_unix_ns)?);
    let Answer { value, warnings } = engine.types(tenant, &selector, range).await?;
    Reply::json(&Answer { value: Types { types: value }, warnings })
}

pub(super) async fn labels(asked: &Asked<'_>) -> Result<Reply, Failure> {
    let Asked { engine, tenant, parameters, now_unix_ns, .. } = asked;
    let (selector, range) = (parameters.selector("match")?, parameters.range(*now_unix_ns)?);
    Reply::json(&engine.labels(tenant, &selector, range).await?)
}

pub(super) async fn values(asked: &Asked<'_>) -> Result<Reply, Failure> {
    let Asked { engine, tenant, parameters, name, now_unix_ns, .. } = asked;
    let (selector, range) = (parameters.selector("match")?, parameters.range(*now_unix_ns)?);
    Reply::json(&engine.values(tenant, name, &selector, range).await?)
}

pub(super) async fn timeline(asked: &Asked<'_>) -> Result<Reply, Failure> {
    let Asked { engine, tenant, parameters, now_unix_ns, .. } = asked;
    let of = parameters.question(tenant, *now_unix_ns)?;
    let (step_ms, by) = (parameters.number("step_ms")?, parameters.list("by"));
    Reply::json(&engine.timeline(&TimelineQuestion { of, step_ms, by }).await?)
}

pub(super) async fn flamegraph(asked: &Asked<'_>) -> Result<Reply, Failure> {
    let Asked { engine, tenant, parameters, now_unix_ns, .. } = asked;
    let question = parameters.question(tenant, *now_unix_ns)?;
    Reply::json(&engine.flamegraph(&question, None, parameters.number("max_nodes")?).await?)
}

pub(super) async fn diff(asked: &Asked<'_>) -> Result<Reply, Failure> {
    let Asked { engine, tenant, parameters, now_unix_ns, .. } = asked;
    let question = parameters.question(tenant, *now_unix_ns)?;
    let baseline = parameters.baseline(&question, *now_unix_ns)?;
    Reply::json(&engine.flamegraph(&question, Some(&baseline), parameters.number("max_nodes")?).await?)
}

pub(super) async fn top(asked: &Asked<'_>) -> Result<Reply, Failure> {
    let Asked { engine, tenant, parameters, now_unix_ns, .. } = asked;
    let question = parameters.question(tenant, *now_unix_ns)?;
    Reply::json(&engine.top(&question, parameters.number("limit")?.unwrap_or(TOP)).await?)
}

pub(super) async fn download(asked: &Asked<'_>) -> Result<Reply, Failure> {
    let Asked { engine, tenant, parameters, now_unix_ns, .. } = asked;
    let question = parameters.question(tenant, *now_unix_ns)?;
    let format = Format::parse(parameters.text("format")?.unwrap_or("pprof"))?;
    let Answer { value, warnings } = engine.download(&question, format).await?;
    // Of the name only what every file system takes.
    let kind: String = question.what.kind.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    let name = format!("{kind}-{}.{}", question.range.from_unix_ns / 1_000_000_000, format.ending());
    Ok(Reply::file(value.into(), format.content_type(), Some(name)).with_warnings(&warnings))
}

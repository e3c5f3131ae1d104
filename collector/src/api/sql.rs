//! A statement of SQL.

use query::{Error, Statement, TimeRange};
use serde::Deserialize;

use super::{
    Asked,
    reply::{Failure, Reply},
};

/// Rows unless somebody says otherwise.
const ROWS: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asking {
    sql: String,
    limit: Option<usize>,
    from: Option<String>,
    until: Option<String>,
}

pub(super) async fn sql(asked: &Asked<'_>, body: &[u8]) -> Result<Reply, Failure> {
    let Asked { engine, tenant, now_unix_ns, .. } = asked;
    let asking: Asking = serde_json::from_slice(body)
        .map_err(|error| Error::Parameter { name: "the body", what: format!("is no question: {error}") })?;
    let from = asking.from.as_deref().unwrap_or("now-1d");
    let statement = Statement {
        tenant: (*tenant).to_owned(),
        sql: asking.sql,
        range: TimeRange::of(Some(from), asking.until.as_deref(), *now_unix_ns)?,
        limit: asking.limit.unwrap_or(ROWS),
    };
    Reply::json(&engine.sql(&statement).await?)
}

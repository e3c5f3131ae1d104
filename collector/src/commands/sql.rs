//! `collector sql`.

use std::{io::Write, path::Path};

use anyhow::Context as _;
use query::{Engine, Limits, Statement, TimeRange};

use super::table;
use crate::{
    args::{SqlArgs, SqlFormat},
    clock, cluster,
    config::CLUSTER_PARTITIONS,
    serve::environment,
    store::Store,
};

/// `collector sql`: the rows of a statement, on `out`.
///
/// # Errors
/// If there is no store, or no answer.
pub fn sql(out: &mut impl Write, args: &SqlArgs) -> anyhow::Result<()> {
    let store = store(&args.data)?;
    let (objects, prefix) = store.objects();
    let of_cluster = cluster::of(args.query_cluster.as_deref(), CLUSTER_PARTITIONS, &store)?;
    let engine = Engine::with_cluster(objects, prefix, Limits::default(), of_cluster)?;
    let statement = Statement {
        tenant: args.tenant.clone(),
        sql: args.sql.clone(),
        range: TimeRange::of(Some(&args.from), Some(&args.until), clock::unix_ns())?,
        limit: args.limit,
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let answer = runtime.block_on(engine.sql(&statement))?;
    for warning in &answer.warnings {
        tracing::warn!("{warning}");
    }
    let rows = answer.value;
    if rows.truncated {
        tracing::warn!(rows = rows.rows.len(), "there are more rows: see --limit");
    }
    let written = match args.format {
        SqlFormat::Table => table::aligned(out, &rows),
        SqlFormat::Csv => table::csv(out, &rows),
        SqlFormat::Json => {
            serde_json::to_writer(&mut *out, &rows).map_err(std::io::Error::from).and_then(|()| writeln!(out))
        }
    };
    match written {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write the rows"),
    }
}

/// Where `serve` with the same argument keeps its files, or the store by its URL.
pub(super) fn store(data: &str) -> anyhow::Result<Store> {
    if data.contains("://") {
        return Ok(Store::open(data, environment())?);
    }
    let path = Path::new(data);
    let below = path.join("store");
    let path = if below.is_dir() { below } else { path.to_owned() };
    anyhow::ensure!(
        path.is_dir(),
        "there is no store in {data}: name what `collector serve --data` was given"
    );
    Ok(Store::directory(&path)?)
}

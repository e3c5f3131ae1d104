//! What subcommands do.

#[cfg(feature = "cluster")]
mod cluster;
mod sql;
mod table;

use std::io::Write;

use anyhow::Context as _;

#[cfg(feature = "cluster")]
pub use cluster::{executor, scheduler};
pub use sql::sql;

use crate::{
    args::ServeArgs,
    config::Config,
    serve::{self, Listening},
};

/// `collector serve`: until it is told to end. Where it listens is said on `out`, a line for each address.
///
/// # Errors
/// If it cannot begin, or not keep what it has.
pub fn serve(out: &mut impl Write, args: &ServeArgs) -> anyhow::Result<()> {
    let config = config(args)?;
    serve::run(&config, |listening| {
        let Listening { grpc, http, web } = listening;
        // Nobody may be reading.
        let _ = writeln!(out, "grpc {grpc}\nhttp {http}\nweb {web}").and_then(|()| out.flush());
    })
    .context("cannot go on")
}

fn config(args: &ServeArgs) -> anyhow::Result<Config> {
    let mut config = match &args.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    if let Some(data) = &args.data {
        config.data.clone_from(data);
    }
    if args.store.is_some() {
        config.store.clone_from(&args.store);
    }
    if args.query_cluster.is_some() {
        config.query.cluster.clone_from(&args.query_cluster);
    }
    let listen = &mut config.listen;
    for (given, place) in
        [(args.grpc, &mut listen.grpc), (args.http, &mut listen.http), (args.web, &mut listen.web)]
    {
        if let Some(address) = given {
            *place = address;
        }
    }
    Ok(config)
}

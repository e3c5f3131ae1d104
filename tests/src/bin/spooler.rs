//! Spools batches until it is killed, and prints the key of each once the spool says that it is kept.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use agent::send::{
    batch::{Batch, Form, Keys, Signal},
    spool::{Limits, Spool},
};
use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let dir = std::env::args_os().nth(1).map(PathBuf::from).context("usage: spooler DIRECTORY")?;
    let mut spool = Spool::open(&dir, Limits::default(), &["a".to_owned()], 0)?;
    let mut keys = Keys::random()?;
    for n_bytes in (0..200_000).step_by(7919).cycle() {
        let batch = Batch {
            key: keys.next_key(),
            signal: Signal::Profiles,
            start_unix_ns: 0,
            end_unix_ns: 0,
            labels: profile::Labels::default(),
            parts: vec![(Form::Otlp, vec![1; n_bytes])],
        };
        let key = spool.append(batch, 0)?;
        writeln!(io::stdout(), "{key}")?;
    }
    Ok(())
}

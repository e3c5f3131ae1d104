//! Brings segments of the log into the store, one after the other, for as long as it takes.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use anyhow::Context as _;

use super::figures::{FlushFigures, add};
use crate::{
    store::{Flushed, KnownStacks, Store, files_of, path::Table},
    wal::{Log, Sealed},
};

/// How often the log is asked to end a segment that is old enough.
const TICK: Duration = Duration::from_millis(500);
/// After the first failure; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LAST_WAIT: Duration = Duration::from_secs(60);

/// The way from the log to the store.
#[derive(Debug)]
pub struct Flusher {
    log: Arc<Log>,
    store: Store,
    collector: String,
    known: Mutex<KnownStacks>,
    figures: FlushFigures,
}

impl Flusher {
    /// Of a collector that has this name in the store.
    #[must_use]
    pub fn new(log: Arc<Log>, store: Store, collector: String) -> Self {
        Self { log, store, collector, known: Mutex::default(), figures: FlushFigures::default() }
    }

    /// What was counted.
    #[must_use]
    pub const fn figures(&self) -> &FlushFigures {
        &self.figures
    }

    /// Until the log is closed and empty.
    pub async fn run(self: Arc<Self>) {
        loop {
            while let Some(sealed) = self.log.shelf().oldest() {
                match self.flush(&sealed).await {
                    Ok(()) => self.figures.succeeded(),
                    Err(error) => {
                        let error = format!("{error:#}");
                        tracing::warn!(
                            segment = sealed.number,
                            error,
                            "a segment did not come into the store"
                        );
                        let n_failures = self.figures.failed(error);
                        tokio::time::sleep(wait(n_failures)).await;
                        self.log.tick();
                    }
                }
            }
            if self.log.shelf().is_closed() {
                return;
            }
            let _ = tokio::time::timeout(TICK, self.log.shelf().changed()).await;
            self.log.tick();
        }
    }

    async fn flush(self: &Arc<Self>, sealed: &Sealed) -> anyhow::Result<()> {
        let it = Arc::clone(self);
        let of = sealed.clone();
        let made = tokio::task::spawn_blocking(move || {
            let bytes = it.log.read(&of).context("cannot read a segment of the log")?;
            let known = it.known.lock().unwrap_or_else(PoisonError::into_inner);
            files_of(&bytes, &of, &it.collector, &known).context("cannot make files of a segment of the log")
        });
        let Flushed { files, keys, n_damaged, new_stacks } = made.await??;
        let n_files = files.len();
        let n_bytes: usize = files.iter().map(|file| file.bytes.len()).sum();
        let is_rows = |table| matches!(table, Table::Samples | Table::Metrics);
        let n_rows: usize =
            files.iter().filter(|file| is_rows(file.path.table)).map(|file| file.n_rows).sum();
        self.store.put(files).await?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).add(new_stacks);
        let it = Arc::clone(self);
        let of = sealed.clone();
        tokio::task::spawn_blocking(move || it.log.release(&of, &keys, n_damaged > 0))
            .await?
            .context("cannot take a segment out of the log")?;
        add(&self.figures.files, n_files);
        add(&self.figures.bytes, n_bytes);
        add(&self.figures.rows, n_rows);
        self.figures.damaged.fetch_add(n_damaged, Ordering::Relaxed);
        Ok(())
    }
}

fn wait(n_failures: u64) -> Duration {
    let doublings = u32::try_from(n_failures.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    FIRST_WAIT.saturating_mul(1 << doublings).min(LAST_WAIT)
}

//! Brings segments of the log into the store, one after the other, for as long as it takes.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bytes::Bytes;

use super::figures::{FlushFigures, add};
use crate::{
    clock,
    store::{
        Flushed, NamedFile, Store, Written, files_of, merged,
        path::{FilePath, Table},
        upkeep::{self, Merge, Retention},
    },
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
    written: Mutex<Written>,
    figures: FlushFigures,
    retention: Retention,
    upkeep_every: Duration,
}

impl Flusher {
    /// Of a collector that has this name in the store. The store is kept in order now and then: `upkeep` says how much is kept,
    /// and how often.
    #[must_use]
    pub fn new(log: Arc<Log>, store: Store, collector: String, upkeep: (Retention, Duration)) -> Self {
        let (retention, upkeep_every) = upkeep;
        let (written, figures) = (Mutex::default(), FlushFigures::default());
        Self { log, store, collector, written, figures, retention, upkeep_every }
    }

    /// What was counted.
    #[must_use]
    pub const fn figures(&self) -> &FlushFigures {
        &self.figures
    }

    /// Until the log is closed and empty.
    pub async fn run(self: Arc<Self>) {
        let mut last_upkeep = Instant::now();
        loop {
            // Asked first: what is added before it is closed shall be seen.
            let is_closed = self.log.shelf().is_closed();
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
            if is_closed {
                return;
            }
            // Nothing waits: every segment up to the last one that has a file is in the store.
            if last_upkeep.elapsed() >= self.upkeep_every && !self.log.shelf().is_closed() {
                last_upkeep = Instant::now();
                if let Err(error) = self.upkeep(clock::unix_ns()).await {
                    let error = format!("{error:#}");
                    tracing::warn!(error, "the store was not kept in order");
                    add(&self.figures.upkeep_failed, 1);
                }
            }
            let _ = tokio::time::timeout(TICK, self.log.shelf().changed()).await;
            self.log.tick();
        }
    }

    /// Removes what is too old, and what a crash has left; merges small files.
    async fn upkeep(&self, now_unix_ns: u64) -> anyhow::Result<()> {
        let mut files = self.store.list().await?;
        let mut removed = upkeep::leftovers(&files, &self.collector);
        removed.extend(upkeep::expired(&files, self.retention, now_unix_ns));
        if removed.iter().any(|path| matches!(path.table, Table::Stacks | Table::Frames)) {
            self.written.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        for path in &removed {
            self.store.remove(path).await?;
            add(&self.figures.removed, 1);
        }
        files.retain(|(path, _)| !removed.contains(path));
        for merge in upkeep::merges(&files, &self.collector, now_unix_ns) {
            // Segments are more urgent, and so is an end.
            if self.log.shelf().oldest().is_some() || self.log.shelf().is_closed() {
                return Ok(());
            }
            let output = merge.output.clone();
            if let Err(error) = self.merge(merge).await {
                let error = format!("{error:#}");
                tracing::warn!(%output, error, "files were not merged");
                add(&self.figures.upkeep_failed, 1);
            }
        }
        Ok(())
    }

    async fn merge(&self, merge: Merge) -> anyhow::Result<()> {
        let mut contents = Vec::with_capacity(merge.inputs.len());
        for path in &merge.inputs {
            contents.push(self.store.get(path).await?);
        }
        let table = merge.output.table;
        let (result, contents) =
            tokio::task::spawn_blocking(move || (merged(table, &contents), contents)).await?;
        let (bytes, n_rows) = match result {
            Ok(merged) => merged,
            Err(error) => {
                self.set_aside(table, merge.inputs, contents).await?;
                return Err(error).with_context(|| format!("cannot merge files to {}", merge.output));
            }
        };
        self.store.put(vec![NamedFile { path: merge.output, bytes, n_rows }]).await?;
        // From here on the inputs are not read any more, whether they are removed or not.
        for path in &merge.inputs {
            self.store.remove(path).await?;
        }
        add(&self.figures.merged, merge.inputs.len());
        Ok(())
    }

    /// Takes those that cannot be read out of the way of the others.
    async fn set_aside(
        &self,
        table: Table,
        inputs: Vec<FilePath>,
        contents: Vec<Bytes>,
    ) -> anyhow::Result<()> {
        for (path, content) in inputs.iter().zip(contents) {
            let is_whole = tokio::task::spawn_blocking(move || merged(table, &[content]).is_ok()).await?;
            if !is_whole {
                self.store.set_aside(path).await?;
                tracing::warn!(%path, "a file of the store cannot be read, and is below damaged/ now");
                add(&self.figures.files_damaged, 1);
            }
        }
        Ok(())
    }

    async fn flush(self: &Arc<Self>, sealed: &Sealed) -> anyhow::Result<()> {
        let it = Arc::clone(self);
        let of = sealed.clone();
        let made = tokio::task::spawn_blocking(move || {
            let bytes = it.log.read(&of).context("cannot read a segment of the log")?;
            let written = it.written.lock().unwrap_or_else(PoisonError::into_inner);
            files_of(&bytes, &of, &it.collector, &written)
                .context("cannot make files of a segment of the log")
        });
        let Flushed { files, keys, n_damaged, new_ids } = made.await??;
        let n_files = files.len();
        let n_bytes: usize = files.iter().map(|file| file.bytes.len()).sum();
        let is_rows = |table| matches!(table, Table::Samples | Table::Metrics);
        let n_rows: usize =
            files.iter().filter(|file| is_rows(file.path.table)).map(|file| file.n_rows).sum();
        self.store.put(files).await?;
        self.written.lock().unwrap_or_else(PoisonError::into_inner).add(new_ids);
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

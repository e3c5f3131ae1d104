//! Takes batches, keeps them on disk, and sends them to every sink, each at its own pace. One thread sends; whoever
//! makes batches waits for the disk only.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher as _, RandomState},
    io,
    path::PathBuf,
    rc::Rc,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::{sync::watch, task::LocalSet};

use super::{
    batch::{Batch, Form, Key, Signal},
    figures::{ShipperFigures, SinkFigures, SinkState, Trouble},
    outcome::Outcome,
    retry::{Backoff, RetryLimits},
    sink::Sink,
    spool::{Limits, Spool, SpoolError},
};
use crate::clock;

/// What a shipper is made of.
pub struct ShipperSettings {
    /// Where batches wait.
    pub spool_dir: PathBuf,
    /// How many.
    pub limits: Limits,
    /// When a sink that failed is asked again.
    pub retry: RetryLimits,
    /// Receivers by name. A name stands for what the receiver has got, also after a restart.
    pub sinks: BTreeMap<String, Box<dyn Sink>>,
}

/// Why nothing can be sent.
#[derive(Debug, Error)]
pub enum ShipperError {
    /// The spool cannot be used.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// There is no thread, or nothing to wait on.
    #[error("cannot start sending")]
    Start(#[source] io::Error),
}

/// Sends batches, and keeps them until they are sent.
pub struct Shipper {
    shared: Arc<Shared>,
    forms: BTreeMap<Signal, BTreeSet<Form>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// Told whenever a sink is done with a batch.
    progress: Condvar,
    /// Told whenever there is a batch, and once when the shipper closes.
    wake: watch::Sender<Wake>,
}

struct State {
    spool: Spool,
    sinks: BTreeMap<String, SinkFigures>,
}

#[derive(Clone, Copy, Default)]
struct Wake {
    is_closing: bool,
}

impl Shipper {
    /// Opens the spool and begins to send what waits there.
    ///
    /// # Errors
    /// If the spool cannot be used, or there is no thread to be had.
    pub fn start(settings: ShipperSettings) -> Result<Self, ShipperError> {
        let ShipperSettings { spool_dir, limits, retry, sinks } = settings;
        let names: Vec<String> = sinks.keys().cloned().collect();
        let spool = Spool::open(&spool_dir, limits, &names, clock::unix_ns())?;
        let forms = [Signal::Profiles, Signal::Metrics].map(|signal| {
            (signal, sinks.values().filter_map(|sink| sink.form(signal)).collect::<BTreeSet<_>>())
        });
        let figures = names.into_iter().map(|name| (name, SinkFigures::default())).collect();
        let shared = Arc::new(Shared {
            state: Mutex::new(State { spool, sinks: figures }),
            progress: Condvar::new(),
            wake: watch::Sender::default(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ShipperError::Start)?;
        let of_thread = Arc::clone(&shared);
        let body = move || {
            runtime.block_on(send_all(&of_thread, sinks, retry));
            // A request that still waits for its receiver is left to its own time limit.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("brazier-ship".into()).spawn(body);
        let thread = thread.map_err(ShipperError::Start)?;
        Ok(Self { shared, forms: forms.into(), thread: Some(thread) })
    }

    /// The forms that a batch of this signal needs to have; none if nobody takes it.
    #[must_use]
    pub fn forms(&self, signal: Signal) -> &BTreeSet<Form> {
        const NONE: &BTreeSet<Form> = &BTreeSet::new();
        self.forms.get(&signal).unwrap_or(NONE)
    }

    /// Takes a batch: it is on disk when this returns, and on its way.
    ///
    /// # Errors
    /// If it cannot be kept; it is not sent then. The failure is counted.
    pub fn ship(&self, batch: Batch) -> Result<Key, SpoolError> {
        let key = self.shared.lock().spool.append(batch, clock::unix_ns())?;
        self.shared.wake.send_modify(|_| {});
        Ok(key)
    }

    /// Waits until every sink has got everything or has given it up, but no longer than `time`; how many batches
    /// still wait then, by sink.
    pub fn flush(&self, time: Duration) -> BTreeMap<String, usize> {
        let end = Instant::now().checked_add(time);
        let mut state = self.shared.lock();
        loop {
            let waiting = state.waiting();
            let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            if waiting.is_empty() || left.is_zero() {
                return waiting;
            }
            let waited = self.shared.progress.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Sends what can be sent in this time, and ends; what is left is on disk for the next start. What became of
    /// batches until then.
    pub fn close(mut self, time: Duration) -> ShipperFigures {
        let _ = self.flush(time);
        self.end();
        self.figures()
    }

    /// What became of batches so far.
    #[must_use]
    pub fn figures(&self) -> ShipperFigures {
        let state = self.shared.lock();
        let sinks = state.sinks.iter().map(|(name, figures)| SinkState {
            name: name.clone(),
            figures: figures.clone(),
            n_waiting: state.spool.n_waiting(name),
        });
        ShipperFigures {
            sinks: sinks.collect(),
            spool: state.spool.figures().clone(),
            spool_bytes: state.spool.bytes(),
            oldest_age: state.spool.oldest_age(clock::unix_ns()),
        }
    }

    fn end(&mut self) {
        self.shared.wake.send_modify(|wake| wake.is_closing = true);
        if let Some(thread) = self.thread.take() {
            // It ends without a result; had it panicked, what it had to send is on disk.
            let _ = thread.join();
        }
    }
}

impl Drop for Shipper {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Sinks for which batches wait.
    fn waiting(&self) -> BTreeMap<String, usize> {
        let waiting = self.sinks.keys().map(|sink| (sink.clone(), self.spool.n_waiting(sink)));
        waiting.filter(|(_, n_waiting)| *n_waiting > 0).collect()
    }
}

/// Sends until the shipper closes.
async fn send_all(shared: &Arc<Shared>, sinks: BTreeMap<String, Box<dyn Sink>>, retry: RetryLimits) {
    let random = Rc::new(RandomState::new());
    let tasks = LocalSet::new();
    for (name, sink) in sinks {
        let queue = Queue {
            name,
            sink,
            shared: Arc::clone(shared),
            backoff: Backoff::new(retry),
            random: Rc::clone(&random),
            n_random: 0,
        };
        tasks.spawn_local(queue.run());
    }
    let mut wake = shared.wake.subscribe();
    // What is on its way when the shipper closes is dropped, and sent again after the next start.
    let _ = tasks.run_until(wake.wait_for(|wake| wake.is_closing)).await;
}

/// One sink and where it is in the row.
struct Queue {
    name: String,
    sink: Box<dyn Sink>,
    shared: Arc<Shared>,
    backoff: Backoff,
    random: Rc<RandomState>,
    n_random: u64,
}

impl Queue {
    async fn run(mut self) {
        let mut wake = self.shared.wake.subscribe();
        loop {
            // Whatever comes after this wakes it.
            wake.mark_unchanged();
            let next = self.shared.lock().spool.next(&self.name, clock::unix_ns());
            match next {
                Some((number, batch)) => self.send(number, &batch).await,
                None => {
                    // Batches may have left by age, so that nothing waits any more.
                    self.shared.progress.notify_all();
                    if wake.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Sends a batch once; waits if it is to be sent again.
    async fn send(&mut self, number: u64, batch: &Batch) {
        let Some(form) = self.sink.form(batch.signal) else {
            return self.done(number, |figures| figures.not_for_it = figures.not_for_it.saturating_add(1));
        };
        let Some(bytes) = batch.part(form).map(<[u8]>::len) else {
            let reason = "the batch was spooled before there was this sink, in no form that it takes";
            return self.give_up(number, reason.to_owned());
        };
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let delivered = |figures: &mut SinkFigures| {
            figures.delivered = figures.delivered.saturating_add(1);
            figures.delivered_bytes = figures.delivered_bytes.saturating_add(bytes);
        };
        match self.sink.send(batch).await {
            Outcome::Delivered => self.done(number, delivered),
            Outcome::PartiallyRejected { n_rejected, reason } => self.done(number, |figures| {
                delivered(figures);
                figures.partially_rejected = figures.partially_rejected.saturating_add(1);
                figures.rejected_items = figures.rejected_items.saturating_add(n_rejected);
                figures.last_trouble = Some(trouble(reason));
            }),
            Outcome::Permanent { reason } => self.give_up(number, reason),
            Outcome::Retry { after, reason } => {
                let wait = self.backoff.failed(after, self.random.hash_one(self.n_random));
                self.n_random = self.n_random.wrapping_add(1);
                self.count(|figures| {
                    figures.retried = figures.retried.saturating_add(1);
                    figures.failing = figures.failing.saturating_add(1);
                    figures.last_trouble = Some(trouble(reason));
                });
                tokio::time::sleep(wait).await;
            }
        }
    }

    fn give_up(&mut self, number: u64, reason: String) {
        self.done(number, |figures| {
            figures.given_up = figures.given_up.saturating_add(1);
            figures.last_trouble = Some(trouble(reason));
        });
    }

    /// The receiver has answered: the batch is off the row.
    fn done(&mut self, number: u64, count: impl FnOnce(&mut SinkFigures)) {
        self.backoff.succeeded();
        self.count(|figures| {
            figures.failing = 0;
            count(figures);
        });
        self.shared.lock().spool.done(&self.name, number);
        self.shared.progress.notify_all();
    }

    fn count(&self, count: impl FnOnce(&mut SinkFigures)) {
        if let Some(figures) = self.shared.lock().sinks.get_mut(&self.name) {
            count(figures);
        }
    }
}

fn trouble(reason: String) -> Trouble {
    Trouble { unix_ns: clock::unix_ns(), reason }
}

#[cfg(test)]
mod tests;

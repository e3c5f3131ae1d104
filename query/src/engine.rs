//! The store, the limits, the threads: answers questions, a few at a time, on threads of its own, so that whoever sends profiles does
//! not wait for whoever looks at them.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use datafusion::execution::{object_store::ObjectStoreUrl, runtime_env::RuntimeEnv};
use object_store::{ObjectMeta, ObjectStore, path::Path};
use tokio::{runtime::Runtime, sync::Semaphore, task::JoinSet};

use crate::{
    error::Error,
    figures::Figures,
    remote::{Cluster, Remote},
    review::{Finding, review},
    scan::Scan,
    session,
};

/// A question waits so long for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);
/// Files may be merged while they are read: then what they have become is read.
const MAX_ATTEMPTS: usize = 4;
/// Files that are known to be bad.
const MAX_BAD_FILES: usize = 10_000;

/// What a question may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Threads, and partitions of a question.
    pub n_threads: usize,
    /// Questions at once.
    pub n_questions: usize,
    /// What all of them may have in memory for sums and sorting.
    pub memory_bytes: usize,
    /// From its turn to its answer.
    pub timeout: Duration,
    /// Files of a table.
    pub max_files: usize,
    /// Distinct stacks that are added up.
    pub max_sums: usize,
    /// Of these the largest become a tree, and the others one sum.
    pub max_stacks: usize,
    /// Series of a timeline or a metric.
    pub max_series: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            n_threads: thread::available_parallelism().map_or(1, usize::from),
            n_questions: 4,
            memory_bytes: 1 << 30,
            timeout: Duration::from_secs(60),
            max_files: 20_000,
            max_sums: 4 << 20,
            max_stacks: 300_000,
            max_series: 100,
        }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// What was asked for.
    pub value: T,
    /// What is not in it, and why.
    pub warnings: Vec<String>,
}

/// What attempts share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// Of all names in it.
    pub(crate) prefix: Path,
    pub(crate) limits: Limits,
    pub(crate) runtime_env: Arc<RuntimeEnv>,
    /// The name of the store in plans.
    pub(crate) store_url: ObjectStoreUrl,
    remote: Option<Remote>,
    bad: Mutex<HashMap<Path, ObjectMeta>>,
    figures: Figures,
}

impl Inner {
    /// Whether a file is known to be unreadable, and still the same.
    pub(crate) fn is_bad(&self, file: &ObjectMeta) -> bool {
        let is_same = |bad: &ObjectMeta| (bad.size, bad.last_modified) == (file.size, file.last_modified);
        self.bad().get(&file.location).is_some_and(is_same)
    }

    /// Looks at the files of an attempt that failed; whether another may do better.
    async fn review(&self, scan: &Scan) -> bool {
        let mut is_worth_it = false;
        let tell = |file: ObjectMeta, finding| {
            is_worth_it = true;
            if let Finding::Bad(what) = finding {
                tracing::warn!(file = %file.location, what, "a file of the store cannot be read, and is left out");
                self.figures.files_left_out.fetch_add(1, Ordering::Relaxed);
                let mut bad = self.bad();
                if bad.len() >= MAX_BAD_FILES {
                    bad.clear();
                }
                bad.insert(file.location.clone(), file);
            }
        };
        review(&self.store, scan.read(), tell).await;
        is_worth_it
    }

    fn bad(&self) -> MutexGuard<'_, HashMap<Path, ObjectMeta>> {
        self.bad.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers questions.
#[derive(Debug)]
pub struct Engine {
    inner: Arc<Inner>,
    room: Semaphore,
    /// Taken when it is dropped.
    threads: Option<Runtime>,
}

impl Engine {
    /// Over the files below a prefix of a store.
    ///
    /// # Errors
    /// If there are no threads to be had.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path, limits: Limits) -> Result<Self, Error> {
        Self::with_cluster(store, prefix, limits, None)
    }

    /// The same, with a cluster that carries plans out as long as it is there. While it is not, they are carried out here, and
    /// answers say so.
    ///
    /// # Errors
    /// If there are no threads to be had.
    pub fn with_cluster(
        store: Arc<dyn ObjectStore>,
        prefix: Path,
        limits: Limits,
        cluster: Option<Arc<dyn Cluster>>,
    ) -> Result<Self, Error> {
        let threads = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(limits.n_threads.max(1))
            .thread_name("query")
            // Expressions of people may be nested.
            .thread_stack_size(16 << 20)
            .enable_all()
            .build()
            .map_err(|error| Error::Internal { what: format!("cannot start threads: {error}") })?;
        let store_url = match &cluster {
            Some(cluster) => cluster.store_url(),
            None => session::store_url()?,
        };
        let runtime_env = session::runtime(Arc::clone(&store), &store_url, limits.memory_bytes)?;
        let room = Semaphore::new(limits.n_questions.max(1));
        let (bad, figures) = (Mutex::default(), Figures::default());
        let remote = cluster.map(Remote::new);
        let inner = Arc::new(Inner { store, prefix, limits, runtime_env, store_url, remote, bad, figures });
        Ok(Self { inner, room, threads: Some(threads) })
    }

    /// What was counted.
    #[must_use]
    pub fn figures(&self) -> &Figures {
        &self.inner.figures
    }

    /// Answers that came from the cluster, and those that came from here as it was not there; none without a cluster.
    #[must_use]
    pub fn of_cluster(&self) -> Option<(u64, u64)> {
        let remote = self.inner.remote.as_ref()?;
        Some((remote.answered.load(Ordering::Relaxed), remote.fell_back.load(Ordering::Relaxed)))
    }

    /// Why the cluster was not there when it was last asked.
    #[must_use]
    pub fn missing_cluster(&self) -> Option<String> {
        self.inner.remote.as_ref()?.missing()
    }

    /// What questions may take.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// Asks, and asks again without the files that turn out to be gone or unreadable.
    pub(crate) async fn answer<T, A>(
        &self,
        tenant: &str,
        ask: impl Fn(Arc<Scan>) -> A,
    ) -> Result<Answer<T>, Error>
    where
        T: Send + 'static,
        A: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let turn = tokio::time::timeout(TURN_TIMEOUT, self.room.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(Error::Busy) };
        let start = Instant::now();
        let timeout = self.inner.limits.timeout;
        let result = tokio::time::timeout(timeout, self.attempts(tenant, ask)).await;
        let result = result.unwrap_or(Err(Error::TooSlow { seconds: timeout.as_secs() }));
        let figures = &self.inner.figures;
        let counter = if result.is_ok() { &figures.answered } else { &figures.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        let taken_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        figures.taken_ns.fetch_add(taken_ns, Ordering::Relaxed);
        result
    }

    async fn attempts<T, A>(&self, tenant: &str, ask: impl Fn(Arc<Scan>) -> A) -> Result<Answer<T>, Error>
    where
        T: Send + 'static,
        A: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let mut n_attempts = 0_usize;
        loop {
            let (cluster, told) = self.reach().await;
            let scan = Arc::new(Scan::new(Arc::clone(&self.inner), tenant, cluster.as_deref())?);
            let error = match self.run(ask(Arc::clone(&scan))).await? {
                Ok(value) => {
                    if let Some(remote) = &self.inner.remote {
                        remote.count(cluster.is_some());
                    }
                    return Ok(Answer { value, warnings: told.into_iter().chain(scan.warnings()).collect() });
                }
                Err(error) if cluster.is_some() => error.on_cluster(),
                Err(error) => error,
            };
            n_attempts = n_attempts.saturating_add(1);
            if !error.is_of_files() || n_attempts >= MAX_ATTEMPTS {
                return Err(error);
            }
            // It may have gone meanwhile: then it is not the files.
            if cluster.is_some() && self.reach().await.0.is_none() {
                continue;
            }
            let inner = Arc::clone(&self.inner);
            if !self.run(async move { Ok(inner.review(&scan).await) }).await?.unwrap_or(false) {
                return Err(error);
            }
        }
    }

    /// The cluster, if it is there; if there should be one and it is not, what whoever asks is told.
    async fn reach(&self) -> (Option<Arc<dyn Cluster>>, Option<String>) {
        let Some(remote) = &self.inner.remote else { return (None, None) };
        match remote.reach().await {
            Ok(cluster) => (Some(cluster), None),
            Err(why) => {
                (None, Some(format!("the cluster is not there ({why}): the collector has answered alone")))
            }
        }
    }

    /// On the threads of the engine; ended when nobody waits any more. A panic, of a reader that meets what it does not expect, is an
    /// error.
    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<Result<T, Error>, Error> {
        let ending = || Error::Internal { what: "the engine ends".to_owned() };
        let threads = self.threads.as_ref().ok_or_else(ending)?;
        let mut tasks = JoinSet::new();
        tasks.spawn_on(work, threads.handle());
        match tasks.join_next().await {
            Some(Ok(result)) => Ok(result),
            Some(Err(error)) if error.is_panic() => {
                Ok(Err(Error::File { what: "the reader failed on a file".to_owned() }))
            }
            _ => Err(ending()),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            // It may be dropped where nothing may wait.
            threads.shutdown_background();
        }
    }
}

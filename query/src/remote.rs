//! A cluster that carries plans out instead of this process: whether it is there, and what is known while it is not.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use datafusion::{
    error::DataFusionError,
    execution::{SessionState, object_store::ObjectStoreUrl},
};

/// What an executor says that is to read another store than it has: then nothing is wrong with the files.
pub const OF_ANOTHER_STORE: &str = "this executor reads another store";

/// A cluster says so fast whether it is there.
const REACH_TIMEOUT: Duration = Duration::from_secs(2);
/// One that was not there is not asked again for so long: who asks meanwhile shall not wait for it.
const PAUSE: Duration = Duration::from_secs(5);

/// Another place where plans are carried out.
#[async_trait]
pub trait Cluster: fmt::Debug + Send + Sync {
    /// Whether a plan would be carried out now; if not, why.
    async fn ready(&self) -> Result<(), String>;

    /// The name that plans have for the store: everybody who carries them out has to know it.
    fn store_url(&self) -> ObjectStoreUrl;

    /// The same session, but that its plans are carried out there.
    ///
    /// # Errors
    /// If there cannot be one.
    fn session(&self, state: SessionState) -> Result<SessionState, DataFusionError>;
}

/// A cluster, and what was last seen of it.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) cluster: Arc<dyn Cluster>,
    /// Since when it is not there, as far as was seen, and why.
    missed: Mutex<Option<(Instant, String)>>,
    /// Answers that came from it.
    pub(crate) answered: AtomicU64,
    /// Answers that came from here, as it was not there.
    pub(crate) fell_back: AtomicU64,
}

impl Remote {
    pub(crate) fn new(cluster: Arc<dyn Cluster>) -> Self {
        Self { cluster, missed: Mutex::default(), answered: AtomicU64::new(0), fell_back: AtomicU64::new(0) }
    }

    /// The cluster, if it is there; otherwise why it is not.
    pub(crate) async fn reach(&self) -> Result<Arc<dyn Cluster>, String> {
        if let Some((_, why)) = self.missed().as_ref().filter(|(since, _)| since.elapsed() < PAUSE) {
            return Err(why.clone());
        }
        let ready = tokio::time::timeout(REACH_TIMEOUT, self.cluster.ready()).await;
        let ready = ready.unwrap_or_else(|_| Err(format!("no answer after {} s", REACH_TIMEOUT.as_secs())));
        let mut missed = self.missed();
        match ready {
            Ok(()) => {
                if missed.take().is_some() {
                    tracing::info!("the cluster is there again");
                }
                Ok(Arc::clone(&self.cluster))
            }
            Err(why) => {
                if missed.is_none() {
                    tracing::warn!(why, "the cluster is not there: questions are answered by this process");
                }
                *missed = Some((Instant::now(), why.clone()));
                Err(why)
            }
        }
    }

    /// Why it was not there when it was last asked.
    pub(crate) fn missing(&self) -> Option<String> {
        self.missed().as_ref().map(|(_, why)| why.clone())
    }

    /// Counts an answer.
    pub(crate) fn count(&self, is_of_cluster: bool) {
        let counter = if is_of_cluster { &self.answered } else { &self.fell_back };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn missed(&self) -> MutexGuard<'_, Option<(Instant, String)>> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Memory of groups and the daemon's own figures, as metrics, on a thread of their own: a batch for each window.

use std::{
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, SyncSender},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use profile::Labels;
use tracing::warn;

use super::{engine::Shared, metrics};
use crate::{
    clock,
    memory::trend::{ProcessGroup, TrendSettings, Trends},
    send::{
        batch::{Keys, Signal},
        make,
        shipper::Shipper,
    },
};

/// The name of what our own figures are of.
const OWN_SERVICE: &str = "brazier-agent";

/// What it goes by.
pub(super) struct ReporterSettings {
    pub(super) host: String,
    /// On everything.
    pub(super) labels: Labels,
    /// Between two readings of memory.
    pub(super) interval: Duration,
    /// Between two batches.
    pub(super) window: Duration,
}

/// The thread.
pub(super) struct Reporter {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Reporter {
    /// Begins to read memory.
    pub(super) fn start(
        settings: ReporterSettings,
        shared: Arc<Shared>,
        shipper: Arc<Shipper>,
        keys: Keys,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::sync_channel(1);
        let trends = Trends::new(TrendSettings { interval: settings.interval, ..TrendSettings::default() });
        let mut work =
            Work { shipped_unix_ns: clock::unix_ns(), settings, shared, shipper, keys, trends, error: None };
        let body = move || {
            let mut shipped = Instant::now();
            loop {
                work.read();
                let pause = work.settings.interval.min(work.settings.window);
                let has_ended = stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout);
                if has_ended || shipped.elapsed() >= work.settings.window {
                    shipped = Instant::now();
                    work.ship();
                }
                if has_ended {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("brazier-metrics".into()).spawn(body)?;
        Ok(Self { stop, thread })
    }

    /// Ships what there is, and ends.
    pub(super) fn finish(self) {
        // Full is as good as sent.
        let _ = self.stop.try_send(());
        // It ends without a result.
        let _ = self.thread.join();
    }
}

struct Work {
    settings: ReporterSettings,
    shared: Arc<Shared>,
    shipper: Arc<Shipper>,
    keys: Keys,
    trends: Trends,
    shipped_unix_ns: u64,
    error: Option<String>,
}

impl Work {
    fn read(&mut self) {
        let groups = self.shared.groups();
        let groups: Vec<ProcessGroup<'_>> =
            groups.iter().map(|(labels, pids)| ProcessGroup { labels, pids }).collect();
        self.trends.read(&groups);
    }

    fn ship(&mut self) {
        if self.shipper.forms(Signal::Metrics).is_empty() {
            return;
        }
        let now_unix_ns = clock::unix_ns();
        let base = &self.settings.labels;
        let with =
            |labels: &Labels| labels.iter().fold(base.clone(), |all, (name, value)| all.with(name, value));
        let mut groups: Vec<_> =
            self.trends.metrics(now_unix_ns).into_iter().map(|(labels, it)| (with(&labels), it)).collect();
        if let Some(view) = self.shared.board.view(clock::monotonic_ns()) {
            let own = base
                .clone()
                .with("service.name", OWN_SERVICE)
                .with("service.version", env!("CARGO_PKG_VERSION"));
            groups.insert(0, (own, metrics::metrics(&view.figures)));
        }
        if groups.is_empty() {
            return;
        }
        let times = (self.shipped_unix_ns, now_unix_ns);
        let batch = make::of_many_metrics(
            groups.iter().map(|(labels, metrics)| (labels, metrics.as_slice())),
            &self.settings.host,
            self.keys.next_key(),
            times,
        );
        self.shipped_unix_ns = now_unix_ns;
        let error = self.shipper.ship(batch).err().map(|error| super::causes(&error));
        if error.is_some() && error != self.error {
            warn!("metrics are lost: {}", error.as_deref().unwrap_or_default());
        }
        self.error = error;
    }
}

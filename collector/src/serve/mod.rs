//! The server: wires receiving, log and store, and ends when it is told to.

mod figures;
mod flusher;
mod health;
mod listener;
mod metrics;
mod tls;
mod web;

use std::{net::SocketAddr, sync::Arc, thread, time::Duration};

use query::Engine;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

pub use figures::{FlushFigures, StoreState};
pub use flusher::Flusher;
pub use health::judge;
pub use listener::{ListenError, Listener};
pub use tls::TlsError;

use crate::{
    api::Api,
    clock, cluster,
    config::{Config, ConfigError},
    receive::{self, Intake, IntakeLimits, Tenants},
    store::{Store, StoreError},
    wal::{self, Log, LogError},
    watch::{self, Board, Pace, Watcher, Webhook},
};

/// Requests that are under way get so long to end.
const CONNECTIONS_TIMEOUT: Duration = Duration::from_secs(10);
/// And then what is in the log gets so long to reach the store. What does not, is there at the next start.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);
/// Bodies in memory, together.
const BODIES_BYTES: u64 = 256 << 20;

/// Where it listens: the ports that were found, where 0 was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// gRPC.
    pub grpc: SocketAddr,
    /// HTTP.
    pub http: SocketAddr,
    /// `/api`, `/health`, `/metrics`.
    pub web: SocketAddr,
}

/// Why it does not serve.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The configuration.
    #[error("the configuration is wrong")]
    Config(#[from] ConfigError),
    /// The log.
    #[error("there is no log")]
    Log(#[from] LogError),
    /// The store.
    #[error("there is no store")]
    Store(#[from] StoreError),
    /// What answers questions.
    #[error("nothing can be asked")]
    Query(#[from] query::Error),
    /// An address.
    #[error("cannot serve")]
    Listen(#[from] ListenError),
    /// Certificates.
    #[error("there is no TLS")]
    Tls(#[from] TlsError),
    /// The system.
    #[error("cannot {what}")]
    System {
        /// What was to be done.
        what: &'static str,
        /// What it said.
        source: std::io::Error,
    },
}

/// Serves until SIGTERM or SIGINT; `listening` is told where.
///
/// # Errors
/// If it cannot begin.
pub fn run(config: &Config, listening: impl FnOnce(Listening)) -> Result<(), ServeError> {
    let system = |what| move |source| ServeError::System { what, source };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("collector").build();
    let runtime = runtime.map_err(system("start threads"))?;
    let result = runtime.block_on(serve(config, listening));
    // What still runs are connections of senders who do not listen.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(config: &Config, listening: impl FnOnce(Listening)) -> Result<(), ServeError> {
    let system = |what| move |source| ServeError::System { what, source };
    let mut terminate = signal(SignalKind::terminate()).map_err(system("wait for SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system("wait for SIGINT"))?;
    let rules = watch::rules(&config.alerts, &config.watch)?;
    let webhook = config.alerts.webhook.as_ref().map(Webhook::new).transpose()?;
    let tenants = Tenants::new(&config.tenants()?, config.limits);
    let log = Arc::new(Log::open(&config.log_dir(), config.log_limits(), clock::monotonic_ns)?);
    let collector = wal::collector_id(&config.log_dir().join("id")).map_err(system("name this collector"))?;
    let store = Store::open(&config.store_address(), environment())?;
    store.sweep(&collector)?;
    let (objects, prefix) = store.objects();
    let of_cluster = cluster::of(config.query.cluster.as_deref(), config.query.cluster_partitions, &store)?;
    let engine = Arc::new(Engine::with_cluster(objects, prefix, config.query_limits(), of_cluster)?);
    let board = Arc::new(Board::new(rules, webhook.is_some()));
    let is_local = config.listen.web.ip().is_loopback();
    let api = Api::new(Arc::clone(&engine), Arc::clone(&board), is_local);
    let flusher = Arc::new(Flusher::new(Arc::clone(&log), store, collector, config.upkeep()));
    let flushing = tokio::spawn(Arc::clone(&flusher).run());

    let decoders = thread::available_parallelism().map_or(1, usize::from);
    let limits = IntakeLimits { bodies_bytes: BODIES_BYTES, decoders };
    let intake = Arc::new(Intake::new(tenants, Arc::clone(&log), limits));
    let tls = tls::acceptor(&config.tls)?;
    let receiving = |address| {
        let intake = Arc::clone(&intake);
        Listener::start(address, tls.clone(), move |request| receive::answer(request, Arc::clone(&intake)))
    };
    let grpc = receiving(config.listen.grpc)?;
    let http = receiving(config.listen.http)?;
    let (of_intake, of_log, of_flusher) = (Arc::clone(&intake), Arc::clone(&log), Arc::clone(&flusher));
    let known = web::Known::new(of_intake, of_log, of_flusher, api, config.log.max_bytes);
    let known = Arc::new(known);
    let web =
        Listener::start(config.listen.web, None, move |request| web::answer(request, Arc::clone(&known)))?;
    listening(Listening { grpc: grpc.address(), http: http.address(), web: web.address() });
    let pace = Pace {
        every: Duration::from_secs(config.alerts.every_seconds),
        timeout: Duration::from_secs(config.alerts.timeout_seconds),
    };
    let watching = tokio::spawn(Watcher::new(Arc::clone(&board), engine, intake, pace).run());
    let page_url = config.alerts.page_url.clone().unwrap_or_else(|| format!("http://{}", web.address()));
    let page_url = page_url.trim_end_matches('/').to_owned();
    let telling = webhook.map(|webhook| tokio::spawn(webhook.run(board, page_url)));
    tracing::info!(store = config.store_address(), "ready");

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("ending");
    watching.abort();
    if let Some(telling) = telling {
        telling.abort();
    }
    tokio::join!(grpc.end(CONNECTIONS_TIMEOUT), http.end(CONNECTIONS_TIMEOUT));
    log.close().await;
    if tokio::time::timeout(FLUSH_TIMEOUT, flushing).await.is_err() {
        let (n_segments, n_bytes) = log.shelf().waiting();
        tracing::warn!(
            n_segments,
            n_bytes,
            "the store did not take all of the log; the next start goes on with it"
        );
    }
    web.end(Duration::from_secs(1)).await;
    Ok(())
}

/// What a bucket may be told by.
pub(crate) fn environment() -> Vec<(String, String)> {
    let is_of_a_bucket =
        |name: &str| ["AWS_", "AZURE_", "GOOGLE_"].iter().any(|start| name.starts_with(start));
    std::env::vars().filter(|(name, _)| is_of_a_bucket(name)).collect()
}

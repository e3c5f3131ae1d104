//! An executor: reads the store, carries out its part of plans, and gives results to whoever asked.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
};

use ballista_core::{
    config::TaskSchedulingPolicy, extension::ballista_scalar_functions, registry::BallistaFunctionRegistry,
};
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use object_store::ObjectStore;
use tempfile::TempDir;

use crate::{
    ClusterError, MESSAGE_BYTES, SchedulerAddress, check_open,
    codec::{LogicalCodec, PhysicalCodec},
    scheduler::{EXECUTOR_SECONDS, host},
    session,
    stores::{Stores, store_name},
};

/// Footers of files that are kept, for all questions.
const METADATA_BYTES: usize = 128 << 20;
/// A scheduler may start so much later.
const SCHEDULER_SECONDS: u16 = 30;
/// What a scheduler that is gone has left is removed after so long, and looked for so often.
const LEFT_SECONDS: u64 = 3_600;
const LOOK_SECONDS: u64 = 300;

/// What an executor is to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who gives it work.
    pub scheduler: SchedulerAddress,
    /// Where collectors and other executors fetch results.
    pub listen: SocketAddr,
    /// The port, of the same host, where the scheduler brings work; 0 is any.
    pub tasks_port: u16,
    /// By which name or address it is reached, if not by that.
    pub advertise: Option<String>,
    /// Parts of questions at once; 0 is one for each CPU.
    pub n_threads: usize,
    /// What all of them may have in memory for sums and sorting; seven tenths of the host's, or the container's, unless it is said.
    pub memory_bytes: Option<u64>,
    /// Where results wait; a directory of its own unless it is said.
    pub work_dir: Option<PathBuf>,
    /// Whether everybody who reaches it may ask.
    pub without_tokens: bool,
}

/// Works until SIGTERM or SIGINT over the store at an address; `listening` is told where.
///
/// # Errors
/// If it cannot begin, or not go on.
pub async fn run(
    options: &Options,
    address: &str,
    store: Arc<dyn ObjectStore>,
    listening: impl FnOnce(SocketAddr),
) -> Result<(), ClusterError> {
    check_open(options.listen, options.without_tokens)?;
    let system = |what: String| move |source| ClusterError::System { what, source };
    let listen = found(options.listen).map_err(system(format!("listen on {}", options.listen)))?;
    let tasks = SocketAddr::new(listen.ip(), options.tasks_port);
    let tasks = found(tasks).map_err(system(format!("listen on {tasks}")))?;
    // It ends with this function.
    let (_own, work_dir) =
        work_dir(options.work_dir.as_deref()).map_err(system("make a directory".to_owned()))?;
    let named =
        store_name(address).map_err(|source| ClusterError::Store { store: address.to_owned(), source })?;
    let runtime = runtime(Stores::one(named, store), &work_dir)
        .map_err(|source| ClusterError::Store { store: address.to_owned(), source })?;
    let (scheduler_host, scheduler_port) = options.scheduler.host_and_port();
    // A scheduler sees by itself where an executor is that listens everywhere.
    let is_somewhere = !listen.ip().is_unspecified();
    let config = ExecutorProcessConfig {
        bind_host: host(listen),
        external_host: options.advertise.clone().or_else(|| is_somewhere.then(|| host(listen))),
        port: listen.port(),
        grpc_port: tasks.port(),
        scheduler_host,
        scheduler_port,
        scheduler_connect_timeout_seconds: SCHEDULER_SECONDS,
        vcores: options.n_threads,
        task_scheduling_policy: TaskSchedulingPolicy::PushStaged,
        work_dir: Some(work_dir.display().to_string()),
        job_data_ttl_seconds: LEFT_SECONDS,
        job_data_clean_up_interval_seconds: LOOK_SECONDS,
        grpc_max_decoding_message_size: MESSAGE_BYTES,
        grpc_max_encoding_message_size: MESSAGE_BYTES,
        executor_heartbeat_interval_seconds: EXECUTOR_SECONDS / 3,
        memory_pool_size: options.memory_bytes,
        override_function_registry: Some(Arc::new(functions())),
        override_runtime_producer: Some(Arc::new(move |_| Ok(Arc::clone(&runtime)))),
        override_config_producer: Some(Arc::new(session::settings)),
        override_logical_codec: Some(Arc::new(LogicalCodec::default())),
        override_physical_codec: Some(Arc::new(PhysicalCodec::default())),
        ..ExecutorProcessConfig::default()
    };
    listening(listen);
    start_executor_process(Arc::new(config))
        .await
        .map_err(|source| ClusterError::Failed { what: "the executor does not go on", source })
}

/// An address with a port: Ballista tells the scheduler that it was given, so that 0 would be told.
fn found(address: SocketAddr) -> io::Result<SocketAddr> {
    if address.port() == 0 { TcpListener::bind(address)?.local_addr() } else { Ok(address) }
}

fn work_dir(wanted: Option<&Path>) -> io::Result<(Option<TempDir>, PathBuf)> {
    match wanted {
        Some(path) => {
            fs::create_dir_all(path)?;
            Ok((None, path.to_owned()))
        }
        None => {
            let own = tempfile::Builder::new().prefix("brazier-executor-").tempdir()?;
            let path = own.path().to_owned();
            Ok((Some(own), path))
        }
    }
}

/// What all tasks share: the store, and the footers of its files.
fn runtime(stores: Stores, work_dir: &Path) -> datafusion::error::Result<Arc<RuntimeEnv>> {
    RuntimeEnvBuilder::new()
        .with_object_store_registry(Arc::new(stores))
        .with_metadata_cache_limit(METADATA_BYTES)
        .with_temp_file_path(work_dir)
        .build_arc()
}

/// The functions of SQL that a scheduler plans with.
fn functions() -> BallistaFunctionRegistry {
    let mut functions = BallistaFunctionRegistry::default();
    let all = ballista_scalar_functions().into_iter();
    functions.scalar_functions.extend(all.map(|function| (function.name().to_owned(), function)));
    functions
}

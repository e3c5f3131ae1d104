//! The scheduler: takes plans, cuts them into stages, gives these to executors. It reads no file of the store.

use std::{net::SocketAddr, sync::Arc};

use ballista_core::{
    config::TaskSchedulingPolicy,
    extension::{ballista_aggregate_functions, ballista_scalar_functions, ballista_window_functions},
    optimizer::ballista_default_optimizer_rules,
};
use ballista_scheduler::{
    cluster::BallistaCluster,
    config::{SchedulerConfig, TaskDistributionPolicy},
    scheduler_process::{create_scheduler, start_grpc_service_with_listener},
};
use datafusion::{
    error::Result,
    execution::{SessionState, SessionStateBuilder, runtime_env::RuntimeEnvBuilder},
    prelude::SessionConfig,
};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::{
    ClusterError, MESSAGE_BYTES, check_open,
    codec::{LogicalCodec, PhysicalCodec},
    session,
    stores::Stores,
};

/// Results of a question wait so long for whoever asked; nobody waits longer than a minute.
const RESULTS_SECONDS: u64 = 120;
/// What is known of a question is kept so long.
const JOBS_SECONDS: u64 = 600;
/// An executor that is not heard of for so long is gone.
pub(crate) const EXECUTOR_SECONDS: u64 = 30;

/// What a scheduler is to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where collectors and executors reach it.
    pub listen: SocketAddr,
    /// By which name or address executors reach it, if not by that.
    pub advertise: Option<String>,
    /// Whether everybody who reaches it may ask.
    pub without_tokens: bool,
}

fn state(config: SessionConfig) -> Result<SessionState> {
    let runtime = RuntimeEnvBuilder::new().with_object_store_registry(Arc::new(Stores::none()));
    Ok(SessionStateBuilder::new()
        .with_default_features()
        .with_config(config)
        .with_runtime_env(runtime.build_arc()?)
        .with_optimizer_rules(ballista_default_optimizer_rules())
        .with_scalar_functions(ballista_scalar_functions())
        .with_aggregate_functions(ballista_aggregate_functions())
        .with_window_functions(ballista_window_functions())
        .build())
}

/// Schedules until SIGTERM or SIGINT; `listening` is told where.
///
/// # Errors
/// If it cannot begin, or not go on.
pub async fn run(options: &Options, listening: impl FnOnce(SocketAddr)) -> Result<(), ClusterError> {
    check_open(options.listen, options.without_tokens)?;
    let system = |what: String| move |source| ClusterError::System { what, source };
    let mut terminate = signal(SignalKind::terminate()).map_err(system("wait for SIGTERM".to_owned()))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system("wait for SIGINT".to_owned()))?;
    let listener = TcpListener::bind(options.listen).await;
    let listener = listener.map_err(system(format!("listen on {}", options.listen)))?;
    let address = listener.local_addr().map_err(system(format!("listen on {}", options.listen)))?;
    let advertised = options.advertise.clone().unwrap_or_else(|| host(address));
    let config = SchedulerConfig {
        external_host: advertised,
        bind_port: address.port(),
        bind_host: host(address),
        scheduling_policy: TaskSchedulingPolicy::PushStaged,
        // A question shall have all of them, not one as long as it has room.
        task_distribution: TaskDistributionPolicy::RoundRobin,
        finished_job_data_clean_up_interval_seconds: RESULTS_SECONDS,
        finished_job_state_clean_up_interval_seconds: JOBS_SECONDS,
        grpc_server_max_decoding_message_size: MESSAGE_BYTES,
        grpc_server_max_encoding_message_size: MESSAGE_BYTES,
        grpc_client_max_message_size: MESSAGE_BYTES,
        executor_timeout_seconds: EXECUTOR_SECONDS,
        override_config_producer: Some(Arc::new(session::settings)),
        override_session_builder: Some(Arc::new(state)),
        override_logical_codec: Some(Arc::new(LogicalCodec::default())),
        override_physical_codec: Some(Arc::new(PhysicalCodec::default())),
        ..SchedulerConfig::default()
    };
    let failed = |what| move |source| ClusterError::Failed { what, source };
    let cluster = BallistaCluster::new_from_config(&config).await;
    let cluster = cluster.map_err(failed("the scheduler does not start"))?;
    let scheduler = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, Arc::new(config)).await;
    let scheduler = scheduler.map_err(failed("the scheduler does not start"))?;
    listening(address);
    tokio::select! {
        served = start_grpc_service_with_listener(listener, scheduler) => {
            served.map_err(failed("the scheduler does not go on"))
        }
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// The host of an address, as it stands in a URL.
pub(crate) fn host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(it) => it.ip().to_string(),
        SocketAddr::V6(it) => format!("[{}]", it.ip()),
    }
}

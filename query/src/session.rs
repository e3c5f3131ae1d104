//! DataFusion as it is used here: no catalogue, no files of its own, bounded memory, nothing on disk.

use std::sync::Arc;

use datafusion::{
    error::DataFusionError,
    execution::{
        SessionState, SessionStateBuilder,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::GreedyMemoryPool,
        object_store::ObjectStoreUrl,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    prelude::SessionConfig,
};
use object_store::ObjectStore;

/// Footers and statistics of files that are kept.
const METADATA_BYTES: usize = 128 << 20;

/// The name that the store goes by where nobody else has to know it.
pub(crate) fn store_url() -> Result<ObjectStoreUrl, DataFusionError> {
    ObjectStoreUrl::parse("store://brazier")
}

/// What all questions share.
pub(crate) fn runtime(
    store: Arc<dyn ObjectStore>,
    store_url: &ObjectStoreUrl,
    memory_bytes: usize,
) -> Result<Arc<RuntimeEnv>, DataFusionError> {
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory_bytes)))
        .with_metadata_cache_limit(METADATA_BYTES)
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .build_arc()?;
    runtime.register_object_store(store_url.as_ref(), store);
    Ok(runtime)
}

/// What one question has for itself.
pub(crate) fn state(runtime: Arc<RuntimeEnv>, n_threads: usize) -> SessionState {
    let mut config = SessionConfig::new()
        .with_target_partitions(n_threads)
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(true);
    let options = config.options_mut();
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    // Columns have the types that the schema says.
    options.execution.parquet.schema_force_view_types = false;
    options.execution.collect_statistics = false;
    SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features().build()
}

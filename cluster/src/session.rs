//! What scheduler and executors have of a session beside what whoever asks has set.

use std::sync::Arc;

use ballista_core::extension::SessionConfigExt as _;
use datafusion::prelude::SessionConfig;

use crate::{
    MESSAGE_BYTES,
    codec::{LogicalCodec, PhysicalCodec},
};

/// Makes a session's plans such that a cluster carries them out, and ours readable.
pub(crate) fn of_cluster(config: SessionConfig) -> SessionConfig {
    config
        .upgrade_for_ballista()
        // Plans that change while they are carried out sort in ranges, and a range that another executor has loses the dictionaries
        // of its texts on the way: what comes next does not take them.
        .with_ballista_adaptive_query_planner(false)
        .with_ballista_logical_extension_codec(Arc::new(LogicalCodec::default()))
        .with_ballista_physical_extension_codec(Arc::new(PhysicalCodec::default()))
        .with_ballista_grpc_client_max_message_size(usize::try_from(MESSAGE_BYTES).unwrap_or(usize::MAX))
}

/// The settings that the cluster's own programs begin with.
pub(crate) fn settings() -> SessionConfig {
    of_cluster(SessionConfig::new().with_information_schema(false))
}

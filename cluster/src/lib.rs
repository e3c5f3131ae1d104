//! Questions on a [Ballista](https://datafusion.apache.org/ballista/) cluster: the same plans as in one process, carried out by any
//! number of executors, each of which reads the store itself.
//!
//! [`Ballista`] is what a collector asks; [`scheduler`] and [`executor`] are the two programs of the cluster. `codec` writes and reads
//! what of plans is ours; `stores` has the one store that an executor reads. A plan names the store and its files, never how to get
//! at them: that an executor has from its own environment.

mod address;
mod client;
mod codec;
pub mod executor;
mod refused;
pub mod scheduler;
mod session;
mod stores;

use std::{io, net::SocketAddr};

use thiserror::Error;

pub use address::{SchedulerAddress, WrongAddress};
pub use client::Ballista;
pub use stores::store_name;

/// A message between collector, scheduler and executors: a plan with a million identities is a quarter of it.
const MESSAGE_BYTES: u32 = 64 << 20;

/// Why the scheduler or an executor ends.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// It would be open to everybody.
    #[error(
        "{address} is an address that other hosts reach, and who reaches it may read the whole store: let only collectors and \
         executors reach it, and say so with --without-tokens"
    )]
    Open {
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// The system.
    #[error("cannot {what}")]
    System {
        /// What was to be done.
        what: String,
        /// What it said.
        source: io::Error,
    },
    /// The name of the store.
    #[error("the store {store} has no name in plans")]
    Store {
        /// As it was given.
        store: String,
        /// What is wrong with it.
        source: datafusion::error::DataFusionError,
    },
    /// It fails.
    #[error("{what}")]
    Failed {
        /// What does.
        what: &'static str,
        /// What was said.
        source: ballista_core::error::BallistaError,
    },
}

/// Whether it may listen there: nobody is asked who they are.
fn check_open(address: SocketAddr, without_tokens: bool) -> Result<(), ClusterError> {
    if address.ip().is_loopback() || without_tokens { Ok(()) } else { Err(ClusterError::Open { address }) }
}

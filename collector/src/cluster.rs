//! The cluster that questions are answered by, if there is to be one. What it takes is behind the feature `cluster`.

use std::sync::Arc;

use crate::{config::ConfigError, store::Store};

/// The cluster of a configuration, over a store.
///
/// # Errors
/// If the address is none, or if this collector is built without clusters.
#[cfg(feature = "cluster")]
pub fn of(
    address: Option<&str>,
    n_partitions: usize,
    store: &Store,
) -> Result<Option<Arc<dyn query::Cluster>>, ConfigError> {
    let Some(address) = address else { return Ok(None) };
    let wrong = |wrong: String| ConfigError::Value { key: "query.cluster".to_owned(), wrong };
    let scheduler = address.parse().map_err(|error: ::cluster::WrongAddress| wrong(error.to_string()))?;
    let cluster = ::cluster::Ballista::new(scheduler, store.address(), n_partitions);
    let cluster = cluster.map_err(|error| wrong(format!("cannot be used with this store: {error}")))?;
    Ok(Some(Arc::new(cluster)))
}

/// The same, where there can be none.
///
/// # Errors
/// If there is to be one.
#[cfg(not(feature = "cluster"))]
pub fn of(
    address: Option<&str>,
    _n_partitions: usize,
    _store: &Store,
) -> Result<Option<Arc<dyn query::Cluster>>, ConfigError> {
    let wrong = "needs a collector that is built with it: cargo build --package collector --features cluster";
    match address {
        Some(_) => Err(ConfigError::Value { key: "query.cluster".to_owned(), wrong: wrong.to_owned() }),
        None => Ok(None),
    }
}

//! The real `collector` on ports of loopback: what is sent, acknowledged, and read back from its Parquet files.

#[cfg(test)]
mod api;
#[cfg(test)]
mod batches;
#[cfg(all(test, feature = "cloud"))]
mod bucket;
#[cfg(all(test, feature = "cloud"))]
mod bucket_figures;
#[cfg(test)]
#[cfg(all(feature = "cloud", feature = "cluster"))]
mod cluster_answers;
#[cfg(test)]
#[cfg(feature = "cluster")]
mod cluster_figures;
#[cfg(test)]
#[cfg(feature = "cluster")]
mod cluster_programs;
#[cfg(test)]
mod collector;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod figures;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod grafana;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod other_engine;
#[cfg(test)]
mod page;
#[cfg(test)]
mod query_figures;
#[cfg(test)]
mod read;
#[cfg(test)]
mod receivers;
#[cfg(test)]
mod sql;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod watch;

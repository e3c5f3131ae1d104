//! The real `collector` on ports of loopback: what is sent, acknowledged, and read back from its Parquet files.

mod batches;
mod collector;
mod crash;
mod hostile;
mod read;
mod receivers;

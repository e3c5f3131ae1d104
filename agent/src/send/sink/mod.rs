//! Receivers of batches.

mod compress;
mod connection;
mod directory;
mod grpc_codec;
mod http;
mod otlp_grpc;
mod otlp_http;
mod pyroscope;

use std::{future::Future, path::PathBuf, pin::Pin};

use thiserror::Error;

pub use connection::{Compression, Connection, ProxyChoice, Tls};
pub use directory::{Directory, Retention};
pub use otlp_grpc::OtlpGrpc;
pub use otlp_http::OtlpHttp;
pub use pyroscope::{Pyroscope, PyroscopeApi};

use super::{
    batch::{Batch, Form, Signal},
    outcome::Outcome,
};

/// A batch on its way.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// A receiver of batches.
pub trait Sink: Send {
    /// The form in which it takes what tells of `signal`; none if it does not.
    fn form(&self, signal: Signal) -> Option<Form>;

    /// Sends a batch whose signal it takes. It ends, sooner or later, whatever the receiver does.
    fn send<'a>(&'a mut self, batch: &'a Batch) -> Sending<'a>;
}

/// Why a sink cannot be made of what the user wrote.
#[derive(Debug, Error)]
pub enum SinkError {
    /// The address is none.
    #[error(
        "`{endpoint}` is no address of a receiver: expected http://HOST:PORT or https://HOST:PORT; {reason}"
    )]
    Endpoint {
        /// As given.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of certificates or keys cannot be used.
    #[error("cannot use {path}: {reason}")]
    File {
        /// As given.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate without its key, or the other way round.
    #[error("a client certificate needs its key, and a key its certificate: name both files")]
    HalfIdentity,
    /// A name or value that no header can have.
    #[error("header `{name}` cannot be sent: it has characters that no header may have")]
    Header {
        /// As given.
        name: String,
    },
    /// The address of the proxy is none.
    #[error("`{proxy}` is no address of a proxy: expected http://HOST:PORT")]
    Proxy {
        /// As given.
        proxy: String,
    },
}

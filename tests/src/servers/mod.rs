//! Real servers with configurations of their own, in directories of their own, and load for them.

mod caddy;
mod envoy;
mod haproxy;
mod load;
mod nginx;
mod node;
mod otlp;
mod pingora;
mod workerd;

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

pub use load::{Answers, Load};
pub use node::{
    IN_MOUNT_NAMESPACE, IN_PID_NAMESPACE, start as node, start_server as node_server,
    start_tls_server as node_tls_server,
};

use crate::{process::Running, wait};

pub use caddy::{start as caddy, start_proxy as caddy_proxy, start_tls_proxy as caddy_tls_proxy};
pub use envoy::start as envoy;
pub use haproxy::{start as haproxy, start_proxy as haproxy_proxy, start_tls_proxy as haproxy_tls_proxy};
pub use nginx::{
    start as nginx, start_http2 as nginx_http2, start_orphaned as orphaned_nginx, start_proxy as nginx_proxy,
    start_tls_proxy as nginx_tls_proxy, start_tls_with_config as nginx_tls_with,
    start_with_config as nginx_with, start_with_slow_log as nginx_with_slow_log,
};
pub use otlp::{Certificates, OtlpReceiver, ReceiverPlace};
pub use pingora::start as pingora;
pub use workerd::start as workerd;

/// Where servers listen: an address where nothing does by default.
pub const HOST: &str = "127.0.0.3";

/// A server that listens.
pub struct Server {
    // Before the directory: the server goes first, then what it writes into.
    running: Running,
    address: SocketAddr,
    dir: TempDir,
}

impl Server {
    fn new(running: Running, address: SocketAddr, dir: TempDir) -> Result<Self> {
        wait::until("the server listens", wait::PATIENCE, || {
            ensure!(!running.has_ended(), "the server ended: {}", running.stderr()?);
            Ok(TcpStream::connect(address).is_ok().then_some(()))
        })
        .with_context(|| running.stderr().unwrap_or_default())?;
        Ok(Self { running, address, dir })
    }

    /// The process that was started.
    #[must_use]
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// Where its files are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Of its root page.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((HOST, 0)).context("no free port")?;
    listener.local_addr().context("a listener without an address")
}

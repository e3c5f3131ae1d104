//! Envoy: answers every request itself, with no upstream.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::{Server, free_address};
use crate::process::Running;

/// Starts it.
///
/// # Errors
/// If it does not listen.
pub fn start(envoy: &Path) -> Result<Server> {
    let dir = tempfile::tempdir().context("cannot create a directory for Envoy")?;
    let address = free_address()?;
    fs::write(dir.path().join("envoy.yaml"), config(&address.ip().to_string(), address.port()))
        .context("cannot write envoy.yaml")?;
    let mut command = Command::new(envoy);
    command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"]);
    command.arg(dir.path().join("envoy.yaml"));
    Server::new(Running::start(&mut command)?, address, dir)
}

fn config(host: &str, port: u16) -> String {
    let manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let router = "envoy.extensions.filters.http.router.v3.Router";
    format!(
        r#"static_resources:
  listeners:
  - address: {{ socket_address: {{ address: {host}, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/{manager}
          stat_prefix: test
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{ "@type": type.googleapis.com/{router} }}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{ prefix: "/" }}
                direct_response: {{ status: 200, body: {{ inline_string: "envoy" }} }}
"#
    )
}

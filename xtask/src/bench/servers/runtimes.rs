//! Proxies with a runtime: Rust's, Go's, V8.

use std::process::Command;

use anyhow::{Context, Result};

use super::{DEEP_BYTES, Kind, SHALLOW_BYTES, Setting, installed, native::write};
use crate::fetch;

pub(super) const PINGORA: Kind = Kind {
    name: "Pingora",
    find: fetch::pingora::find,
    command: |program, setting| {
        let mut command = Command::new(program);
        command.args([setting.listen.to_string(), setting.upstream.to_string()]);
        Ok(command)
    },
    works_in_child: false,
    perf_copy_bytes: DEEP_BYTES,
};

pub(super) const CADDY: Kind = Kind {
    name: "Caddy",
    find: |_| installed("caddy"),
    command: |program, setting| {
        let config = format!(
            "{{\n\tadmin off\n\tauto_https off\n}}\nhttp://{} {{\n\tencode gzip\n\treverse_proxy {}\n}}\n",
            setting.listen, setting.upstream
        );
        write(setting, "Caddyfile", &config)?;
        let mut command = Command::new(program);
        command.args(["run", "--adapter", "caddyfile", "--config", "Caddyfile"]);
        // One core's worth, as of the others.
        command.env("GOMAXPROCS", "1");
        Ok(command)
    },
    works_in_child: false,
    perf_copy_bytes: SHALLOW_BYTES,
};

/// A proxy in a page.
const SCRIPT: &str = "\
const http = require('node:http');
const [host, port, upstreamHost, upstreamPort] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true });
http.createServer((request, response) => {
  const { method, url: path, headers } = request;
  const forward = http.request(
    { agent, host: upstreamHost, port: upstreamPort, method, path, headers },
    (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    },
  );
  forward.on('error', () => { response.statusCode = 502; response.end(); });
  request.pipe(forward);
}).listen(port, host);
";

pub(super) const NODE: Kind = Kind {
    name: "Node",
    find: |_| installed("node"),
    command: |program, setting| node(Command::new(program), setting),
    works_in_child: false,
    perf_copy_bytes: SHALLOW_BYTES,
};

pub(super) const NODE_WITH_MAP: Kind = Kind {
    name: "Node, `--perf-basic-prof`",
    find: |_| installed("node"),
    command: |program, setting| {
        let mut command = Command::new(program);
        command.arg("--perf-basic-prof");
        node(command, setting)
    },
    works_in_child: false,
    perf_copy_bytes: SHALLOW_BYTES,
};

fn node(mut command: Command, setting: &Setting<'_>) -> Result<Command> {
    write(setting, "proxy.js", SCRIPT)?;
    command.arg("proxy.js");
    for address in [setting.listen, setting.upstream] {
        command.args([address.ip().to_string(), address.port().to_string()]);
    }
    Ok(command)
}

pub(super) const WORKERD: Kind = Kind {
    name: "workerd",
    find: fetch::workerd::find,
    command: |program, setting| {
        let source = setting.root.join("tests/programs/workerd");
        for file in ["config.capnp", "worker.js"] {
            std::fs::copy(source.join(file), setting.dir.join(file))
                .with_context(|| format!("cannot copy `{file}`"))?;
        }
        let mut command = Command::new(program);
        command.args(["serve", "config.capnp"]).arg(format!("--socket-addr=http={}", setting.listen));
        Ok(command)
    },
    works_in_child: false,
    perf_copy_bytes: SHALLOW_BYTES,
};

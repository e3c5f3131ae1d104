//! Proxies in C and C++.

use std::{fs, process::Command};

use anyhow::{Context, Result};

use super::{Kind, SHALLOW_BYTES, Setting, installed};
use crate::fetch;

/// nginx again, which answers without an upstream of its own.
pub(super) const UPSTREAM: Kind = Kind {
    name: "nginx, as the upstream",
    find: |_| installed("nginx"),
    command: |program, setting| {
        let page = "<p>upstream</p> ".repeat(64);
        nginx(program, setting, &format!("return 200 \"{page}\";"))
    },
    works_in_child: true,
    perf_copy_bytes: SHALLOW_BYTES,
};

pub(super) const NGINX: Kind = Kind {
    name: "nginx",
    find: |_| installed("nginx"),
    command: |program, setting| {
        let forward = format!(
            "gzip on; gzip_types text/plain; proxy_pass http://{}; proxy_http_version 1.1; \
             proxy_set_header Connection \"\";",
            setting.upstream
        );
        nginx(program, setting, &forward)
    },
    works_in_child: true,
    perf_copy_bytes: SHALLOW_BYTES,
};

fn nginx(program: &std::path::Path, setting: &Setting<'_>, location: &str) -> Result<Command> {
    let config = format!(
        "user root;\ndaemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log stderr warn;\n\
         events {{ worker_connections 256; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 1000000;\n  default_type text/plain;\n\
         \x20 client_body_temp_path body;\n  proxy_temp_path proxy;\n  fastcgi_temp_path fastcgi;\n\
         \x20 uwsgi_temp_path uwsgi;\n  scgi_temp_path scgi;\n\
         \x20 server {{ listen {}; location / {{ {location} }} }}\n}}\n",
        setting.listen
    );
    write(setting, "nginx.conf", &config)?;
    let mut command = Command::new(program);
    command.arg("-p").arg(setting.dir).args(["-c", "nginx.conf", "-e", "stderr"]);
    Ok(command)
}

pub(super) const HAPROXY: Kind = Kind {
    name: "haproxy",
    find: |_| installed("haproxy"),
    command: |program, setting| {
        let config = format!(
            "global\n  nbthread 1\ndefaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n\
             \x20 timeout server 5s\nfrontend f\n  bind {}\n  default_backend b\nbackend b\n  server s {}\n",
            setting.listen, setting.upstream
        );
        write(setting, "haproxy.cfg", &config)?;
        let mut command = Command::new(program);
        command.args(["-db", "-f", "haproxy.cfg"]);
        Ok(command)
    },
    works_in_child: false,
    perf_copy_bytes: SHALLOW_BYTES,
};

pub(super) const VARNISH: Kind = Kind {
    name: "varnish",
    find: |_| installed("varnishd"),
    command: |program, setting| {
        let mut command = Command::new(program);
        command.args(["-F", "-j", "none", "-s", "malloc,32m", "-t", "3600"]);
        command.args(["-a", &setting.listen.to_string(), "-b", &setting.upstream.to_string()]);
        command.arg("-n").arg(setting.dir.join("work"));
        Ok(command)
    },
    works_in_child: true,
    perf_copy_bytes: SHALLOW_BYTES,
};

pub(super) const SQUID: Kind = Kind {
    name: "squid",
    find: |_| installed("squid"),
    command: |program, setting| {
        let config = format!(
            "http_port {} accel defaultsite=x no-vhost\n\
             cache_peer {} parent {} 0 no-query originserver name=o\n\
             http_access allow all\ncache_mem 16 MB\npid_filename none\ncache_log squid.log\n\
             access_log none\ncoredump_dir {}\nshutdown_lifetime 0 seconds\n",
            setting.listen,
            setting.upstream.ip(),
            setting.upstream.port(),
            setting.dir.display()
        );
        write(setting, "squid.conf", &config)?;
        let mut command = Command::new(program);
        // A name of its own for its shared memory, which another one may have left behind.
        command.args(["-N", "-n", &format!("bench{}", setting.listen.port()), "-f", "squid.conf"]);
        Ok(command)
    },
    works_in_child: false,
    perf_copy_bytes: SHALLOW_BYTES,
};

pub(super) const H2O: Kind = Kind {
    name: "h2o",
    find: |_| installed("h2o"),
    command: |program, setting| {
        let config = format!(
            "user: root\nnum-threads: 1\nlisten: {{ host: {}, port: {} }}\n\
             hosts: {{ default: {{ paths: {{ /: {{ proxy.reverse.url: \"http://{}/\" }} }} }} }}\n\
             pid-file: pid\n",
            setting.listen.ip(),
            setting.listen.port(),
            setting.upstream
        );
        write(setting, "h2o.conf", &config)?;
        let mut command = Command::new(program);
        command.args(["-c", "h2o.conf"]);
        Ok(command)
    },
    works_in_child: false,
    perf_copy_bytes: SHALLOW_BYTES,
};

pub(super) const NGHTTPX: Kind = Kind {
    name: "nghttpx",
    find: |_| installed("nghttpx"),
    command: |program, setting| {
        let (listen, upstream) = (setting.listen, setting.upstream);
        let mut command = Command::new(program);
        command.args(["--conf", "/dev/null", "--workers", "1", "--errorlog-file", "/dev/stderr"]);
        command.arg(format!("--frontend={},{};no-tls", listen.ip(), listen.port()));
        command.arg(format!("--backend={},{}", upstream.ip(), upstream.port()));
        command.args(["--accesslog-file", "/dev/null"]);
        Ok(command)
    },
    works_in_child: true,
    perf_copy_bytes: SHALLOW_BYTES,
};

pub(super) const ENVOY: Kind = Kind {
    name: "Envoy",
    find: fetch::envoy::find,
    command: |program, setting| {
        write(setting, "envoy.yaml", &envoy(setting))?;
        let mut command = Command::new(program);
        command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]);
        command.args(["-c", "envoy.yaml"]);
        Ok(command)
    },
    works_in_child: false,
    perf_copy_bytes: SHALLOW_BYTES,
};

fn envoy(setting: &Setting<'_>) -> String {
    let (listen, upstream) = (setting.listen, setting.upstream);
    let manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let router = "envoy.extensions.filters.http.router.v3.Router";
    format!(
        r#"static_resources:
  listeners:
  - address: {{ socket_address: {{ address: {}, port_value: {} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/{manager}
          stat_prefix: bench
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{ "@type": type.googleapis.com/{router} }}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{ match: {{ prefix: "/" }}, route: {{ cluster: upstream }} }}]
  clusters:
  - name: upstream
    connect_timeout: 1s
    load_assignment:
      cluster_name: upstream
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }}
"#,
        listen.ip(),
        listen.port(),
        upstream.ip(),
        upstream.port()
    )
}

pub(super) fn write(setting: &Setting<'_>, name: &str, text: &str) -> Result<()> {
    fs::write(setting.dir.join(name), text).with_context(|| format!("cannot write `{name}`"))
}

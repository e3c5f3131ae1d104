//! What a configuration would have the daemon do, in a few lines.

use std::fmt::Write as _;

use profile::bytes_text;

use super::{Config, SinkKind, values::duration_text};

/// What a configuration would have the daemon do.
#[must_use]
pub fn summary(config: &Config) -> String {
    let Config { events, spool, .. } = config;
    let mut text = String::new();
    // Text can always be appended to.
    let mut line = |arguments: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{arguments}");
    };
    line(format_args!(
        "{}: preset {}, a profile every {}",
        config.file.display(),
        config.preset.name(),
        duration_text(config.window)
    ));
    let named = config.targets.iter().filter(|target| target.name.is_some()).count();
    let everything = if config.all { "every process of this host, and " } else { "" };
    line(format_args!("{everything}{}, {named} with a name", counted(config.targets.len(), "target")));
    line(format_args!(
        "events: cpu at {} Hz, faults every {}, memory every {}{}",
        events.cpu_frequency_hz,
        bytes_text(events.faults_interval_bytes),
        duration_text(events.memory_interval),
        config.extra_events().iter().fold(String::new(), |all, event| all + ", by target " + event.name()),
    ));
    line(format_args!(
        "at most {} % of this host, {} resident, {} of unwind tables",
        config.overhead_budget_percent,
        bytes_text(config.rss_limit_bytes),
        bytes_text(config.table_memory_bytes),
    ));
    line(format_args!(
        "spool: {}, at most {} and {}",
        spool.dir.display(),
        bytes_text(spool.limits.max_bytes),
        duration_text(spool.limits.max_age),
    ));
    let sinks: Vec<String> = config.sinks.iter().map(|(name, sink)| sink_text(name, &sink.kind)).collect();
    line(format_args!("{}: {}", counted(sinks.len(), "sink"), sinks.join(", ")));
    text
}

/// Without the address: it may hold a password.
fn sink_text(name: &str, kind: &SinkKind) -> String {
    let to = match kind {
        SinkKind::OtlpGrpc(connection)
        | SinkKind::OtlpHttp(connection)
        | SinkKind::Pyroscope(connection, _) => {
            let uri = connection.endpoint.parse::<http::Uri>().ok();
            let host = uri.as_ref().and_then(|uri| uri.host()).unwrap_or_default();
            match uri.as_ref().and_then(http::Uri::port_u16) {
                Some(port) => format!("{host}:{port}"),
                None => host.to_owned(),
            }
        }
        SinkKind::Directory { dir, .. } => dir.display().to_string(),
    };
    format!("{name} ({} {to})", kind.name())
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

//! How a watcher is told to sample and to send.

use std::{net::SocketAddr, path::Path, time::Duration};

/// How often, and how much goes into a profile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shipping {
    pub(super) frequency_hz: u32,
    pub(super) window: Duration,
    /// What the daemon's memory is kept below.
    pub(super) rss_limit_mib: u32,
}

/// Where the daemon tells of itself, as it does wherever it runs: here, from which port on.
const FIRST_PORT: u32 = 19_464;

impl Shipping {
    /// The configuration of a daemon that watches the whole host. Its budget is the machine: the rate is not lowered.
    pub(super) fn config(self, dir: &Path, sink: SocketAddr) -> String {
        let Self { frequency_hz, window, rss_limit_mib } = self;
        let (dir, window_s, port) = (dir.display(), window.as_secs(), FIRST_PORT + frequency_hz);
        format!(
            "all = true\nwindow = \"{window_s}s\"\noverhead_budget = 100.0\nrss_limit = \"{rss_limit_mib}MiB\"\n\
             listen = \"127.0.0.2:{port}\"\ncontrol_socket = \"{dir}/run/control.sock\"\nkill_switch = \"{dir}/off\"\ntable_cache = \"{dir}/tables\"\n\
             [events]\ncpu = {{ frequency = {frequency_hz} }}\n[spool]\ndir = \"{dir}/spool\"\n\
             [sink.receiver]\nkind = \"otlp-grpc\"\naddress = \"http://{sink}\"\nproxy = \"none\"\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_of_a_daemon_is_in_its_directory() {
        let shipping = Shipping { frequency_hz: 99, window: Duration::from_secs(10), rss_limit_mib: 64 };
        let config = shipping.config(Path::new("/d"), "127.0.0.2:5".parse().unwrap());
        for key in ["control_socket", "kill_switch", "table_cache", "dir"] {
            assert!(
                config.lines().any(|line| line.starts_with(&format!("{key} = \"/d/"))),
                "{key}: {config}"
            );
        }
        for part in ["window = \"10s\"", "frequency = 99 ", "\"http://127.0.0.2:5\""] {
            assert!(config.contains(part), "{part}: {config}");
        }
    }
}

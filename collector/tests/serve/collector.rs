//! A collector of its own, that is ended with its guard, and requests to it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

const TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// A collector under way.
pub(crate) struct Collector {
    child: Child,
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) web: SocketAddr,
    messages: PathBuf,
}

/// Where it keeps what it has, which outlives it.
pub(crate) struct Home {
    dir: TempDir,
}

/// What an answer says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Home {
    /// With a configuration, after which the log is flushed within a second unless it says otherwise.
    pub(crate) fn new(config: &str) -> Self {
        let it = Self { dir: tempfile::tempdir().expect("makes a directory") };
        it.configure(config);
        it
    }

    pub(crate) fn configure(&self, config: &str) {
        let log = if config.contains("[log]") { "" } else { "[log]\nflush_after_seconds = 1\n" };
        // What is of no section stands before all sections.
        fs::write(self.path().join("collector.toml"), format!("{config}\n{log}")).expect("writes");
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub(crate) fn start(&self) -> Collector {
        self.start_with(&[])
    }

    /// With variables of the environment.
    pub(crate) fn start_with(&self, variables: &[(&str, String)]) -> Collector {
        self.start_by(&mut Command::new(env!("CARGO_BIN_EXE_collector")), variables)
    }

    /// By a command that becomes the collector, and is given its arguments.
    pub(crate) fn start_by(&self, command: &mut Command, variables: &[(&str, String)]) -> Collector {
        let mut child = command
            .args(["serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--web", "127.0.0.1:0"])
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .arg("--data")
            .arg(self.data())
            .arg("--config")
            .arg(self.path().join("collector.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(self.path().join("stderr")).expect("makes"))
            .spawn()
            .expect("starts");
        let mut lines = BufReader::new(child.stdout.take().expect("has an output")).lines();
        let mut address = |name: &str| {
            let line = lines.next().expect("says where it listens").expect("is text");
            let address = line.strip_prefix(name).unwrap_or_else(|| panic!("{line:?} for {name}"));
            address.trim().parse().unwrap_or_else(|error| panic!("{line:?}: {error}"))
        };
        let [grpc, http, web] = ["grpc", "http", "web"].map(&mut address);
        Collector { child, grpc, http, web, messages: self.path().join("stderr") }
    }
}

impl Collector {
    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// As the kernel does it, in the middle of whatever it does.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("is killed");
        self.child.wait().expect("is gone");
    }

    /// As a system does it; returns when all is in the store.
    pub(crate) fn end(mut self) {
        let pid = i32::try_from(self.child.id()).expect("is a process");
        let status = Command::new("kill").args(["-TERM", &pid.to_string()]).status().expect("kills");
        assert!(status.success(), "kill -TERM {pid}: {status}");
        let status = self.child.wait().expect("ends");
        assert!(status.success(), "{status}");
    }

    /// POSTs to the address of HTTP.
    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        try_post(self.http, path, headers, body).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    /// The same, with headers.
    pub(crate) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = agent().get(format!("http://{}{path}", self.web));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request.call().expect("answers")).expect("answers")
    }

    /// A counter of `/metrics`, by its whole name with labels.
    pub(crate) fn counted(&self, name: &str) -> u64 {
        let text = self.get("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap_or_else(|error| panic!("{name} {value}: {error}")))
    }

    pub(crate) fn wait_for(&self, name: &str, at_least: u64) {
        let start = Instant::now();
        while self.counted(name) < at_least {
            assert!(
                start.elapsed() < TIMEOUT,
                "{name} stays below {at_least}:\n{}",
                self.get("/metrics").text()
            );
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", fs::read_to_string(&self.messages).unwrap_or_default());
        }
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT)).build().into()
}

pub(crate) fn try_post(
    to: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer, ureq::Error> {
    let mut request = agent().post(format!("http://{to}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(request.send(body)?)
}

fn answer(response: http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let status = response.status().as_u16();
    let header = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
    let retry_after = header("retry-after");
    Ok(Answer { status, retry_after, body: response.into_body().read_to_vec()? })
}

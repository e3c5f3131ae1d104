//! A scheduler and executors of their own, that are ended with their guards.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

const TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// A program under way.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
    messages: PathBuf,
    _dir: TempDir,
}

impl Program {
    fn start(name: &str, args: &[&str], variables: &[(&str, String)]) -> Self {
        let dir = tempfile::tempdir().expect("makes a directory");
        let messages = dir.path().join("stderr");
        let mut child = Command::new(env!("CARGO_BIN_EXE_collector"))
            .arg(name)
            .args(args)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .env("TMPDIR", dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&messages).expect("makes"))
            .spawn()
            .expect("starts");
        let mut line = String::new();
        let n_read = BufReader::new(child.stdout.take().expect("has an output")).read_line(&mut line);
        let address = line.strip_prefix(name).map(str::trim).and_then(|address| address.parse().ok());
        let mut it = Self { child, address: SocketAddr::from(([0; 4], 0)), messages, _dir: dir };
        it.address = address.unwrap_or_else(|| panic!("{name} {args:?}: {n_read:?} {line:?}"));
        it
    }

    pub(crate) fn scheduler() -> Self {
        Self::start("scheduler", &["--listen", "127.0.0.1:0"], &[])
    }

    /// Over a store, with so many threads.
    pub(crate) fn executor(
        scheduler: &Self,
        store: &str,
        n_threads: usize,
        variables: &[(&str, String)],
    ) -> Self {
        let (url, n_threads) = (scheduler.url(), n_threads.to_string());
        let args = ["--scheduler", &url, "--store", store, "--listen", "127.0.0.1:0", "--tasks-port", "0"];
        Self::start("executor", &[args.as_slice(), &["--threads", &n_threads]].concat(), variables)
    }

    pub(crate) fn url(&self) -> String {
        format!("df://{}", self.address)
    }

    /// Of a scheduler: until so many executors are there.
    pub(crate) fn wait_for_executors(&self, n: usize) {
        let wanted = format!("ready: {n} executors");
        let start = Instant::now();
        loop {
            let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
            let mut answer = agent.get(format!("http://{}/readyz", self.address)).call().expect("answers");
            let text = answer.body_mut().read_to_string().expect("is text");
            if text.starts_with(&wanted) || (n == 0 && text.contains("not ready: 0/")) {
                return;
            }
            assert!(start.elapsed() < TIMEOUT, "{wanted:?} is wanted, and it stays {text:?}");
            std::thread::sleep(POLL);
        }
    }

    /// As a system does it.
    pub(crate) fn end(mut self) {
        let pid = i32::try_from(self.child.id()).expect("is a process");
        let status = Command::new("kill").args(["-TERM", &pid.to_string()]).status().expect("kills");
        assert!(status.success(), "kill -TERM {pid}: {status}");
        let status = self.child.wait().expect("ends");
        assert!(status.success(), "{status}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", fs::read_to_string(&self.messages).unwrap_or_default());
        }
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! A receiver of OTLP that nobody of this project wrote, but for the lines that print what it got.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::free_address;
use crate::{paths, process::Running, wait};

/// A receiver that listens.
pub struct OtlpReceiver {
    running: Running,
    /// Where it takes gRPC.
    pub grpc: SocketAddr,
    /// Where it takes HTTP.
    pub http: SocketAddr,
}

/// A receiver that can be started again at the same place, and that fails as it is told.
#[derive(Debug, Clone)]
pub struct ReceiverPlace {
    /// Where it takes gRPC.
    pub grpc: SocketAddr,
    /// Where it takes HTTP.
    pub http: SocketAddr,
    /// A line for each request, as `tests/receivers/otlp.py` says.
    pub ledger: PathBuf,
    /// How it answers.
    pub mode: PathBuf,
}

impl OtlpReceiver {
    /// Starts it; `None` where its packages are not. It refuses the first so many requests over each protocol.
    ///
    /// # Errors
    /// If it does not listen.
    pub fn start(n_refused: u32, tls: Option<&Certificates>) -> Result<Option<Self>> {
        let mut options = vec![OsString::from(format!("--refuse={n_refused}"))];
        options.extend(tls.iter().flat_map(|tls| ["--tls".into(), tls.dir().into()]));
        Self::with(free_address()?, free_address()?, &options)
    }

    /// Starts it at a place; `None` where its packages are not.
    ///
    /// # Errors
    /// If it does not listen.
    pub fn at(place: &ReceiverPlace) -> Result<Option<Self>> {
        let options = ["--ledger".into(), (&place.ledger).into(), "--mode".into(), (&place.mode).into()];
        Self::with(place.grpc, place.http, &options)
    }

    fn with(grpc: SocketAddr, http: SocketAddr, options: &[OsString]) -> Result<Option<Self>> {
        let Some(packages) = paths::otlp_packages() else { return Ok(None) };
        let mut command = Command::new(paths::find("python3", "python3")?);
        command.env("PYTHONPATH", packages).arg(paths::otlp_receiver()?);
        command.args([grpc.to_string(), http.to_string()]).args(options);
        let running = Running::start(&mut command)?;
        wait::until("the receiver listens", wait::PATIENCE, || {
            ensure!(!running.has_ended(), "the receiver ended: {}", running.stderr()?);
            Ok(running.stderr()?.contains("ready").then_some(()))
        })?;
        Ok(Some(Self { running, grpc, http }))
    }

    /// The process.
    #[must_use]
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// What it took so far, one object for each request.
    ///
    /// # Errors
    /// If it printed something else.
    pub fn requests(&self) -> Result<Vec<Value>> {
        let printed = self.running.stdout()?;
        printed.lines().map(|line| serde_json::from_str(line).context("no JSON")).collect()
    }

    /// What it has to say when a test fails.
    ///
    /// # Errors
    /// If its output is gone.
    pub fn messages(&self) -> Result<String> {
        self.running.stderr()
    }
}

/// An authority, a server for loopback addresses, and a client, as PEM files.
pub struct Certificates {
    dir: TempDir,
}

impl Certificates {
    /// Makes them with openssl, for this host.
    ///
    /// # Errors
    /// If there is none, or it refuses.
    pub fn new(host: &str) -> Result<Self> {
        let it = Self { dir: tempfile::tempdir().context("cannot create a directory for certificates")? };
        let openssl = |arguments: &str| -> Result<()> {
            let made = Command::new(paths::find("openssl", "openssl")?)
                .args(arguments.split_whitespace())
                .current_dir(it.dir())
                .output()
                .context("cannot start openssl")?;
            ensure!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
            Ok(())
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2";
        openssl(&format!(
            "req -x509 {key} -subj /CN=authority -keyout ca.key -out ca.pem -addext basicConstraints=critical,CA:TRUE"
        ))?;
        for name in ["server", "client"] {
            openssl(&format!(
                "req -x509 {key} -subj /CN={name} -CA ca.pem -CAkey ca.key -keyout {name}.key -out {name}.pem -addext \
                 subjectAltName=IP:{host} -addext basicConstraints=critical,CA:FALSE"
            ))?;
        }
        Ok(it)
    }

    /// Where they are: `ca.pem`, `server.pem`, `server.key`, `client.pem`, `client.key`.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

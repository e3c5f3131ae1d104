//! Who may speak to the daemon over its control socket: root and the daemon's own user, and nobody else even where file
//! permissions would let them.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::Arc,
    thread,
};

use agent::daemon::control::{
    client::{self, ClientError, Done},
    message::{Capture, Progress, Refusal, RefusalKind, Request},
    server::{Captured, ControlServer, Handler},
};
use anyhow::{Result, anyhow, ensure};
use serde_json::{Value, json};

const NOBODY: libc::c_long = 65_534;
const UNCHANGED: libc::c_long = -1;

struct Daemon;

impl Handler for Daemon {
    fn capture(&self, _: &Capture, _: &mut dyn FnMut(&Progress) -> bool) -> Result<Captured, Refusal> {
        Ok(Captured::default())
    }

    fn status(&self) -> Result<Value, Refusal> {
        Ok(json!({}))
    }

    fn reload(&self) -> Result<Value, Refusal> {
        Ok(json!({}))
    }

    fn flush(&self) -> Result<Value, Refusal> {
        Ok(json!({}))
    }
}

/// Asks as a user who is nobody.
fn ask_as_nobody(socket: PathBuf) -> Result<Result<Done, ClientError>> {
    let body = move || {
        // SAFETY: the system call itself changes the user of this thread only, which ends with this closure.
        let result = unsafe { libc::syscall(libc::SYS_setresuid, UNCHANGED, NOBODY, UNCHANGED) };
        ensure!(result == 0, "cannot become nobody: {}", std::io::Error::last_os_error());
        Ok(client::ask(&socket, &Request::Status {}, |_| {}))
    };
    thread::spawn(body).join().map_err(|_| anyhow!("the thread panicked"))?
}

#[test]
fn nobody_but_root_and_the_user_of_the_daemon_gets_an_answer() -> Result<()> {
    let dir = tempfile::tempdir()?;
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
    let run = dir.path().join("run");
    let socket = run.join("control.sock");
    let _server = ControlServer::start(&socket, Arc::new(Daemon))?;
    let asked = client::ask(&socket, &Request::Status {}, |_| {});
    ensure!(asked.is_ok(), "root: {asked:?}");

    let asked = ask_as_nobody(socket.clone())?;
    ensure!(matches!(asked, Err(ClientError::NotAllowed { .. })), "{asked:?}");
    // Somebody has opened the directory and the socket to all.
    fs::set_permissions(&run, Permissions::from_mode(0o777))?;
    fs::set_permissions(&socket, Permissions::from_mode(0o777))?;
    let asked = ask_as_nobody(socket)?;
    let is_refused =
        matches!(&asked, Err(ClientError::Refused(refusal)) if refusal.kind == RefusalKind::Forbidden);
    ensure!(is_refused, "{asked:?}");
    Ok(())
}

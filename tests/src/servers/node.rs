//! Node with a script that keeps it busy, in namespaces of its own: the symbol map that V8 writes to /tmp is
//! then seen by nobody outside, as in a container.

use std::{fs, net::SocketAddr, process::Command};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::Certificates;
use crate::{paths, process::Running, wait};

/// Its own /tmp.
pub const IN_MOUNT_NAMESPACE: &[&str] = &["--mount"];
/// Its own /tmp and process IDs.
pub const IN_PID_NAMESPACE: &[&str] = &["--mount", "--pid", "--fork", "--kill-child"];

/// A function that V8 compiles soon.
const SCRIPT: &str = "\
function scoreRoute(text) {
  let score = 0;
  for (let i = 0; i < text.length; i++) score = (score * 31 + text.charCodeAt(i)) | 0;
  return score;
}
let total = 0;
console.log('started');
for (;;) total ^= scoreRoute('/api/v1/users/' + total);
";

/// A server whose handler of `/slow` keeps the event loop from anything else for 50 ms.
const SERVER_SCRIPT: &str = "\
const http = require('http');
function holdUp(milliseconds) {
  const end = process.hrtime.bigint() + BigInt(milliseconds) * 1000000n;
  let n = 0;
  while (process.hrtime.bigint() < end) n++;
  return n;
}
const server = http.createServer((request, response) => {
  if (request.url === '/slow') holdUp(50);
  response.end('done');
});
server.listen(0, '127.0.0.3', () => console.log('started ' + server.address().port + ' '));
";

/// A server that answers as a backend does, through TLS. Its certificate is where the last argument says.
const TLS_SCRIPT: &str = "\
const fs = require('fs'), https = require('https'), dir = process.argv.at(-1);
const keys = { key: fs.readFileSync(dir + '/server.key'), cert: fs.readFileSync(dir + '/server.pem') };
const server = https.createServer(keys, (request, response) => {
  request.resume();
  response.statusCode = request.url.startsWith('/missing') ? 404 : request.url.startsWith('/fails') ? 500 : 200;
  if (request.url.startsWith('/chunks/')) { response.write('z'.repeat(5000)); return response.end('end'); }
  response.end(request.url.startsWith('/large') ? 'y'.repeat(300000) : 'hello');
});
server.listen(0, '127.0.0.3', () => console.log('started ' + server.address().port + ' '));
";

/// Starts a server that speaks TLS, in no namespaces.
///
/// # Errors
/// If it is not installed or does not start.
pub fn start_tls_server(certificates: &Certificates) -> Result<(Running, SocketAddr)> {
    let script = certificates.dir().join("server.js");
    fs::write(&script, TLS_SCRIPT).context("cannot write the script")?;
    let mut command = Command::new(paths::find("node", "nodejs")?);
    command.arg(script).arg(certificates.dir());
    let running = Running::start(&mut command)?;
    wait_for_start(&running)?;
    let address = address_of(&running)?;
    Ok((running, address))
}

/// Starts a server with a slow handler; gives where it listens, too.
///
/// # Errors
/// If it is not installed or does not start.
pub fn start_server() -> Result<(Running, SocketAddr, TempDir)> {
    let (running, dir) = run(IN_MOUNT_NAMESPACE, SERVER_SCRIPT)?;
    let address = address_of(&running)?;
    Ok((running, address, dir))
}

fn address_of(running: &Running) -> Result<SocketAddr> {
    let said = running.stdout()?;
    let port = said.split_whitespace().nth(1).and_then(|port| port.parse().ok());
    let port: u16 = port.with_context(|| format!("no port in {said:?}"))?;
    Ok(SocketAddr::from(([127, 0, 0, 3], port)))
}

/// Starts it under `unshare` with these flags.
///
/// # Errors
/// If it is not installed or does not start.
pub fn start(namespaces: &[&str]) -> Result<(Running, TempDir)> {
    run(namespaces, SCRIPT)
}

fn run(namespaces: &[&str], text: &str) -> Result<(Running, TempDir)> {
    let node = paths::find("node", "nodejs")?;
    let dir = tempfile::Builder::new().prefix("brazier-node-").tempdir_in("/var/tmp");
    let dir = dir.context("cannot create a directory for Node")?;
    let script = dir.path().join("router.js");
    fs::write(&script, text).context("cannot write the script")?;
    let mut command = Command::new(paths::find("unshare", "util-linux")?);
    command.args(namespaces).args(["--propagation", "private", "sh", "-c"]);
    command.arg("mount -t tmpfs tmpfs /tmp && cd / && exec \"$@\"").arg("sh");
    // Else the function becomes part of its caller, and its name is in no stack.
    command.arg(node).args(["--perf-basic-prof", "--no-turbo-inlining"]).arg(script);
    let running = Running::start(&mut command)?;
    wait_for_start(&running)?;
    Ok((running, dir))
}

fn wait_for_start(running: &Running) -> Result<()> {
    wait::until("Node starts its script", wait::PATIENCE, || {
        ensure!(!running.has_ended(), "Node ended: {}", running.stderr()?);
        Ok(running.stdout()?.ends_with('\n').then_some(()))
    })
}

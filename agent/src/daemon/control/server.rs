//! The daemon's side of the control socket: one thread accepts, one serves each connection.

use std::{
    collections::BTreeSet,
    io,
    net::Shutdown,
    os::unix::net::UnixStream,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use thiserror::Error;

use super::{
    line::{self, Lines, NoLine},
    message::{Answer, Capture, MAX_REQUEST_BYTES, PIECE_BYTES, Progress, Refusal, RefusalKind, Request},
    socket::{self, Socket},
};

pub use super::socket::SocketError;

/// More are turned away.
const MAX_CONNECTIONS: usize = 8;
/// A request has to be there by then.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Who does not read for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Before a connection is accepted again, after one could not be: out of descriptors.
const AFTER_FAILURE: Duration = Duration::from_millis(200);

/// What the daemon does when it is asked. Each is called on a thread of its own, while others may be under way.
pub trait Handler: Send + Sync {
    /// Records; no two of an event at a time. Tells `progress` how far it is, twice a second or so: it says false when
    /// nobody waits any more, and the capture is to end then.
    ///
    /// # Errors
    /// If it cannot be done.
    fn capture(
        &self,
        capture: &Capture,
        progress: &mut dyn FnMut(&Progress) -> bool,
    ) -> Result<Captured, Refusal>;

    /// [`crate::daemon::status::Status`] as JSON.
    ///
    /// # Errors
    /// If there is nothing to tell yet.
    fn status(&self) -> Result<Value, Refusal>;

    /// Reads the configuration anew; what came of it.
    ///
    /// # Errors
    /// If it was refused; the old one holds then.
    fn reload(&self) -> Result<Value, Refusal>;

    /// Has sinks take what waits for them; what still waits, by sink.
    ///
    /// # Errors
    /// If there is no sink.
    fn flush(&self) -> Result<Value, Refusal>;
}

/// What a capture brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Captured {
    /// For people and programs: `{"n_samples": 1234, "n_profiles": 2}`.
    pub summary: Value,
    /// The profile, if it was asked for.
    pub file: Option<Vec<u8>>,
}

/// Why the daemon cannot be asked.
#[derive(Debug, Error)]
pub enum ControlError {
    /// There is no socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// There is no thread.
    #[error("cannot start listening on the control socket")]
    Start(#[source] io::Error),
}

/// Answers for as long as this is there.
pub struct ControlServer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    socket: Socket,
    handler: Arc<dyn Handler>,
    is_ending: AtomicBool,
    /// Events that are being captured.
    captured: Mutex<BTreeSet<String>>,
}

/// A connection that is served.
struct Served {
    stream: Arc<UnixStream>,
    thread: JoinHandle<()>,
}

impl ControlServer {
    /// Listens on the socket at `path`.
    ///
    /// # Errors
    /// If another daemon listens there, or it cannot be made.
    pub fn start(path: &Path, handler: Arc<dyn Handler>) -> Result<Self, ControlError> {
        let socket = Socket::bind(path)?;
        let captured = Mutex::default();
        let shared = Arc::new(Shared { socket, handler, is_ending: AtomicBool::new(false), captured });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("brazier-control".into());
        let thread = thread.spawn(move || accept(&of_thread)).map_err(ControlError::Start)?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.shared.is_ending.store(true, Ordering::Relaxed);
        self.shared.socket.stop();
        if let Some(thread) = self.thread.take() {
            // It ends without a result.
            let _ = thread.join();
        }
    }
}

fn accept(shared: &Arc<Shared>) {
    let mut all: Vec<Served> = Vec::new();
    while !shared.is_ending.load(Ordering::Relaxed) {
        let accepted = shared.socket.listener.accept();
        all.retain(|it| !it.thread.is_finished());
        match accepted {
            Ok((stream, _)) => all.extend(begin(shared, stream, all.len())),
            Err(_) if shared.is_ending.load(Ordering::Relaxed) => {}
            Err(_) => std::thread::sleep(AFTER_FAILURE),
        }
    }
    for it in all {
        // Whoever waits for an answer is told by the end of the connection, and a capture by its next progress.
        let _ = it.stream.shutdown(Shutdown::Both);
        let _ = it.thread.join();
    }
}

/// Serves a connection on a thread of its own, if there is room for it.
fn begin(shared: &Arc<Shared>, stream: UnixStream, n_connections: usize) -> Option<Served> {
    stream.set_write_timeout(Some(WRITE_TIMEOUT)).ok()?;
    if n_connections >= MAX_CONNECTIONS {
        let reason = format!("{MAX_CONNECTIONS} others are being answered; try again");
        // Fits into the buffer of the socket: this does not wait.
        let _ = line::write(&stream, &Answer::Refused(Refusal::new(RefusalKind::Busy, reason)));
        return None;
    }
    let stream = Arc::new(stream);
    let (shared, of_thread) = (Arc::clone(shared), Arc::clone(&stream));
    let body = move || {
        let answer = serve(&shared, &of_thread).unwrap_or_else(Answer::Refused);
        // A client that is gone needs no answer.
        let _ = line::write(&of_thread, &answer);
        // Not only our hold on it: what waits to be read ends here.
        let _ = of_thread.shutdown(Shutdown::Both);
    };
    let thread = std::thread::Builder::new().name("brazier-ctl".into()).spawn(body).ok()?;
    Some(Served { stream, thread })
}

/// The last line of the answer.
fn serve(shared: &Shared, stream: &UnixStream) -> Result<Answer, Refusal> {
    if !socket::is_allowed(stream).unwrap_or(false) {
        let reason = "only root and the user of the daemon may ask";
        return Err(Refusal::new(RefusalKind::Forbidden, reason));
    }
    let invalid = |reason: String| Refusal::new(RefusalKind::Invalid, reason);
    let line = Lines::new(stream, MAX_REQUEST_BYTES).next(REQUEST_TIMEOUT).map_err(|no_line| {
        invalid(match no_line {
            NoLine::TooLong => format!("a request has at most {MAX_REQUEST_BYTES} bytes"),
            NoLine::TooLate => format!("the request was not there within {} s", REQUEST_TIMEOUT.as_secs()),
            NoLine::Closed => "the request is not whole: it is one line of JSON".into(),
            NoLine::Failed(error) => format!("the request cannot be read: {error}"),
        })
    })?;
    let request: Request =
        serde_json::from_slice(&line).map_err(|error| invalid(format!("no request: {error}")))?;
    let handler = &shared.handler;
    match request {
        Request::Status {} => handler.status().map(Answer::Done),
        Request::Reload {} => handler.reload().map(Answer::Done),
        Request::Flush {} => handler.flush().map(Answer::Done),
        Request::Capture(capture) => shared.capture(stream, &capture).map(Answer::Done),
    }
}

impl Shared {
    fn capture(&self, stream: &UnixStream, capture: &Capture) -> Result<Value, Refusal> {
        capture.duration()?;
        let _alone = self.alone(&capture.event)?;
        let mut progress = |progress: &Progress| {
            !self.is_ending.load(Ordering::Relaxed)
                && line::write(stream, &Answer::Progress(progress.clone())).is_ok()
        };
        let captured = self.handler.capture(capture, &mut progress)?;
        for piece in captured.file.iter().flat_map(|file| file.chunks(PIECE_BYTES)) {
            let piece = Answer::Piece(BASE64_STANDARD.encode(piece));
            line::write(stream, &piece)
                .map_err(|error| Refusal::new(RefusalKind::Failed, format!("nobody reads: {error}")))?;
        }
        Ok(captured.summary)
    }

    /// The event is this capture's until what is returned is dropped.
    fn alone(&self, event: &str) -> Result<Alone<'_>, Refusal> {
        if !self.captured().insert(event.to_owned()) {
            let reason = format!("{event} is being captured already; try again when that is done");
            return Err(Refusal::new(RefusalKind::Busy, reason));
        }
        Ok(Alone { shared: self, event: event.to_owned() })
    }

    fn captured(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.captured.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Alone<'a> {
    shared: &'a Shared,
    event: String,
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.shared.captured().remove(&self.event);
    }
}

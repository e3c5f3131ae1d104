//! The side of `agent ctl`.

use std::{
    io,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use thiserror::Error;

use super::{
    line::{self, Lines, NoLine},
    message::{Answer, PIECE_BYTES, Progress, Refusal, Request},
};

/// The daemon tells of a capture twice a second; a flush and a reload take their time.
const PATIENCE: Duration = Duration::from_secs(120);
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest line of an answer: the state of a daemon with all the targets that it lists.
const MAX_LINE_BYTES: usize = 8 << 20;
/// Largest file that is taken.
const MAX_FILE_BYTES: usize = 1 << 30;

const _: () = assert!(PIECE_BYTES * 4 / 3 < MAX_LINE_BYTES, "a piece fits into a line");

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error(
        "no daemon listens on {}: start it (`systemctl start brazier`, or `agent daemon`), or name its `control_socket` with \
         --socket", path.display()
    )]
    NotRunning {
        /// The socket.
        path: PathBuf,
    },
    /// We may not ask.
    #[error("{} is for root and the user of the daemon only: run this as root", path.display())]
    NotAllowed {
        /// The socket.
        path: PathBuf,
    },
    /// The socket fails.
    #[error("cannot speak to the daemon over {}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The connection ended before the answer did.
    #[error("the daemon ended before it was done; its log says why (`journalctl -u brazier`)")]
    Ended,
    /// Nothing came.
    #[error("the daemon has said nothing for {} s; its log may say why (`journalctl -u brazier`)", PATIENCE.as_secs())]
    Silent,
    /// What came is no answer.
    #[error("the daemon gave an answer that this agent does not know: both have to be of one version")]
    Unknown,
    /// It said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// What came of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done {
    /// In the daemon's words.
    pub summary: Value,
    /// The file that was asked for; empty if none was.
    pub file: Vec<u8>,
}

/// Asks the daemon whose socket is at `path`, and waits until it is done.
///
/// # Errors
/// If there is no daemon, or it says no.
pub fn ask(
    path: &Path,
    request: &Request,
    mut on_progress: impl FnMut(&Progress),
) -> Result<Done, ClientError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ClientError::NotRunning { path: path.to_owned() }
        }
        io::ErrorKind::PermissionDenied => ClientError::NotAllowed { path: path.to_owned() },
        _ => ClientError::Socket { path: path.to_owned(), source },
    };
    let stream = UnixStream::connect(path).map_err(failed)?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT)).map_err(failed)?;
    // One who is turned away at once cannot write any more; why, it can still read.
    let _ = line::write(&stream, request);
    let mut lines = Lines::new(&stream, MAX_LINE_BYTES);
    let mut file = Vec::new();
    loop {
        let line = lines.next(PATIENCE).map_err(|no_line| match no_line {
            NoLine::Closed => ClientError::Ended,
            NoLine::TooLate => ClientError::Silent,
            NoLine::TooLong => ClientError::Unknown,
            NoLine::Failed(source) => failed(source),
        })?;
        match serde_json::from_slice(&line).map_err(|_| ClientError::Unknown)? {
            Answer::Progress(progress) => on_progress(&progress),
            Answer::Piece(piece) => {
                let piece = BASE64_STANDARD.decode(piece).map_err(|_| ClientError::Unknown)?;
                if file.len() + piece.len() > MAX_FILE_BYTES {
                    return Err(ClientError::Unknown);
                }
                file.extend(piece);
            }
            Answer::Done(summary) => return Ok(Done { summary, file }),
            Answer::Refused(refusal) => return Err(refusal.into()),
        }
    }
}

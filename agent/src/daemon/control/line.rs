//! Lines over a socket: none longer than agreed, none that takes longer than agreed.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

/// Why there is no line.
#[derive(Debug)]
pub(super) enum NoLine {
    /// The other side has closed the connection before the end of a line.
    Closed,
    /// It is longer than agreed.
    TooLong,
    /// It did not come in time.
    TooLate,
    /// The socket failed.
    Failed(io::Error),
}

/// Takes lines from a socket.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    stream: &'a UnixStream,
    /// Read, and not taken yet.
    bytes: Vec<u8>,
    max_bytes: usize,
}

impl<'a> Lines<'a> {
    pub(super) const fn new(stream: &'a UnixStream, max_bytes: usize) -> Self {
        Self { stream, bytes: Vec::new(), max_bytes }
    }

    /// The next line, without its end. `time` is for all of it, however many pieces it comes in.
    pub(super) fn next(&mut self, time: Duration) -> Result<Vec<u8>, NoLine> {
        let end = Instant::now() + time;
        let mut n_searched = 0;
        loop {
            let unsearched = self.bytes.get(n_searched..).unwrap_or_default();
            if let Some(at) = unsearched.iter().position(|byte| *byte == b'\n') {
                let rest = self.bytes.split_off(n_searched + at + 1);
                let mut line = std::mem::replace(&mut self.bytes, rest);
                line.pop();
                return Ok(line);
            }
            n_searched = self.bytes.len();
            if n_searched > self.max_bytes {
                return Err(NoLine::TooLong);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NoLine::TooLate);
            }
            self.read(left)?;
        }
    }

    fn read(&mut self, time: Duration) -> Result<(), NoLine> {
        self.stream.set_read_timeout(Some(time)).map_err(NoLine::Failed)?;
        let mut piece = [0; 16 << 10];
        match (&mut &*self.stream).read(&mut piece) {
            Ok(0) => Err(NoLine::Closed),
            Ok(n) => {
                self.bytes.extend_from_slice(piece.get(..n).unwrap_or_default());
                Ok(())
            }
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => Ok(()),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Err(NoLine::TooLate),
                io::ErrorKind::ConnectionReset => Err(NoLine::Closed),
                _ => Err(NoLine::Failed(error)),
            },
        }
    }
}

/// Writes a line; the time limit is that of the stream.
pub(super) fn write(stream: &UnixStream, value: &impl serde::Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    (&mut &*stream).write_all(&line)
}

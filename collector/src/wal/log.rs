//! The log as its users see it.

use std::{fs, io, path::Path, sync::Arc, thread::JoinHandle, time::Duration};

use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use super::{
    LogError, LogFigures, Sealed, Shelf,
    directory::Directory,
    figures::add,
    writer::{self, Append, Message},
};
use crate::model::Key;

/// Appends that wait for the thread; each has a request behind it, and these are bounded as well.
const QUEUE: usize = 1_024;

/// How large it may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// All segments; beyond, nothing is taken.
    pub max_bytes: u64,
    /// A segment ends at so many.
    pub segment_bytes: u64,
    /// And at so many samples and points.
    pub segment_rows: u64,
    /// And so long after its first record.
    pub flush_after: Duration,
    /// Keys that are known.
    pub keys: usize,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            max_bytes: 1 << 30,
            segment_bytes: 16 << 20,
            segment_rows: 1 << 18,
            flush_after: Duration::from_secs(10),
            keys: 1 << 20,
        }
    }
}

/// What is appended as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Identifies it.
    pub key: Key,
    /// Samples and points in it.
    pub n_rows: u32,
    /// The batch, compressed.
    pub content: Vec<u8>,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is on disk now.
    New,
    /// It was before.
    Known,
}

/// Why entries are not in the log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AppendError {
    /// The store does not take what waits.
    #[error("the log has no room: {bytes} bytes wait for the store, of {max_bytes} that may")]
    Full {
        /// On disk.
        bytes: u64,
        /// That may be.
        max_bytes: u64,
    },
    /// The disk failed. It may be that the next start finds the entries nevertheless.
    #[error("the log cannot be written: {0}")]
    Write(String),
    /// The log is closed.
    #[error("the collector ends")]
    Closed,
}

/// The log, for whoever appends and for whoever brings segments into the store.
#[derive(Debug)]
pub struct Log {
    messages: mpsc::Sender<Message>,
    shelf: Arc<Shelf>,
    figures: Arc<LogFigures>,
    directory: Arc<Directory>,
    thread: Option<JoinHandle<()>>,
}

impl Log {
    /// Opens the log of a directory, which is made if it is not there. Segments of before go to the shelf.
    ///
    /// # Errors
    /// If the directory cannot be used, or is used.
    pub fn open(path: &Path, limits: LogLimits, now_ns: fn() -> u64) -> Result<Self, LogError> {
        let directory = Arc::new(Directory::open(path)?);
        let (shelf, figures) = (Arc::new(Shelf::default()), Arc::new(LogFigures::default()));
        let start = writer::replay(&directory, &shelf, &figures, limits, now_ns())?;
        let (messages, receiver) = mpsc::channel(QUEUE);
        let writer = writer::Writer::new(
            Arc::clone(&directory),
            Arc::clone(&shelf),
            Arc::clone(&figures),
            limits,
            start,
            now_ns,
        );
        let thread =
            std::thread::Builder::new().name("collector-log".into()).spawn(move || writer.run(receiver));
        Ok(Self { messages, shelf, figures, directory, thread: Some(thread.map_err(LogError::Thread)?) })
    }

    /// Appends, all or nothing; returns when they are on disk.
    ///
    /// # Errors
    /// If they are not.
    pub async fn append(&self, entries: Vec<Entry>) -> Result<Vec<Taken>, AppendError> {
        let (answer, answered) = oneshot::channel();
        let append = Message::Append(Append { entries, answer });
        self.messages.send(append).await.map_err(|_| AppendError::Closed)?;
        answered.await.map_err(|_| AppendError::Closed)?
    }

    /// Ends the segment that is written if it is old enough; somebody has to call this now and then.
    pub fn tick(&self) {
        // When the queue is full, the thread looks at the time anyhow.
        let _ = self.messages.try_send(Message::Tick);
    }

    /// What waits for the store.
    #[must_use]
    pub const fn shelf(&self) -> &Arc<Shelf> {
        &self.shelf
    }

    /// What was counted.
    #[must_use]
    pub const fn figures(&self) -> &Arc<LogFigures> {
        &self.figures
    }

    /// As much of a segment as counts.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(&self, sealed: &Sealed) -> io::Result<Vec<u8>> {
        self.directory.read_segment(sealed.number, sealed.bytes)
    }

    /// Takes a segment out of the log: its batches, of these keys, are in the store. A damaged one is set aside.
    ///
    /// # Errors
    /// If the keys cannot be kept or the segment not be removed. It then stays, and is brought into the store again.
    pub fn release(&self, sealed: &Sealed, keys: &[Key], is_damaged: bool) -> io::Result<()> {
        // The keys first: a segment that is gone must not leave its batches unknown.
        self.directory.write_keys(sealed.number, keys).inspect_err(|_| add(&self.figures.keys_failed, 1))?;
        if is_damaged {
            add(&self.figures.set_aside, 1);
            self.directory.set_aside(sealed.number)?;
        } else {
            self.directory.remove_segment(sealed.number)?;
        }
        self.shelf.remove(sealed.number);
        Ok(())
    }

    /// Takes nothing more, and ends the segment that is written.
    pub async fn close(&self) {
        // The thread has ended already, at worst.
        let _ = self.messages.send(Message::Close).await;
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let (last, _) = mpsc::channel(1);
        // The thread ends when nobody can send any more.
        drop(std::mem::replace(&mut self.messages, last));
        if let Some(thread) = self.thread.take() {
            // It ends without a result.
            let _ = thread.join();
        }
    }
}

/// A name for this collector in the store: that of the file, or a new one.
///
/// # Errors
/// If the file cannot be read or written.
pub fn collector_id(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Ok(id) if id.len() == 16 && id.bytes().all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase()) => {
            return Ok(id);
        }
        Ok(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "it holds no 16 hexadecimal digits")),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) => {}
    }
    let id: String = crate::random::bytes::<8>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, &id)?;
    fs::File::open(&unfinished)?.sync_all()?;
    fs::rename(&unfinished, path)?;
    if let Some(parent) = path.parent() {
        fs::File::open(parent)?.sync_all()?;
    }
    Ok(id)
}

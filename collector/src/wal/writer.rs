//! The thread that writes: one segment at a time, and with one `fdatasync` all that waits.

use std::{
    collections::HashSet,
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    sync::{Arc, atomic::Ordering},
};

use tokio::sync::{mpsc, oneshot};

use super::{
    AppendError, Entry, LogError, LogFigures, LogLimits, Sealed, Shelf, Taken,
    directory::Directory,
    figures::add,
    format::{self, SEGMENT_HEADER_BYTES},
    keys::KnownKeys,
};
use crate::model::Key;

/// Written at once, at most: whoever comes first waits for the others' bytes.
const MAX_GROUP_BYTES: usize = 8 << 20;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Message {
    Append(Append),
    Tick,
    Close,
}

/// Whoever waits for what became of their entries.
type Asker = oneshot::Sender<Result<Vec<Taken>, AppendError>>;

/// What is to be appended, and whoever waits for it.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) entries: Vec<Entry>,
    pub(super) answer: Asker,
}

/// What an earlier run has left.
#[derive(Debug)]
pub(super) struct Start {
    known: KnownKeys,
    next_segment: u64,
}

/// Reads what is there: keys, then segments, in order.
pub(super) fn replay(
    directory: &Directory,
    shelf: &Shelf,
    figures: &LogFigures,
    limits: LogLimits,
    now_ns: u64,
) -> Result<Start, LogError> {
    let [segments, key_files] = directory.list()?;
    let mut known = KnownKeys::default();
    let mut flushed = HashSet::new();
    for &number in &key_files {
        match directory.read_keys(number) {
            Some(keys) => {
                flushed.insert(number);
                // The last one keeps its number from being given again, even if it has no keys.
                if keys.is_empty() && Some(&number) != key_files.last() && !segments.contains(&number) {
                    directory.remove_keys(number).map_err(|source| LogError::File {
                        what: "remove",
                        path: directory.segment_path(number),
                        source,
                    })?;
                }
                for key in keys {
                    known.insert(number, key);
                }
            }
            None => add(&figures.keys_failed, 1),
        }
    }
    for &number in &segments {
        let path = || directory.segment_path(number);
        let error = |what| move |source| LogError::File { what, path: path(), source };
        if flushed.contains(&number) {
            // All of it is in the store: the keys are written last.
            directory.remove_segment(number).map_err(error("remove"))?;
            continue;
        }
        // Its keys are known from here on: what comes again is acknowledged, and a collector that was killed has left
        // this in the memory of the kernel.
        directory.sync_segment(number).map_err(error("sync"))?;
        let bytes = directory.read_segment(number, u64::MAX).map_err(error("read"))?;
        let read =
            format::read(number, &bytes).map_err(|source| LogError::Version { path: path(), source })?;
        add(&figures.replayed, read.records.len());
        add(&figures.torn_bytes, read.n_torn_bytes);
        let is_known = |record: &&format::Record<'_>| !known.insert(number, record.key);
        let skipped = read.records.iter().filter(is_known).map(|record| record.offset).collect();
        let n_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        shelf.grow(n_bytes);
        shelf.add(Sealed { number, bytes: n_bytes, skipped, since_ns: now_ns });
    }
    let last = segments.last().max(key_files.last()).copied().unwrap_or(0);
    let mut start = Start { known, next_segment: last.saturating_add(1) };
    trim(&mut start.known, directory, figures, limits.keys);
    Ok(start)
}

fn trim(known: &mut KnownKeys, directory: &Directory, figures: &LogFigures, limit: usize) {
    for number in known.trim(limit) {
        if directory.remove_keys(number).is_err() {
            add(&figures.keys_failed, 1);
        }
    }
    figures.keys.store(u64::try_from(known.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// The segment that is written.
#[derive(Debug)]
struct Open {
    number: u64,
    file: File,
    bytes: u64,
    n_rows: u64,
    since_ns: u64,
}

/// A write under way: what is new, and who waits.
#[derive(Debug, Default)]
struct Group {
    bytes: Vec<u8>,
    n_rows: u64,
    keys: Vec<Key>,
    key_set: HashSet<Key>,
    answers: Vec<(Asker, Vec<Taken>)>,
}

/// The thread.
#[derive(Debug)]
pub(super) struct Writer {
    directory: Arc<Directory>,
    shelf: Arc<Shelf>,
    figures: Arc<LogFigures>,
    limits: LogLimits,
    known: KnownKeys,
    next_segment: u64,
    open: Option<Open>,
    now_ns: fn() -> u64,
}

impl Writer {
    pub(super) fn new(
        directory: Arc<Directory>,
        shelf: Arc<Shelf>,
        figures: Arc<LogFigures>,
        limits: LogLimits,
        start: Start,
        now_ns: fn() -> u64,
    ) -> Self {
        let Start { known, next_segment } = start;
        Self { directory, shelf, figures, limits, known, next_segment, open: None, now_ns }
    }

    /// Until nobody can say anything any more.
    pub(super) fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        let mut is_closed = false;
        while let Some(message) = messages.blocking_recv() {
            let mut waiting = Vec::new();
            let mut n_bytes = 0_usize;
            let mut next = Some(message);
            while let Some(message) = next {
                match message {
                    Message::Append(append) if is_closed => answer(append.answer, Err(AppendError::Closed)),
                    Message::Append(append) => {
                        n_bytes = append
                            .entries
                            .iter()
                            .fold(n_bytes, |sum, it| sum.saturating_add(it.content.len()));
                        waiting.push(append);
                    }
                    Message::Tick => {}
                    Message::Close => is_closed = true,
                }
                next = if n_bytes < MAX_GROUP_BYTES { messages.try_recv().ok() } else { None };
            }
            if !waiting.is_empty() {
                self.append(waiting);
            }
            self.seal_if_due(is_closed);
            if is_closed {
                self.shelf.close();
            }
        }
        self.seal_if_due(true);
        self.shelf.close();
    }

    fn append(&mut self, waiting: Vec<Append>) {
        let (number, offset) = match self.segment() {
            Ok(open) => (open.number, open.bytes),
            Err(error) => {
                add(&self.figures.failed, 1);
                return refuse(waiting, &AppendError::Write(error.to_string()));
            }
        };
        let mut group = Group::default();
        for append in waiting {
            self.add(&mut group, number, offset, append);
        }
        let written = if group.bytes.is_empty() { Ok(()) } else { self.write(&group) };
        let Group { keys, answers, .. } = group;
        match written {
            Ok(()) => {
                add(&self.figures.appended, keys.len());
                for key in keys {
                    self.known.insert(number, key);
                }
                trim(&mut self.known, &self.directory, &self.figures, self.limits.keys);
                for (sender, taken) in answers {
                    add(&self.figures.known, taken.iter().filter(|taken| **taken == Taken::Known).count());
                    answer(sender, Ok(taken));
                }
            }
            Err(error) => {
                add(&self.figures.failed, 1);
                // What is known may be so from this very write.
                for (sender, _) in answers {
                    answer(sender, Err(AppendError::Write(error.to_string())));
                }
            }
        }
    }

    /// Adds what is not known to the group, all of the append or nothing.
    fn add(&self, group: &mut Group, number: u64, offset: u64, append: Append) {
        let is_known = |group: &Group, key: &Key| self.known.contains(key) || group.key_set.contains(key);
        let new = append.entries.iter().filter(|it| !is_known(group, &it.key));
        let n_new_bytes = new.fold(0_usize, |sum, it| {
            sum.saturating_add(it.content.len()).saturating_add(format::RECORD_HEADER_BYTES)
        });
        let waiting_bytes = self.shelf.waiting().1;
        let n_bytes = u64::try_from(group.bytes.len().saturating_add(n_new_bytes)).unwrap_or(u64::MAX);
        if n_new_bytes > 0 && waiting_bytes.saturating_add(n_bytes) > self.limits.max_bytes {
            let full = AppendError::Full { bytes: waiting_bytes, max_bytes: self.limits.max_bytes };
            return answer(append.answer, Err(full));
        }
        let mut taken = Vec::with_capacity(append.entries.len());
        for entry in append.entries {
            if is_known(group, &entry.key) {
                taken.push(Taken::Known);
                continue;
            }
            let at = offset.saturating_add(u64::try_from(group.bytes.len()).unwrap_or(u64::MAX));
            let Some(record) = format::record(number, at, entry.key, entry.n_rows, &entry.content) else {
                let error = AppendError::Write("a batch of more than 4 GiB".to_owned());
                return answer(append.answer, Err(error));
            };
            group.bytes.extend_from_slice(&record);
            group.n_rows = group.n_rows.saturating_add(u64::from(entry.n_rows));
            group.keys.push(entry.key);
            group.key_set.insert(entry.key);
            taken.push(Taken::New);
        }
        group.answers.push((append.answer, taken));
    }

    /// The segment that is written; a new one, if there is none.
    fn segment(&mut self) -> io::Result<&mut Open> {
        let open = match self.open.take() {
            Some(open) => open,
            None => {
                let number = self.next_segment;
                // Whatever comes of it, no other file gets that name.
                self.next_segment = number.saturating_add(1);
                let file = self.directory.create_segment(number)?;
                let bytes = u64::try_from(SEGMENT_HEADER_BYTES).unwrap_or(0);
                self.shelf.grow(bytes);
                Open { number, file, bytes, n_rows: 0, since_ns: (self.now_ns)() }
            }
        };
        Ok(self.open.insert(open))
    }

    fn write(&mut self, group: &Group) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Err(io::Error::other("there is no segment")) };
        let n_bytes = u64::try_from(group.bytes.len()).unwrap_or(u64::MAX);
        let written = open.file.write_all_at(&group.bytes, open.bytes).and_then(|()| open.file.sync_data());
        match written {
            Ok(()) => {
                open.bytes = open.bytes.saturating_add(n_bytes);
                open.n_rows = open.n_rows.saturating_add(group.n_rows);
                self.shelf.grow(n_bytes);
                add(&self.figures.writes, 1);
                add(&self.figures.bytes, group.bytes.len());
                Ok(())
            }
            Err(error) => {
                // What was refused shall not turn up later. If it cannot be cut off, it stays out of the store by the
                // length that the shelf knows, and after a crash by its keys.
                let _ = open.file.set_len(open.bytes).and_then(|()| open.file.sync_all());
                // What a disk holds after a failed sync, nobody knows: this segment gets nothing more.
                self.seal();
                Err(error)
            }
        }
    }

    fn seal_if_due(&mut self, is_ending: bool) {
        let Some(open) = &self.open else { return };
        let age_ns = u128::from((self.now_ns)().saturating_sub(open.since_ns));
        let is_due = open.bytes >= self.limits.segment_bytes
            || open.n_rows >= self.limits.segment_rows
            || age_ns >= self.limits.flush_after.as_nanos();
        if is_ending || is_due {
            self.seal();
        }
    }

    fn seal(&mut self) {
        let Some(open) = self.open.take() else { return };
        let sealed = Sealed {
            number: open.number,
            bytes: open.bytes,
            skipped: HashSet::new(),
            since_ns: (self.now_ns)(),
        };
        self.shelf.add(sealed);
    }
}

fn refuse(waiting: Vec<Append>, error: &AppendError) {
    for append in waiting {
        answer(append.answer, Err(error.clone()));
    }
}

fn answer(to: Asker, with: Result<Vec<Taken>, AppendError>) {
    // Whoever asked has left: the batch is known when it comes again.
    let _ = to.send(with);
}

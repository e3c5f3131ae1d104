//! Unwind tables, built beside the sampling path: files in, tables out, in any order.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread::JoinHandle,
};

use crate::{
    object::{Elf, GoTable, ObjectFile},
    process::FileId,
    table_cache::{self, CacheCounts, TableCache},
    table_op::FileUnwinding,
    unwind::UnwindError,
};

/// More threads would only wait for each other's files.
const MAX_WORKERS: usize = 4;

/// A file, and how to leave its functions.
pub(super) type Built = (FileId, FileUnwinding);

/// Threads that build tables. The queue holds each file of the host once, so the table of files bounds it.
pub(super) struct TableBuilder {
    cache: Arc<Option<TableCache>>,
    requests: Option<Sender<(FileId, Arc<ObjectFile>)>>,
    results: Receiver<Built>,
    /// Built, and not taken yet.
    ready: VecDeque<Built>,
    n_pending: usize,
    workers: Vec<JoinHandle<()>>,
}

impl TableBuilder {
    pub(super) fn start(cache: Option<TableCache>) -> Self {
        let (requests, queue) = mpsc::channel();
        let (results_in, results) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        let cache = Arc::new(cache);
        let n_workers = std::thread::available_parallelism().map_or(1, |n| n.get().min(MAX_WORKERS));
        let workers = (0..n_workers).filter_map(|i| {
            let (queue, results, cache) = (Arc::clone(&queue), results_in.clone(), Arc::clone(&cache));
            // With fewer threads than wanted the work is done, only later.
            let work = move || work(&queue, &results, cache.as_ref().as_ref());
            std::thread::Builder::new().name(format!("unwind-{i}")).spawn(work).ok()
        });
        let workers = workers.collect();
        Self { cache, requests: Some(requests), results, ready: VecDeque::new(), n_pending: 0, workers }
    }

    /// Has a file's table built.
    pub(super) fn request(&mut self, file: FileId, object: &Arc<ObjectFile>) {
        let sent =
            self.requests.as_ref().is_some_and(|requests| requests.send((file, Arc::clone(object))).is_ok());
        if sent {
            self.n_pending += 1;
        } else {
            self.ready.push_back((file, FileUnwinding::default()));
        }
    }

    /// Says that a file has no table: it could not be opened.
    pub(super) fn give_up(&mut self, file: FileId) {
        self.ready.push_back((file, FileUnwinding::default()));
    }

    /// What the cache on disk has done.
    pub(super) fn cache_counts(&self) -> Option<CacheCounts> {
        self.cache.as_ref().as_ref().map(TableCache::counts)
    }

    /// Whether tables are being built.
    pub(super) fn is_busy(&self) -> bool {
        self.n_pending > 0
    }

    /// The next table that is ready; does not wait.
    pub(super) fn next(&mut self) -> Option<Built> {
        if let Some(built) = self.ready.pop_front() {
            return Some(built);
        }
        let built = self.results.try_recv().ok()?;
        self.n_pending -= 1;
        Some(built)
    }

    /// Waits until everything asked for is ready.
    pub(super) fn wait(&mut self) {
        while self.n_pending > 0 {
            // Every worker gone: what they had not done is not coming.
            let Ok(built) = self.results.recv() else { break };
            self.n_pending -= 1;
            self.ready.push_back(built);
        }
    }
}

impl Drop for TableBuilder {
    fn drop(&mut self) {
        // The closed queue ends the workers.
        self.requests = None;
        for worker in self.workers.drain(..) {
            // A worker that panicked has nothing more to say.
            let _ = worker.join();
        }
    }
}

fn work(
    queue: &Mutex<Receiver<(FileId, Arc<ObjectFile>)>>,
    results: &Sender<Built>,
    cache: Option<&TableCache>,
) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((file, object)) = next else { return };
        // Unwind information that is absent or cannot be used leaves the frame pointer.
        let build = || {
            let built = table_cache::load_or_build(&object, cache);
            FileUnwinding {
                is_refused: built.as_ref().is_err_and(UnwindError::is_refusal),
                table: built.ok().map(|(table, _)| Arc::new(table)),
                keeps_frame_pointers: is_go(&object),
            }
        };
        // The file is somebody else's. Should it find a way to make us panic, it costs that file its table, and
        // nobody waits for it for ever.
        let unwinding = catch_unwind(AssertUnwindSafe(build))
            .unwrap_or_else(|_| FileUnwinding { is_refused: true, ..FileUnwinding::default() });
        if results.send((file, unwinding)).is_err() {
            return;
        }
    }
}

/// Go's compiler keeps a frame pointer in every function (since 1.7), which leads out of those that switch stacks.
fn is_go(object: &ObjectFile) -> bool {
    Elf::parse(&object.file).is_ok_and(|elf| GoTable::of(&elf).is_some())
}

//! Debug information from a server, by build ID, when the user asked for it: bounded in bytes and in time, and kept
//! on disk where the standard client keeps it.
//!
//! It is asked for after the recording has ended. Whatever goes wrong costs names, never the profile, and is
//! counted.

mod cache;
mod outcome;
mod request;
mod settings;

use std::{
    fmt,
    time::{Duration, Instant},
};

pub use outcome::{Failure, Outcomes};
pub use settings::{Settings, SettingsError};

use crate::object::{BuildId, ObjectFile};
use cache::{Cache, Cached};
use request::Client;

/// Largest file taken, in bytes.
const MAX_FILE_BYTES: u64 = 512 * 1024 * 1024;
/// Most bytes taken in one run.
const MAX_RUN_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// Longest that one run waits for servers.
const MAX_RUN_TIME: Duration = Duration::from_secs(180);

/// What is told while a file comes: of which build, and how many bytes there are. It answers whether to go on.
pub type Progress = Box<dyn FnMut(&BuildId, u64) -> bool>;

/// Asks servers for debug information.
pub struct Debuginfod {
    urls: Vec<String>,
    cache: Cache,
    client: Client,
    /// Of the run.
    bytes_left: u64,
    time_left: Duration,
    outcomes: Outcomes,
    progress: Progress,
}

impl Debuginfod {
    /// Asks nobody yet.
    #[must_use]
    pub fn new(settings: Settings, progress: Progress) -> Self {
        Self {
            urls: settings.urls,
            cache: Cache::new(settings.cache_dir),
            client: Client::new(),
            bytes_left: MAX_RUN_BYTES,
            time_left: MAX_RUN_TIME,
            outcomes: Outcomes::default(),
            progress,
        }
    }

    /// What became of everything that was asked for.
    #[must_use]
    pub fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }

    /// The debug information of a build, out of the cache or from the first server that has it.
    pub fn find(&mut self, build_id: &BuildId) -> Option<ObjectFile> {
        self.outcomes.n_asked = self.outcomes.n_asked.saturating_add(1);
        match self.cache.look_up(build_id) {
            Cached::Found(object) => {
                self.outcomes.n_cached = self.outcomes.n_cached.saturating_add(1);
                return Some(*object);
            }
            Cached::KnownAbsent => {
                self.outcomes.n_absent = self.outcomes.n_absent.saturating_add(1);
                return None;
            }
            Cached::Unknown => {}
        }
        let began = Instant::now();
        let fetched = self.fetch(build_id, began);
        self.time_left = self.time_left.saturating_sub(began.elapsed());
        match fetched {
            Ok(Some(object)) => {
                self.outcomes.n_fetched = self.outcomes.n_fetched.saturating_add(1);
                Some(object)
            }
            Ok(None) => {
                self.cache.remember_absent(build_id);
                self.outcomes.n_absent = self.outcomes.n_absent.saturating_add(1);
                None
            }
            Err(failure) => {
                self.outcomes.add_failure(failure);
                None
            }
        }
    }

    /// From the first server that has it; `None` where all say that they do not. A server that fails is no reason
    /// not to ask the next one.
    fn fetch(&mut self, build_id: &BuildId, began: Instant) -> Result<Option<ObjectFile>, Failure> {
        let mut failed = None;
        for url in &self.urls {
            let time_left = self.time_left.saturating_sub(began.elapsed());
            if time_left.is_zero() || self.bytes_left == 0 {
                return Err(failed.unwrap_or(Failure::Budget));
            }
            if !(self.progress)(build_id, 0) {
                return Err(Failure::GivenUp);
            }
            let mut file = self.cache.new_file(build_id)?;
            let limit_bytes = self.bytes_left.min(MAX_FILE_BYTES);
            let mut n_bytes = 0;
            let answer = self.client.get(url, build_id, time_left, limit_bytes, &mut file, |n| {
                n_bytes = n;
                (self.progress)(build_id, n)
            });
            self.bytes_left = self.bytes_left.saturating_sub(n_bytes);
            match answer {
                Ok(false) => {}
                Ok(true) => match self.cache.keep(build_id, file) {
                    Ok(object) => return Ok(Some(object)),
                    Err(failure) => failed = Some(failure),
                },
                Err(Failure::GivenUp) => return Err(Failure::GivenUp),
                Err(failure) => failed = Some(failure),
            }
        }
        failed.map_or(Ok(None), Err)
    }
}

impl fmt::Debug for Debuginfod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { urls, outcomes, .. } = self;
        f.debug_struct("Debuginfod").field("urls", urls).field("outcomes", outcomes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

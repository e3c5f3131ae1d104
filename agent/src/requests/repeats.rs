//! Answers of others that repeat: what a cache would have kept.

use ahash::HashMap;

use super::{losses::Losses, open::Asked};

/// Paths that are remembered.
const MAX_PATHS: usize = 16_384;
/// What is repeated by others than this may be an error that has been overcome.
const STATUS_OK: u16 = 200;

/// What was asked of others with `GET`, by path.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    last: HashMap<u64, Last>,
    /// Those that were answered.
    pub(super) n_gets: u64,
    /// Of them, those that were answered as the one for the same path before was, with as many bytes.
    pub(super) n_repeated: u64,
    /// Their paths.
    pub(super) n_paths: u64,
    /// How long they took.
    pub(super) took_ns: u64,
}

#[derive(Debug)]
struct Last {
    n_bytes: u64,
    is_repeated: bool,
}

impl Repeats {
    /// Somebody else has answered, whole.
    pub(super) fn add(&mut self, asked: &Asked, status: u16, n_bytes: u64, end_ns: u64, losses: &mut Losses) {
        let Some(path_hash) = asked.path_of_get() else { return };
        self.n_gets += 1;
        if status != STATUS_OK {
            self.last.remove(&path_hash);
            return;
        }
        let Some(last) = self.last.get_mut(&path_hash) else {
            if self.last.len() >= MAX_PATHS {
                losses.paths_full += 1;
            } else {
                self.last.insert(path_hash, Last { n_bytes, is_repeated: false });
            }
            return;
        };
        if last.n_bytes == n_bytes {
            self.n_repeated += 1;
            self.took_ns += asked.took_ns(end_ns);
            self.n_paths += u64::from(!last.is_repeated);
            last.is_repeated = true;
        }
        last.n_bytes = n_bytes;
    }
}

//! Root directories of targets, held so that what belongs to their files can still be found when they have gone.

use std::{collections::HashMap, fs::File, os::unix::fs::MetadataExt as _, sync::Arc};

use crate::procfs::root;

/// Roots held, at most: one for each container.
const MAX_ROOTS: usize = 1024;

/// Mount namespace, and device and inode of the directory.
type Key = (u64, u64, u64);

/// One handle for each root directory that is not the agent's own.
pub(super) struct Roots {
    own: Option<Key>,
    held: HashMap<Key, Arc<File>>,
}

impl Roots {
    pub(super) fn new() -> Self {
        let own = root::own().ok().and_then(|root| key(std::process::id(), &root));
        Self { own, held: HashMap::new() }
    }

    /// The root directory of a process, none if it is the agent's own or cannot be had.
    pub(super) fn of(&mut self, pid: u32) -> Option<Arc<File>> {
        let root = root::of_process(pid).ok()?;
        let key = key(pid, &root)?;
        if self.own == Some(key) {
            return None;
        }
        if let Some(held) = self.held.get(&key) {
            return Some(Arc::clone(held));
        }
        if self.held.len() >= MAX_ROOTS {
            return None;
        }
        let root = Arc::new(root);
        self.held.insert(key, Arc::clone(&root));
        Some(root)
    }
}

fn key(pid: u32, root: &File) -> Option<Key> {
    let namespace = std::fs::metadata(format!("/proc/{pid}/ns/mnt")).ok()?.ino();
    let root = root.metadata().ok()?;
    Some((namespace, root.dev(), root.ino()))
}

#[cfg(test)]
mod tests {
    use super::Roots;

    #[test]
    fn our_own_root_is_not_held_nor_is_that_of_nobody() {
        let mut roots = Roots::new();
        assert!(roots.own.is_some());
        for pid in [std::process::id(), u32::MAX] {
            let seen = roots.of(pid);
            assert!(seen.is_none(), "{pid}: {seen:?}");
        }
        assert!(roots.held.is_empty(), "{:?}", roots.held);
    }
}

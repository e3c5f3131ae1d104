//! One ID for each file that is mapped anywhere, however many processes map it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use abi::frame::MAX_FILE_ID;

/// The ID of a file in stacks and tables; never [`abi::mapping::FILE_ANONYMOUS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(u32);

impl FileId {
    /// As it stands in the kernel's tables.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// What makes two mappings be of one file: device and inode, or the label of a special mapping.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileKey {
    /// Major and minor number.
    pub device: (u32, u32),
    /// 0 for special mappings.
    pub inode: u64,
    /// Label of a special mapping; empty for a file, whose names may be many.
    pub label: PathBuf,
}

/// All files seen, by ID. They are never removed: an ID stands in stacks that the kernel still refers to.
#[derive(Debug, Default)]
pub struct Files {
    ids: HashMap<FileKey, FileId>,
    paths: Vec<PathBuf>,
}

impl Files {
    /// The ID of a file, and whether it is new. `None` when all IDs are taken.
    pub(crate) fn intern(&mut self, key: FileKey, path: &Path) -> Option<(FileId, bool)> {
        if let Some(id) = self.ids.get(&key) {
            return Some((*id, false));
        }
        // IDs begin at 1: 0 is anonymous memory.
        let id = u32::try_from(self.paths.len() + 1).ok().filter(|id| *id <= MAX_FILE_ID)?;
        let id = FileId(id);
        self.paths.push(path.to_owned());
        self.ids.insert(key, id);
        Some((id, true))
    }

    /// Files for tests that need no more of them than that they differ.
    #[cfg(test)]
    pub(crate) fn numbered<const N: usize>() -> [FileId; N] {
        let mut files = Self::default();
        std::array::from_fn(|i| {
            let key = FileKey { device: (8, 1), inode: 1 + i as u64, label: Default::default() };
            files.intern(key, "/x".as_ref()).expect("fits").0
        })
    }

    /// A copy that finds files by ID only.
    pub(super) fn without_keys(&self) -> Self {
        Self { ids: HashMap::new(), paths: self.paths.clone() }
    }

    /// How many there are.
    #[must_use]
    pub fn n_files(&self) -> usize {
        self.paths.len()
    }

    /// A file by the number under which it stands in a stack.
    #[must_use]
    pub fn by_number(&self, number: u32) -> Option<FileId> {
        let id = FileId(number);
        self.path(id).map(|_| id)
    }

    /// Where it was when it was first seen.
    #[must_use]
    pub fn path(&self, id: FileId) -> Option<&Path> {
        self.paths.get((id.0 as usize).checked_sub(1)?).map(PathBuf::as_path)
    }
}

//! What waits in a spool, read beside the agent that owns it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use agent::send::spool::format::{self, Content};
use anyhow::{Context as _, Result};

/// Batches that were seen in a spool, by key.
#[derive(Debug)]
pub struct Spooled {
    dir: PathBuf,
    /// Whether it is a profile.
    keys: BTreeMap<String, bool>,
    /// Files that have been read. Their numbers begin anew when an agent finds the spool empty.
    known: BTreeSet<OsString>,
}

impl Spooled {
    /// Of a spool, which need not be there yet.
    #[must_use]
    pub fn in_dir(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), keys: BTreeMap::new(), known: BTreeSet::new() }
    }

    /// The next agent begins.
    pub fn restart(&mut self) {
        self.known.clear();
    }

    /// Looks at what is there now.
    ///
    /// # Errors
    /// If a whole batch is not what it should be.
    pub fn look(&mut self) -> Result<()> {
        for name in self.files(".batch") {
            if self.known.contains(&name) {
                continue;
            }
            // It may have been delivered meanwhile.
            let Ok(bytes) = fs::read(self.dir.join(&name)) else { continue };
            let batch: proto::spool::Batch = format::decode(Content::Batch, &bytes)
                .with_context(|| format!("{} in the spool", name.display()))?;
            let key: String = batch.key.iter().map(|byte| format!("{byte:02x}")).collect();
            self.keys.insert(key, batch.signal() == proto::spool::Signal::Profiles);
            self.known.insert(name);
        }
        Ok(())
    }

    /// Files of this ending that are there now.
    #[must_use]
    pub fn files(&self, ending: &str) -> Vec<OsString> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name());
        names.filter(|name| name.to_string_lossy().ends_with(ending)).collect()
    }

    /// Keys of all that was ever seen.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// Keys of the profiles among them.
    pub fn profiles(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().filter(|(_, is_profile)| **is_profile).map(|(key, _)| key.as_str())
    }
}

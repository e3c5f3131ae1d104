//! The few files whose names are kept ready between batches.

use super::{Options, Reason, Resolved, all_missing};
use super::{debug_link::CheckBudget, user::FileSymbols};
use crate::debuginfod::Debuginfod;
use crate::object::{FileIdentity, ObjectFile};

/// Files kept: a proxy, its libraries, and another proxy.
const MAX_FILES: usize = 16;
/// Most memory for the copies of their tables, in bytes. The one in use always stays.
const MAX_KEPT_BYTES: u64 = 512 * 1024 * 1024;

/// Least recently used first.
#[derive(Debug)]
pub(super) struct FileCache {
    options: Options,
    /// Whom to ask for what is not on this host.
    debuginfod: Option<Debuginfod>,
    checks: CheckBudget,
    entries: Vec<(FileIdentity, Result<FileSymbols, Reason>)>,
}

impl FileCache {
    pub(super) fn new(options: Options, debuginfod: Option<Debuginfod>) -> Self {
        Self { options, debuginfod, checks: CheckBudget::default(), entries: Vec::new() }
    }

    pub(super) fn debuginfod(&self) -> Option<&Debuginfod> {
        self.debuginfod.as_ref()
    }

    pub(super) fn n_unchecked(&self) -> u64 {
        self.checks.n_unchecked
    }

    pub(super) fn frames(&mut self, object: &ObjectFile, file_offsets: &[u64]) -> Vec<Resolved> {
        if file_offsets.is_empty() {
            return Vec::new();
        }
        let position = self.entries.iter().position(|(identity, _)| *identity == object.identity);
        let entry = match position {
            Some(position) => self.entries.remove(position),
            None => {
                (object.identity, FileSymbols::read(object, file_offsets, self.options, &mut self.checks))
            }
        };
        let (symbols, frames) = match entry.1 {
            Ok(mut symbols) => match self.frames_of(&mut symbols, object, file_offsets) {
                Some(frames) => (Ok(symbols), frames),
                None => (Err(Reason::ParserFailed), all_missing(file_offsets.len(), Reason::ParserFailed)),
            },
            Err(reason) => (Err(reason), all_missing(file_offsets.len(), reason)),
        };
        // Where names are remembered, there are only those that were asked for.
        if self.options.n_remembered == 0 {
            self.entries.push((entry.0, symbols));
            self.shrink();
        }
        frames
    }

    /// Names instructions by what this host has; if that is not enough, by what a server has.
    fn frames_of(
        &mut self,
        symbols: &mut FileSymbols,
        object: &ObjectFile,
        file_offsets: &[u64],
    ) -> Option<Vec<Resolved>> {
        let frames = symbols.frames(object, file_offsets)?;
        let (Some(debuginfod), Some(build_id)) = (&mut self.debuginfod, &object.build_id) else {
            return Some(frames);
        };
        if !symbols.wants_more(&frames) {
            return Some(frames);
        }
        let Some(debug) = debuginfod.find(build_id) else { return Some(frames) };
        symbols.add(&debug.file);
        symbols.frames(object, file_offsets)
    }

    fn shrink(&mut self) {
        while self.entries.len() > 1 && (self.entries.len() > MAX_FILES || self.kept_bytes() > MAX_KEPT_BYTES)
        {
            drop(self.entries.remove(0));
        }
    }

    fn kept_bytes(&self) -> u64 {
        let sizes = self.entries.iter().filter_map(|(_, symbols)| symbols.as_ref().ok());
        sizes.fold(0, |sum, symbols| sum.saturating_add(symbols.size_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::{FileCache, Options, Resolved};
    use crate::object::ObjectFile;

    #[test]
    fn tables_of_a_file_are_kept_only_where_its_names_are_not() {
        let own = ObjectFile::open(&std::env::current_exe().unwrap()).unwrap();
        for (n_remembered, is_kept) in [(0, true), (100, false)] {
            let mut files = FileCache::new(Options { n_remembered, ..Options::default() }, None);
            let frames = files.frames(&own, &[0]);
            assert_eq!(frames.len(), 1);
            let kept_bytes = files.kept_bytes();
            assert_eq!(kept_bytes > 0, is_kept, "{n_remembered}: {kept_bytes} bytes");
        }
    }

    #[test]
    fn what_is_selected_of_a_table_names_as_the_whole_table_does() {
        let own = ObjectFile::open(&std::env::current_exe().unwrap()).unwrap();
        let n_bytes = own.file.metadata().unwrap().len();
        // Some of them in code, in data, in nothing.
        let offsets: Vec<u64> = (0..5000).map(|n| n * (n_bytes / 5000) + n % 7).collect();
        let [whole, selected] = [0, 100_000].map(|n_remembered| {
            FileCache::new(Options { n_remembered, ..Options::default() }, None).frames(&own, &offsets)
        });
        let is_named = |it: &Resolved| matches!(it, Resolved::Symbols(_));
        let n_named = whole.iter().filter(|it| is_named(it)).count();
        assert!(n_named > 500, "{n_named} named");
        let pairs = || whole.iter().zip(&selected);
        assert!(pairs().all(|(whole, selected)| is_named(whole) == is_named(selected)));
        // Of aliases of one size it is left open which one is shown.
        let different: Vec<_> = pairs().filter(|(whole, selected)| whole != selected).collect();
        assert!(different.len() * 50 < n_named, "{different:?}");
    }
}

//! The names in one file: its symbol tables and debug information, through blazesym, then Go's own table.

use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Component, Path, PathBuf};

use blazesym::symbolize::source::{Elf as ElfSource, Source};
use blazesym::symbolize::{CodeInfo, Input, Reason as BlazeReason, Sym, Symbolized, Symbolizer as Blazesym};

use super::names;
use super::snapshot::{self, Snapshot, SnapshotError};
use super::{Options, Reason, Resolved, SourceLine, Symbol};
use crate::object::{Elf, ElfError, GoTable, ObjectFile, Segments};

/// Where distributions install separate debug information. Only root writes there: blazesym maps those files.
pub(super) const DEBUG_DIRECTORY: &str = "/usr/lib/debug";

/// What is kept of one file between batches.
#[derive(Debug)]
pub(super) struct FileSymbols {
    segments: Segments,
    snapshot: Snapshot,
    blazesym: Blazesym,
    go: Option<GoTable>,
    inlines: bool,
}

impl FileSymbols {
    /// Reads the file's headers and copies its tables. Separate debug information is looked for below
    /// `debug_directory`.
    pub(super) fn read(
        object: &ObjectFile,
        options: Options,
        debug_directory: &Path,
    ) -> Result<Self, Reason> {
        let elf = Elf::parse(&object.file).map_err(|error| match error {
            ElfError::NotElf | ElfError::Unsupported => Reason::UnsupportedFile,
            ElfError::Malformed { .. } | ElfError::Read { .. } => Reason::FileUnreadable,
        })?;
        let stripped = elf.section(".symtab").is_none();
        let snapshot = snapshot::take(&elf, options.inlines || stripped).map_err(|error| match error {
            SnapshotError::TooLarge => Reason::SymbolsTooLarge,
            SnapshotError::Section { .. } | SnapshotError::Write { .. } => Reason::FileUnreadable,
        })?;
        let blazesym = Blazesym::builder()
            .enable_auto_reload(false)
            .enable_code_info(options.inlines)
            .enable_inlined_fns(options.inlines)
            // Done by ourselves, within limits.
            .enable_demangling(false)
            .set_debug_dirs(Some(debug_directories(debug_directory, &object.path)))
            .build();
        let segments = Segments::of(&elf);
        Ok(Self { segments, snapshot, blazesym, go: GoTable::of(&elf), inlines: options.inlines })
    }

    /// What it takes in memory, as far as it is ours to count.
    pub(super) fn size_bytes(&self) -> u64 {
        self.snapshot.size_bytes
    }

    /// Names instructions; none when the parser panicked, after which this value is not to be used again.
    pub(super) fn frames(&self, object: &ObjectFile, file_offsets: &[u64]) -> Option<Vec<Resolved>> {
        // blazesym indexes and adds without checks in places: a crafted file must cost its own names only.
        catch_unwind(AssertUnwindSafe(|| self.frames_unguarded(object, file_offsets))).ok()
    }

    fn frames_unguarded(&self, object: &ObjectFile, file_offsets: &[u64]) -> Vec<Resolved> {
        let svmas: Vec<Option<u64>> =
            file_offsets.iter().map(|&file_offset| self.segments.svma_of(file_offset)).collect();
        let mut frames: Vec<Resolved> = svmas
            .iter()
            .map(|svma| Resolved::Missing(if svma.is_some() { self.nameless() } else { Reason::NotMapped }))
            .collect();
        // The symbol table names functions for next to nothing; debug information is asked where it is wanted,
        // and where the symbol table has been stripped down to what is exported.
        let passes = match (self.snapshot.has_debug, self.inlines) {
            (false, _) => &[false] as &[bool],
            (true, true) => &[true, false],
            (true, false) => &[false, true],
        };
        for &use_debug in passes {
            self.fill(&mut frames, &svmas, use_debug);
        }
        if let Some(go) = &self.go {
            for (frame, svma) in frames.iter_mut().zip(&svmas) {
                if let (Resolved::Missing(_), Some(svma)) = (&*frame, *svma)
                    && let Some(name) = go.lookup(&object.file, svma)
                {
                    let symbol = Symbol { name: names::clean(&name), source: None, inlined: false };
                    *frame = Resolved::Symbols(vec![symbol]);
                }
            }
        }
        frames
    }

    fn nameless(&self) -> Reason {
        let has_names = self.snapshot.has_symbols || self.go.is_some();
        if has_names { Reason::NotInAnySymbol } else { Reason::NoSymbolTable }
    }

    /// Asks blazesym for the frames that have no name yet.
    fn fill(&self, frames: &mut [Resolved], svmas: &[Option<u64>], use_debug: bool) {
        let (slots, addresses): (Vec<usize>, Vec<u64>) = frames
            .iter()
            .zip(svmas)
            .enumerate()
            .filter(|(_, (frame, _))| matches!(frame, Resolved::Missing(_)))
            .filter_map(|(slot, (_, svma))| Some((slot, (*svma)?)))
            .unzip();
        if addresses.is_empty() {
            return;
        }
        let mut source =
            ElfSource::new(PathBuf::from(format!("/proc/self/fd/{}", self.snapshot.file.as_raw_fd())));
        source.debug_syms = use_debug;
        let answers = self.blazesym.symbolize(&Source::Elf(source), Input::VirtOffset(&addresses));
        // An error stands for the whole file. Debug information that does not belong to it or is broken is no
        // worse than none.
        let Ok(answers) = answers else {
            for slot in slots.into_iter().filter(|_| !use_debug) {
                if let Some(frame) = frames.get_mut(slot) {
                    *frame = Resolved::Missing(Reason::ParserFailed);
                }
            }
            return;
        };
        for (slot, answer) in slots.into_iter().zip(answers) {
            let Some(frame) = frames.get_mut(slot) else { continue };
            match answer {
                Symbolized::Sym(symbol) => {
                    if let Some(symbols) = convert(&symbol) {
                        *frame = Resolved::Symbols(symbols);
                    }
                }
                Symbolized::Unknown(BlazeReason::IgnoredError) if !use_debug => {
                    *frame = Resolved::Missing(Reason::ParserFailed);
                }
                Symbolized::Unknown(_) => {}
            }
        }
    }
}

/// blazesym gives the real function, then what is inlined into it from the outside in.
fn convert(symbol: &Sym<'_>) -> Option<Vec<Symbol>> {
    if symbol.name.is_empty() {
        return None;
    }
    let source = |info: Option<&CodeInfo<'_>>| {
        let info = info?;
        let file = names::clean(&info.to_path().to_string_lossy());
        Some(SourceLine { file, line: info.line? })
    };
    let inlined = symbol.inlined.iter().rev().map(|function| Symbol {
        name: names::readable(&function.name),
        source: source(function.code_info.as_ref()),
        inlined: true,
    });
    let real = Symbol {
        name: names::readable(&symbol.name),
        source: source(symbol.code_info.as_deref()),
        inlined: false,
    };
    Some(inlined.chain([real]).collect())
}

/// The debug directory, and in it the place that belongs to the file's own directory.
///
/// Files beside the target's own are not looked at: they are the target's to change while they are mapped.
fn debug_directories(debug_directory: &Path, target_path: &Path) -> Vec<PathBuf> {
    let mut directories = vec![debug_directory.to_path_buf()];
    if let Some(parent) = target_path.parent().and_then(|parent| parent.strip_prefix("/").ok())
        && parent.components().all(|part| matches!(part, Component::Normal(_)))
    {
        directories.push(debug_directory.join(parent));
    }
    directories
}

#[cfg(test)]
#[path = "user_tests.rs"]
mod tests;

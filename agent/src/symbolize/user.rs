//! The names in one file: its symbol tables and debug information, through blazesym, then Go's own table. What was
//! stripped from it is taken from the table that it has inside, or from its debug file.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use blazesym::symbolize::source::{Elf as ElfSource, Source};
use blazesym::symbolize::{CodeInfo, Input, Reason as BlazeReason, Sym, Symbolized, Symbolizer as Blazesym};

use super::snapshot::{self, Snapshot, SnapshotError};
use super::{CheckBudget, names, stripped};
use super::{Options, Reason, Resolved, SourceLine, Symbol};
use crate::object::{Elf, ElfError, GoTable, ObjectFile, Segments};

/// What is kept of one file between batches.
#[derive(Debug)]
pub(super) struct FileSymbols {
    segments: Segments,
    /// Of the file itself and of what was stripped from it, in the order in which they are asked. Never empty.
    snapshots: Vec<Snapshot>,
    blazesym: Blazesym,
    go: Option<GoTable>,
    inlines: bool,
    /// Addresses that can be named; none for all.
    only: Option<Vec<u64>>,
    /// Names are missing that a debug file could have.
    is_stripped: bool,
}

impl FileSymbols {
    /// Reads the file's headers and copies its tables, and those of its debug file; where names are remembered, what of them
    /// names these instructions, and no others can be asked for.
    pub(super) fn read(
        object: &ObjectFile,
        file_offsets: &[u64],
        options: Options,
        budget: &mut CheckBudget,
    ) -> Result<Self, Reason> {
        let elf = Elf::parse(&object.file).map_err(|error| match error {
            ElfError::NotElf | ElfError::Unsupported => Reason::UnsupportedFile,
            ElfError::Malformed { .. } | ElfError::Read { .. } => Reason::FileUnreadable,
        })?;
        let is_stripped = elf.section(".symtab").is_none();
        let segments = Segments::of(&elf);
        let only = (options.n_remembered > 0)
            .then(|| file_offsets.iter().filter_map(|offset| segments.svma_of(*offset)).collect::<Vec<_>>());
        let own = snapshot::take(&elf, options.inlines || is_stripped, only.as_deref());
        let own = own.map_err(|error| match error {
            SnapshotError::TooLarge => Reason::SymbolsTooLarge,
            SnapshotError::Section { .. } | SnapshotError::Write { .. } => Reason::FileUnreadable,
        })?;
        let is_stripped = is_stripped || (options.inlines && !own.has_debug);
        let blazesym = Blazesym::builder()
            .enable_auto_reload(false)
            .enable_code_info(options.inlines)
            .enable_inlined_fns(options.inlines)
            // Done by ourselves, within limits.
            .enable_demangling(false)
            // It would map what it finds.
            .set_debug_dirs(None::<[&Path; 0]>)
            .build();
        let mut symbols = Self {
            segments,
            snapshots: vec![own],
            blazesym,
            go: GoTable::of(&elf),
            inlines: options.inlines,
            only,
            is_stripped,
        };
        if is_stripped && let Some(debug) = stripped::find(object, &elf, budget) {
            symbols.add(&debug);
        }
        Ok(symbols)
    }

    /// Whether a debug file from elsewhere could name more of these frames.
    pub(super) fn wants_more(&self, frames: &[Resolved]) -> bool {
        let is_nameless = |frame: &Resolved| {
            matches!(frame, Resolved::Missing(Reason::NoSymbolTable | Reason::NotInAnySymbol))
        };
        let has_no_lines = self.inlines && !self.snapshots.iter().any(|snapshot| snapshot.has_debug);
        self.is_stripped && (has_no_lines || frames.iter().any(is_nameless))
    }

    /// Takes in what was stripped from the file. If that cannot be read, it is as if it were not there.
    pub(super) fn add(&mut self, stripped: &File) {
        let Ok(elf) = Elf::parse(stripped) else { return };
        let want_debug = self.inlines || elf.section(".symtab").is_none();
        if let Ok(snapshot) = snapshot::take(&elf, want_debug, self.only.as_deref()) {
            self.snapshots.push(snapshot);
        }
        // A table without lines would name a function before anyone is asked for its lines.
        self.snapshots.sort_by_key(|snapshot| self.inlines && !snapshot.has_debug);
    }

    /// What it takes in memory, as far as it is ours to count.
    pub(super) fn size_bytes(&self) -> u64 {
        self.snapshots.iter().fold(0, |sum, snapshot| sum.saturating_add(snapshot.size_bytes))
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
        for snapshot in &self.snapshots {
            // The symbol table names functions for next to nothing; debug information is asked where it is
            // wanted, and where the symbol table has been stripped down to what is exported.
            let passes = match (snapshot.has_debug, self.inlines) {
                (false, _) => &[false] as &[bool],
                (true, true) => &[true, false],
                (true, false) => &[false, true],
            };
            for &use_debug in passes {
                self.fill(&mut frames, &svmas, snapshot, use_debug);
            }
        }
        if let Some(go) = &self.go {
            frames.iter_mut().for_each(without_abi);
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
        let has_names = self.go.is_some() || self.snapshots.iter().any(|snapshot| snapshot.has_symbols);
        if has_names { Reason::NotInAnySymbol } else { Reason::NoSymbolTable }
    }

    /// Asks blazesym for the frames that have no name yet.
    fn fill(&self, frames: &mut [Resolved], svmas: &[Option<u64>], snapshot: &Snapshot, use_debug: bool) {
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
            ElfSource::new(PathBuf::from(format!("/proc/self/fd/{}", snapshot.file.as_raw_fd())));
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

/// Go's symbol table says of functions in assembly which calling convention they have; Go's own table does not.
fn without_abi(frame: &mut Resolved) {
    let Resolved::Symbols(symbols) = frame else { return };
    for name in symbols.iter_mut().map(|symbol| &mut symbol.name) {
        if let Some(bare) = name.strip_suffix(".abi0") {
            name.truncate(bare.len());
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

#[cfg(test)]
#[path = "user_tests.rs"]
mod tests;

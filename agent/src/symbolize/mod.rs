//! From file offsets and addresses to names, or to the reason why there is none.
//!
//! All input here belongs to the target: its files, its symbol maps. Files are copied in bounded pieces before
//! anyone parses them ([`snapshot`]), symbol maps are opened inside the target's root and read up to a limit, and
//! names are cut and cleaned before they leave ([`names`]).

mod debug_file;
mod debug_link;
mod files;
mod jit_names;
mod kernel;
mod mini_debug;
mod names;
mod perf_map;
mod remembered;
mod selected;
mod snapshot;
pub(crate) mod stripped;
mod user;

use std::fs::File;

use crate::debuginfod::Debuginfod;
use crate::object::ObjectFile;
pub use debug_link::CheckBudget;
use files::FileCache;
use kernel::KernelSymbols;
use perf_map::PerfMapCache;
use remembered::Remembered;

/// What to look for beyond names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Also report inlined functions and source lines, from debug information where there is any. Costs memory
    /// and time in proportion to the debug information.
    pub inlines: bool,
    /// Names of frames that are remembered once they were asked for: for who asks again and again.
    pub n_remembered: usize,
}

/// A place in source code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLine {
    /// The file, as the compiler was given it.
    pub file: String,
    /// Counted from 1.
    pub line: u32,
}

/// One function at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Demangled name.
    pub name: String,
    /// Where in the source the instruction (or, for a caller of an inlined function, the call) is.
    pub source: Option<SourceLine>,
    /// The function has no frame of its own: it was inlined into the next one.
    pub inlined: bool,
}

/// What is known of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// Innermost first: inlined functions, then the real one, last. Never empty.
    Symbols(Vec<Symbol>),
    /// Nothing, and why.
    Missing(Reason),
}

/// Why a frame has no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The file is stripped and has no other table of names either.
    NoSymbolTable,
    /// There are names, but not for this address: mostly a static function of a stripped file.
    NotInAnySymbol,
    /// The offset is not within any part of the file that the loader maps.
    NotMapped,
    /// The file could not be read.
    FileUnreadable,
    /// The file is not 64-bit little-endian ELF.
    UnsupportedFile,
    /// The symbol tables are larger than the limit.
    SymbolsTooLarge,
    /// The symbol parser gave up on the file.
    ParserFailed,
    /// The code has no file, and its process wrote no symbol map.
    UnknownJit,
    /// There is a symbol map, but not for this address.
    NotInPerfMap,
    /// The symbol map is not a regular file of the process's owner, so that it is not believed.
    PerfMapUntrusted,
    /// The symbol map could not be read.
    PerfMapUnreadable,
    /// The kernel shows its addresses to more privileged readers only (`kernel.kptr_restrict`).
    KernelSymbolsHidden,
    /// The kernel's symbols could not be read.
    KernelSymbolsUnreadable,
}

impl Reason {
    /// Every reason, for tables and documentation.
    pub const ALL: [Self; 13] = [
        Self::NoSymbolTable,
        Self::NotInAnySymbol,
        Self::NotMapped,
        Self::FileUnreadable,
        Self::UnsupportedFile,
        Self::SymbolsTooLarge,
        Self::ParserFailed,
        Self::UnknownJit,
        Self::NotInPerfMap,
        Self::PerfMapUntrusted,
        Self::PerfMapUnreadable,
        Self::KernelSymbolsHidden,
        Self::KernelSymbolsUnreadable,
    ];

    /// The reason in words.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NoSymbolTable => "file has no symbol table",
            Self::NotInAnySymbol => "address is in no symbol (stripped static function?)",
            Self::NotMapped => "offset is in no loaded part of the file",
            Self::FileUnreadable => "file could not be read",
            Self::UnsupportedFile => "file is not 64-bit little-endian ELF",
            Self::SymbolsTooLarge => "symbol tables are larger than the limit",
            Self::ParserFailed => "symbol tables could not be parsed",
            Self::UnknownJit => "generated code, and the process wrote no symbol map",
            Self::NotInPerfMap => "generated code that is not in the symbol map",
            Self::PerfMapUntrusted => "symbol map is not a regular file of the process's owner",
            Self::PerfMapUnreadable => "symbol map could not be read",
            Self::KernelSymbolsHidden => "kernel addresses are hidden (kernel.kptr_restrict)",
            Self::KernelSymbolsUnreadable => "kernel symbols could not be read",
        }
    }
}

/// A process that runs code it generated itself.
#[derive(Debug)]
pub struct JitProcess {
    /// Its id in the agent's pid namespace.
    pub pid: u32,
    /// Its id in its own pid namespace, by which it names its symbol map.
    pub ns_pid: u32,
    /// A handle (`O_PATH`) of its root directory, held since it was first seen.
    pub root: File,
    /// Its effective user id.
    pub uid: u32,
}

/// Finds names. Not `Send`: make one on the thread that uses it.
#[derive(Debug)]
pub struct Symbolizer {
    files: FileCache,
    kernel: KernelSymbols,
    perf_maps: PerfMapCache,
    remembered: Remembered,
}

impl Symbolizer {
    /// Reads nothing yet. `debuginfod` is asked for what this host does not have.
    pub fn new(options: Options, debuginfod: Option<Debuginfod>) -> Self {
        Self {
            files: FileCache::new(options, debuginfod),
            kernel: KernelSymbols::default(),
            perf_maps: PerfMapCache::default(),
            remembered: Remembered::new(options.n_remembered),
        }
    }

    /// Names instructions of one file by their file offsets, one answer each, in their order. Return addresses
    /// are to be given minus one. Give all offsets of a file at once: only a few files are kept open.
    pub fn file_frames(&mut self, file: &ObjectFile, file_offsets: &[u64]) -> Vec<Resolved> {
        let files = &mut self.files;
        self.remembered.frames(file.identity, file_offsets, |asked| files.frames(file, asked))
    }

    /// Looks up names that are not remembered yet, so that whoever asks for some of them one after another needs the file
    /// no more. Does nothing where nothing is remembered.
    pub fn learn(&mut self, file: &ObjectFile, file_offsets: &[u64]) {
        let files = &mut self.files;
        self.remembered.learn(file.identity, file_offsets, |asked| files.frames(file, asked));
    }

    /// Lets go of symbol maps; names that are remembered stay.
    pub fn rest(&mut self) {
        self.perf_maps = PerfMapCache::default();
    }

    /// Forgets everything: what is named differently now, such as modules of the kernel, has its new names then.
    pub fn forget(&mut self) {
        self.rest();
        self.remembered.clear();
        self.kernel = KernelSymbols::default();
    }

    /// How many frames of files were remembered, and how many had to be looked up.
    #[must_use]
    pub fn remembered(&self) -> (u64, u64) {
        (self.remembered.n_hits, self.remembered.n_misses)
    }

    /// Who was asked for debug information, if anyone.
    pub fn debuginfod(&self) -> Option<&Debuginfod> {
        self.files.debuginfod()
    }

    /// Debug files that were left out because a checksum of that many bytes would have cost too much.
    pub fn n_unchecked(&self) -> u64 {
        self.files.n_unchecked()
    }

    /// Names kernel addresses, one answer each, in their order.
    pub fn kernel_frames(&mut self, addresses: &[u64]) -> Vec<Resolved> {
        self.kernel.frames(addresses)
    }

    /// Names addresses in generated code of one process, one answer each, in their order.
    pub fn jit_frames(&mut self, jit: &JitProcess, addresses: &[u64]) -> Vec<Resolved> {
        self.perf_maps.frames(jit, addresses)
    }
}

/// The same reason for every one of `count` frames.
fn all_missing(count: usize, reason: Reason) -> Vec<Resolved> {
    vec![Resolved::Missing(reason); count]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_sentence_of_its_own() {
        let mut sentences: Vec<_> = Reason::ALL.iter().map(|reason| reason.sentence()).collect();
        sentences.sort_unstable();
        sentences.dedup();
        assert_eq!(sentences.len(), Reason::ALL.len(), "{sentences:?}");
        assert!(sentences.iter().all(|text| !text.is_empty() && !text.ends_with('.')), "{sentences:?}");
    }
}

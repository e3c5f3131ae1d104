//! Mappings and frames: where a code address lies and what is known of it.

use std::fmt;

use crate::{
    strings::StrId,
    table::{Table, handle},
};

/// The path of the mapping that kernel frames belong to, as perf and pprof name it.
pub const KERNEL_MAPPING: &str = "[kernel.kallsyms]";

handle! {
    /// A file, or the kernel, that frames lie in.
    MappingHandle
}
handle! {
    /// One place in the code.
    FrameHandle
}

/// Identifies the content of an ELF file (its GNU build id, or a hash). Shown as hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BuildId {
    bytes: [u8; Self::MAX_BYTES],
    n_bytes: u8,
}

impl BuildId {
    /// Longer than any hash in use; a note that claims more is not a build id.
    pub const MAX_BYTES: usize = 64;

    /// None if `bytes` is empty or longer than [`BuildId::MAX_BYTES`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let n_bytes = u8::try_from(bytes.len()).ok().filter(|&n_bytes| n_bytes > 0)?;
        let mut id = Self { bytes: [0; Self::MAX_BYTES], n_bytes };
        id.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(id)
    }

    /// The identifying bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.n_bytes)).unwrap_or_default()
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuildId({self})")
    }
}

/// Where a file was mapped in the profiled process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressRange {
    /// The first address.
    pub start: u64,
    /// The first address after it.
    pub limit: u64,
    /// Where in the file the first address comes from.
    pub file_offset: u64,
}

/// A file, or the kernel, that code was mapped from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// The path the profiled process knows it by, or [`KERNEL_MAPPING`].
    pub path: StrId,
    /// What identifies its content.
    pub build_id: Option<BuildId>,
    /// None gives the file a made-up range in the forms that want one. Two ranges make two mappings, so a real
    /// one must be the same for every process: the addresses the ELF file itself states, not those of a map.
    pub range: Option<AddressRange>,
}

impl Mapping {
    /// A file, wherever it was mapped.
    pub fn file(path: StrId, build_id: Option<BuildId>) -> Self {
        Self { path, build_id, range: None }
    }
}

/// What kind of code a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrameKind {
    /// Code of a file in user space.
    Native,
    /// Code of the kernel.
    Kernel,
    /// Code that the process made while it ran.
    Jit,
    /// No code: says why the stack stops here. Its sentence is the function name.
    Reason,
}

/// A place in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source {
    /// The path of the file, as the debug information gives it.
    pub file: StrId,
    /// The line, counted from 1.
    pub line: u32,
}

/// One place in the code, as a stack shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Frame {
    /// What kind of code it is.
    pub kind: FrameKind,
    /// The name for people; None if there is no symbol for it.
    pub function: Option<StrId>,
    /// The file it lies in, or the kernel.
    pub mapping: Option<MappingHandle>,
    /// The offset in the file; for kernel and JIT code the address in memory.
    pub address: u64,
    /// The place in the source, where debug information tells it.
    pub source: Option<Source>,
    /// Whether the compiler put this function into the frame next to it on the root's side, which then has
    /// the same mapping and address.
    pub inlined: bool,
}

impl Frame {
    /// Code of a file, at an offset in that file.
    pub fn native(mapping: MappingHandle, file_offset: u64) -> Self {
        Self { mapping: Some(mapping), ..Self::bare(FrameKind::Native, file_offset) }
    }

    /// Code of the kernel; `mapping` is the one whose path is [`KERNEL_MAPPING`].
    pub fn kernel(mapping: MappingHandle, address: u64) -> Self {
        Self { mapping: Some(mapping), ..Self::bare(FrameKind::Kernel, address) }
    }

    /// Code that the process made while it ran.
    pub fn jit(address: u64) -> Self {
        Self::bare(FrameKind::Jit, address)
    }

    /// The place where a stack stops, and why, as a sentence in brackets.
    pub fn reason(sentence: StrId) -> Self {
        Self::bare(FrameKind::Reason, 0).named(sentence)
    }

    /// The same place with the name of its function.
    #[must_use]
    pub fn named(self, function: StrId) -> Self {
        Self { function: Some(function), ..self }
    }

    /// The same place with its source line.
    #[must_use]
    pub fn at(self, file: StrId, line: u32) -> Self {
        Self { source: Some(Source { file, line }), ..self }
    }

    /// The same place as a function that was inlined there.
    #[must_use]
    pub fn inlined(self) -> Self {
        Self { inlined: true, ..self }
    }

    fn bare(kind: FrameKind, address: u64) -> Self {
        Self { kind, function: None, mapping: None, address, source: None, inlined: false }
    }
}

/// The mappings and frames of a profile.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frames {
    pub(crate) mappings: Table<Mapping>,
    pub(crate) frames: Table<Frame>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_id_shows_as_hexadecimal_with_its_leading_zeros() {
        let id = BuildId::new(&[0x00, 0x0a, 0xff]).map(|id| id.to_string());
        assert_eq!(id.as_deref(), Some("000aff"));
    }

    #[test]
    fn a_build_id_has_between_1_and_64_bytes() {
        let accepted: Vec<usize> =
            (0..=300).filter(|&n_bytes| BuildId::new(&vec![7; n_bytes]).is_some()).collect();
        assert_eq!(accepted, (1..=64).collect::<Vec<_>>());
    }

    #[test]
    fn a_frame_stays_small_because_a_profile_holds_hundreds_of_thousands() {
        assert_eq!(size_of::<Frame>(), 40);
    }
}

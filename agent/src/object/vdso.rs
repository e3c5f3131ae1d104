//! The kernel's virtual shared object, which every process has mapped and no file system holds.
//!
//! All processes of one machine word size share one image, so the agent's own stands for all of them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::file::{ObjectFile, OpenError};
use super::memory_file;
use super::read::{ReadError, read_bytes};
use crate::procfs::maps::{self, MapsError};

/// Largest image copied, in bytes: it has two to four pages.
const MAX_VDSO_BYTES: u64 = 1024 * 1024;

/// Why the image could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum VdsoError {
    /// Our own mappings are unknown.
    #[error("cannot find the vdso")]
    Maps {
        /// Why.
        #[source]
        source: MapsError,
    },
    /// The kernel was started without one.
    #[error("this process has no vdso")]
    Absent,
    /// Our own memory could not be read.
    #[error("cannot open the memory of this process")]
    Memory {
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// The image could not be read.
    #[error("cannot read the vdso")]
    Read {
        /// Why.
        #[source]
        source: ReadError,
    },
    /// The copy could not be made.
    #[error("cannot copy the vdso to memory")]
    Copy {
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// The copy is not usable.
    #[error("cannot use the copy of the vdso")]
    Open {
        /// Why.
        #[source]
        source: OpenError,
    },
}

/// Copies this process's image into a sealed file in memory. Offsets in it are offsets in the mapping.
pub fn open_vdso() -> Result<ObjectFile, VdsoError> {
    let entries = maps::read(std::process::id()).map_err(|source| VdsoError::Maps { source })?;
    let entry = entries.iter().find(|entry| entry.is_vdso()).ok_or(VdsoError::Absent)?;
    let memory = File::open("/proc/self/mem").map_err(|source| VdsoError::Memory { source })?;
    let size_bytes = entry.end.saturating_sub(entry.start);
    let image = read_bytes(&memory, entry.start, size_bytes, MAX_VDSO_BYTES)
        .map_err(|source| VdsoError::Read { source })?;
    let copy = memory_file::create(c"vdso")
        .and_then(|file| {
            file.write_all_at(&image, 0)?;
            memory_file::seal(&file)?;
            Ok(file)
        })
        .map_err(|source| VdsoError::Copy { source })?;
    ObjectFile::from_file(copy, PathBuf::from("[vdso]")).map_err(|source| VdsoError::Open { source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Elf, Segments};

    #[test]
    fn the_copy_is_an_elf_file_with_a_build_id_and_code() {
        let vdso = open_vdso().expect("copies");
        assert!(vdso.build_id.is_some(), "{vdso:?}");
        let elf = Elf::parse(&vdso.file).expect("parses");
        let text = elf.section(".text").expect("text");
        assert_eq!(Segments::of(&elf).svma_of(text.file_offset), Some(text.svma));
    }
}

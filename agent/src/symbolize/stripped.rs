//! The file that holds the symbols that were stripped from another.

use std::fs::File;

use super::{debug_file, mini_debug};
use crate::object::{Elf, ObjectFile};

/// Where distributions put it, or from inside the file itself.
pub(crate) fn find(object: &ObjectFile, elf: &Elf<'_>) -> Option<File> {
    debug_file::find(object, elf).map(|debug| debug.file).or_else(|| mini_debug::unpack(elf))
}

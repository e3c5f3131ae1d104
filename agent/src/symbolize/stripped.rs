//! The file that holds the symbols that were stripped from another.

use std::fs::File;

use super::{CheckBudget, debug_file, mini_debug};
use crate::object::{Elf, ObjectFile};

/// Where distributions put it, or from inside the file itself.
pub(crate) fn find(object: &ObjectFile, elf: &Elf<'_>, budget: &mut CheckBudget) -> Option<File> {
    debug_file::find(object, elf, budget).map(|debug| debug.file).or_else(|| mini_debug::unpack(elf))
}

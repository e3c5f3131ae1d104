//! The functions of a file that have to do with memory, and where their names were looked for.

use std::collections::BTreeMap;

use super::{Arguments, functions, pool_size, unnamed};
use crate::{
    object::{
        Elf, ObjectFile, Segments, read_bytes,
        symbols::{self, Function},
    },
    symbolize::{CheckBudget, stripped},
};

/// Bytes of code looked at: past them, a function has long overwritten its arguments.
const MAX_CODE_BYTES: u64 = 4096;
/// Looked at where a symbol does not say how long its function is.
const DEFAULT_CODE_BYTES: u64 = 64;

/// What was found, and where it was looked for.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// By name; none twice.
    pub(super) functions: BTreeMap<String, (Function, Arguments)>,
    /// Whether it imports an allocator from another file.
    pub(super) imports_allocator: bool,
    /// The tables that it has.
    pub(super) looked_in: Vec<&'static str>,
}

/// Looks in the symbol tables of the file, in those that were stripped from it, and at what calls its allocator.
pub(super) fn find(object: &ObjectFile, elf: &Elf<'_>, budget: &mut CheckBudget) -> Found {
    let is_wanted = |name: &str| functions::arguments(name).is_some() || pool_size::ASKS.contains(&name);
    let mut by_name = symbols::functions(elf, is_wanted);
    let mut looked_in: Vec<&str> =
        [".dynsym", ".symtab"].into_iter().filter(|table| elf.section(table).is_some()).collect();
    if elf.section(".symtab").is_none()
        && let Some(file) = stripped::find(object, elf, budget)
        && let Ok(debug) = Elf::parse(&file)
    {
        looked_in.push("the symbols that were stripped from it");
        for (name, function) in symbols::functions(&debug, is_wanted) {
            by_name.entry(name).or_insert(function);
        }
    }
    let mut found = Found {
        functions: BTreeMap::new(),
        imports_allocator: symbols::imports(elf, |name| {
            functions::arguments(name).is_some_and(Arguments::is_allocator)
        }),
        looked_in,
    };
    let asks = pool_size::ASKS.iter().find_map(|name| by_name.get(*name));
    let size_at = asks.and_then(|function| pool_size::find(&code_of(elf, function)));
    for (name, function) in by_name {
        let Some(arguments) = functions::arguments(&name) else { continue };
        let arguments = if arguments.wants_offset() {
            size_at.and_then(|offset| arguments.with_size_at(offset))
        } else {
            Some(arguments)
        };
        if let Some(arguments) = arguments {
            found.functions.insert(name, (function, arguments));
        }
    }
    if let Some(operators) = unnamed::find(elf, &found.functions) {
        found.looked_in.push("the calls into its section google_malloc");
        found.functions.extend(operators);
    }
    found
}

/// The beginning of a function.
pub(super) fn code_of(elf: &Elf<'_>, function: &Function) -> Vec<u8> {
    let file_offset = Segments::of(elf).file_offset_of(function.svma);
    file_offset
        .and_then(|offset| read_bytes(elf.file(), offset, length_of(function), MAX_CODE_BYTES).ok())
        .unwrap_or_default()
}

/// How much of it is looked at.
pub(super) fn length_of(function: &Function) -> u64 {
    if function.size_bytes == 0 { DEFAULT_CODE_BYTES } else { function.size_bytes.min(MAX_CODE_BYTES) }
}

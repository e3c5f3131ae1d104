//! Functions that a file defines, by name, from both of its symbol tables.

use std::collections::{BTreeMap, HashMap};

use ::object::elf;

use super::{
    elf::{Elf, Section},
    read::{u16_at, u32_at, u64_at},
};

/// Largest symbol table read; that of a Node with all of its symbols has 20 MiB.
const MAX_TABLE_BYTES: u64 = 256 << 20;
/// Largest table of names read: C++ spells them out.
const MAX_NAMES_BYTES: u64 = 512 << 20;
const SYMBOL_BYTES: usize = 24;

/// A function, as its symbol says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Where it begins, as the file states it.
    pub svma: u64,
    /// How long it is; 0 if the symbol does not say.
    pub size_bytes: u64,
}

/// The functions defined here whose names are asked for. A table that cannot be read has none.
pub fn functions(elf: &Elf<'_>, is_wanted: impl Fn(&str) -> bool) -> BTreeMap<String, Function> {
    let mut found = BTreeMap::new();
    for tables in [(".dynsym", ".dynstr"), (".symtab", ".strtab")] {
        for_each(elf, tables, |_, name, function| {
            if let Some(function) = function.filter(|_| is_wanted(name)) {
                found.entry(name.to_owned()).or_insert(function);
            }
        });
    }
    found
}

/// Whether a function of such a name is asked for from other files.
pub fn imports(elf: &Elf<'_>, is_wanted: impl Fn(&str) -> bool) -> bool {
    let mut found = false;
    for_each(elf, (".dynsym", ".dynstr"), |_, name, function| found |= function.is_none() && is_wanted(name));
    found
}

/// What is told of the functions in the dynamic symbol table, own and imported, by their place in it: relocations
/// name them by that.
pub fn dynamic<T>(elf: &Elf<'_>, tell: impl Fn(&str) -> Option<T>) -> HashMap<u32, T> {
    let mut told = HashMap::new();
    for_each(elf, (".dynsym", ".dynstr"), |index, name, _| {
        if let (Ok(index), Some(it)) = (u32::try_from(index), tell(name)) {
            told.insert(index, it);
        }
    });
    told
}

/// Every function of a symbol table and of its table of names; without a place, those of other files.
fn for_each(
    elf: &Elf<'_>,
    (table, names): (&str, &str),
    mut take: impl FnMut(usize, &str, Option<Function>),
) {
    let bytes = |section: Option<&Section>, limit| {
        section.and_then(|section| elf.section_bytes(section, limit).ok()).unwrap_or_default()
    };
    let symbols = bytes(elf.section(table), MAX_TABLE_BYTES);
    let names = bytes(elf.section(names), MAX_NAMES_BYTES);
    for (index, symbol) in symbols.chunks_exact(SYMBOL_BYTES).enumerate() {
        if let Some((name, function)) = parse(symbol, &names) {
            take(index, name, function);
        }
    }
}

/// One entry; `None` for what is no function.
fn parse<'a>(symbol: &[u8], names: &'a [u8]) -> Option<(&'a str, Option<Function>)> {
    let kind = symbol.get(4)? & 0xf;
    let section = u16_at(symbol, 6)?;
    if kind != elf::STT_FUNC.0 {
        return None;
    }
    let rest = names.get(usize::try_from(u32_at(symbol, 0)?).ok()?..)?;
    let name = std::str::from_utf8(rest.split(|byte| *byte == 0).next()?).ok()?;
    // As a static table spells a version: `malloc@@GLIBC_2.2.5`.
    let name = name.split('@').next()?;
    let function = Function { svma: u64_at(symbol, 8)?, size_bytes: u64_at(symbol, 16)? };
    Some((name, (section != elf::SHN_UNDEF.0).then_some(function)))
}

#[cfg(test)]
mod tests {
    use super::{functions, parse};
    use crate::object::Elf;

    #[test]
    fn the_c_library_defines_malloc_and_does_not_define_main() {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("own mappings");
        let path = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
        let path = path.into_iter().find(|path| path.contains("/libc.so")).expect("a C library");
        let file = std::fs::File::open(path).expect("opens");
        let elf = Elf::parse(&file).expect("parses");
        let found = functions(&elf, |name| name == "malloc" || name == "main");
        let names: Vec<&String> = found.keys().collect();
        assert_eq!(names, ["malloc"]);
        assert!(found["malloc"].size_bytes > 16, "{found:?}");
    }

    #[test]
    fn no_entry_makes_the_parser_panic() {
        let mut symbol = [0xff; 24];
        symbol[4] = 2;
        assert_eq!(parse(&symbol, b"malloc\0"), None);
        symbol[..4].copy_from_slice(&[0; 4]);
        let (name, function) = parse(&symbol, b"malloc@@GLIBC_2.2.5\0").expect("a function");
        assert_eq!((name, function.map(|it| it.svma)), ("malloc", Some(u64::MAX)));
        for n_bytes in 0..24 {
            assert_eq!(parse(&symbol[..n_bytes], b"malloc\0"), None, "{n_bytes}");
        }
    }
}

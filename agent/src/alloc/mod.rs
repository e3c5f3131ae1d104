//! Which functions of a file allocate memory, and where they are best probed. Pure but for reading the file that it
//! is given.

mod functions;
mod place;

use std::{collections::HashSet, ops::Range};

use crate::object::{Elf, Segments, symbols};

pub use functions::Arguments;
pub use place::Place;

/// Bytes of code looked at: past them, a function has long overwritten its arguments.
const MAX_CODE_BYTES: u64 = 4096;

/// A place to probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The function.
    pub function: String,
    /// Bytes after its first one.
    pub distance: u64,
    /// Where that is in the file.
    pub file_offset: u64,
    /// How long the function is.
    pub length_bytes: u64,
    /// Which arguments make the size.
    pub arguments: Arguments,
    /// The kernel has to run the instruction that is there out of line and stop again behind it.
    pub is_single_stepped: bool,
}

impl Probe {
    /// Where the function is in its file.
    #[must_use]
    pub fn function_offsets(&self) -> Range<u64> {
        let start = self.file_offset.saturating_sub(self.distance);
        start..start.saturating_add(self.length_bytes)
    }
}

/// The probes of a file; none if it defines no allocator.
#[must_use]
pub fn probes(elf: &Elf<'_>) -> Vec<Probe> {
    let found = symbols::functions(elf, |name| functions::arguments(name).is_some());
    let segments = Segments::of(elf);
    let starts: HashSet<u64> = found.values().map(|function| function.svma).collect();
    let mut seen = HashSet::new();
    let mut probes = Vec::new();
    // Of several names of one function, the shortest is the one that people know.
    let mut by_name: Vec<_> = found.iter().collect();
    by_name.sort_by_key(|(name, _)| (name.len(), *name));
    for (name, function) in by_name {
        let Some(arguments) = functions::arguments(name) else { continue };
        if !seen.insert(function.svma) {
            continue;
        }
        let Some(file_offset) = segments.file_offset_of(function.svma) else { continue };
        let length = if function.size_bytes == 0 { 64 } else { function.size_bytes.min(MAX_CODE_BYTES) };
        let code =
            crate::object::read_bytes(elf.file(), file_offset, length, MAX_CODE_BYTES).unwrap_or_default();
        let calls = place::calls(&code, function.svma, &starts);
        // What it allocates is counted where it asks for it.
        if calls && !arguments.is_resize() {
            continue;
        }
        if arguments.is_alien(&found) {
            continue;
        }
        let Some(Place { distance, is_single_stepped }) = place::find(&code, arguments) else { continue };
        probes.push(Probe {
            function: name.clone(),
            distance,
            file_offset: file_offset + distance,
            length_bytes: length,
            arguments: if calls { arguments.skipping_null() } else { arguments },
            is_single_stepped,
        });
    }
    probes
}

#[cfg(test)]
mod tests {
    use super::probes;
    use crate::object::Elf;

    #[test]
    fn the_c_library_is_probed_where_nothing_is_single_stepped() {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("own mappings");
        let paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
        let path = paths.into_iter().find(|path| path.contains("/libc.so")).expect("a C library");
        let file = std::fs::File::open(path).expect("opens");
        let probes = probes(&Elf::parse(&file).expect("parses"));
        let has = |name| probes.iter().any(|probe| probe.function == name && !probe.is_single_stepped);
        assert!(["malloc", "calloc", "realloc"].into_iter().all(has), "{probes:?}");
    }
}

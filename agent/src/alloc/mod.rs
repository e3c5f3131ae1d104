//! Which functions of a file allocate memory or give it back, and where they are best probed. Pure but for reading
//! the file that it is given, and the one with what was stripped from it.

mod calls;
mod found;
mod functions;
mod names;
mod place;
mod pool_size;
mod size;
mod targets;
mod unnamed;

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use crate::{
    object::{Elf, ObjectFile, Segments},
    symbolize::CheckBudget,
};

use calls::Calls;
pub use functions::Arguments;
pub use place::Place;
use targets::Targets;

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
    /// What the function gives can be seen where it returns, with a probe of returns at the same place.
    pub has_return: bool,
}

impl Probe {
    /// Where the function is in its file.
    #[must_use]
    pub fn function_offsets(&self) -> Range<u64> {
        let start = self.file_offset.saturating_sub(self.distance);
        start..start.saturating_add(self.length_bytes)
    }
}

/// What a file has to be probed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// None if it defines no allocator.
    pub probes: Vec<Probe>,
    /// Where the names of functions were looked for: the tables that the file has.
    pub looked_in: Vec<&'static str>,
}

/// The probes of a file.
#[must_use]
pub fn search(object: &ObjectFile, budget: &mut CheckBudget) -> Search {
    let Ok(elf) = Elf::parse(&object.file) else { return Search::default() };
    let found = found::find(object, &elf, budget);
    let segments = Segments::of(&elf);
    let has_allocator = found.functions.values().any(|(_, arguments)| arguments.is_allocator());
    let mut targets: HashMap<_, Targets> = HashMap::new();
    for (function, arguments) in found.functions.values() {
        targets.entry(arguments.kind()).or_default().add(function.svma);
    }
    if !found.functions.is_empty() {
        targets::add_linkage(&elf, &mut targets, |name| functions::arguments(name).map(Arguments::kind));
    }
    // Of several names of one function, the shortest is the one that people know.
    let mut by_name: Vec<_> = found.functions.iter().collect();
    by_name.sort_by_key(|(name, _)| (name.len(), *name));
    let mut seen = HashSet::new();
    let mut probes = Vec::new();
    for (name, (function, arguments)) in by_name {
        if !seen.insert(function.svma) || arguments.is_alien(has_allocator, found.imports_allocator) {
            continue;
        }
        let Some(file_offset) = segments.file_offset_of(function.svma) else { continue };
        let code = found::code_of(&elf, function);
        let calls = match targets.get(&arguments.kind()) {
            Some(targets) => calls::find(&code, function.svma, targets),
            None => Calls::Never,
        };
        let Some(arguments) = counted(*arguments, calls) else { continue };
        let Some(place) = place::find(&code, arguments) else { continue };
        probes.push(Probe {
            function: name.clone(),
            distance: place.distance,
            file_offset: file_offset + place.distance,
            length_bytes: found::length_of(function),
            arguments: place.arguments,
            is_single_stepped: place.is_single_stepped,
            has_return: place.is_at_return_address && arguments.allocates() && !names::throws(name),
        });
    }
    Search { probes, looked_in: found.looked_in }
}

/// What is left to a function that calls others of its kind; `None` if they do it all.
fn counted(arguments: Arguments, calls: Calls) -> Option<Arguments> {
    match calls {
        Calls::Never => Some(arguments),
        // Given null, it is `malloc`.
        _ if arguments.is_resize() => Some(arguments.skipping_null()),
        Calls::Always => None,
        // To give back twice does no harm; not to see it does.
        Calls::AtTimes | Calls::EndsIn if arguments.is_free() => Some(arguments),
        // The caller is on the stack of what it calls, which then counts for nothing.
        Calls::AtTimes => Some(arguments),
        // It is not, and both would count.
        Calls::EndsIn => None,
    }
}

#[cfg(test)]
mod tests {
    use super::search;
    use crate::{object::ObjectFile, symbolize::CheckBudget};

    #[test]
    fn the_c_library_is_probed_where_nothing_is_single_stepped() {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("own mappings");
        let paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
        let path = paths.into_iter().find(|path| path.contains("/libc.so")).expect("a C library");
        let probes =
            search(&ObjectFile::open(path.as_ref()).expect("opens"), &mut CheckBudget::default()).probes;
        let has = |name, has_return| {
            probes.iter().any(|probe| {
                probe.function == name && !probe.is_single_stepped && probe.has_return == has_return
            })
        };
        assert!(["malloc", "calloc", "realloc"].into_iter().all(|name| has(name, true)), "{probes:?}");
        assert!(has("free", false), "{probes:?}");
    }
}

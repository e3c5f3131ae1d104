//! `operator new` and `delete` in a stripped program with Abseil's tcmalloc, such as Envoy: such a program exports
//! the names of the C library, which hardly anyone there calls, and not those of C++.
//!
//! All entry points of this allocator are in one section, next to each other, those without a name between those
//! with one. What each of them does, its callers tell: `operator new` is mostly called with a number, the size of a
//! class, as its first argument, and what gives back never is. An address, which is what frees are given, is no
//! number that could stand in the code.

use std::collections::BTreeMap;

use super::Arguments;
use crate::object::{Elf, elf::Section, read_bytes, symbols::Function};

/// Where the linker script of nobody, but an attribute in the allocator's source, puts its code.
const SECTION: &str = "google_malloc";
const TEXT: &str = ".text";
/// Largest code looked through: that of V8 and Envoy has 75 MB.
const MAX_TEXT_BYTES: u64 = 1 << 30;
const MAX_HEADER_BYTES: u64 = 64 << 20;
/// Read at once.
const STEP_BYTES: u64 = 4 << 20;
/// Calls that it takes to say what a function does.
const MIN_CALLS: u64 = 8;
/// One call in so many has a number as its first argument, if it is a size.
const ONE_IN: u64 = 4;
/// A call or jump to an address relative to its own.
const CALL_BYTES: usize = 5;
/// Bytes looked at before a call: two instructions that each load a number.
const BEFORE_BYTES: usize = 10;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Callers {
    n_calls: u64,
    n_with_number: u64,
}

/// The operators, if the file has this allocator and no names for them.
pub(super) fn find(
    elf: &Elf<'_>,
    named: &BTreeMap<String, (Function, Arguments)>,
) -> Option<Vec<(String, (Function, Arguments))>> {
    let section = elf.section(SECTION)?;
    let within = section.svma..section.svma.checked_add(section.size_bytes)?;
    let entries: Vec<u64> =
        named.values().map(|(function, _)| function.svma).filter(|svma| within.contains(svma)).collect();
    if named.keys().any(|name| name.starts_with("_Zn")) {
        return None;
    }
    let between = *entries.iter().min()?..*entries.iter().max()?;
    let starts: Vec<u64> = function_starts(elf)?;
    let text = elf.section(TEXT)?;
    let mut callers: BTreeMap<u64, Callers> = starts
        .iter()
        .filter(|start| between.contains(start))
        .map(|start| (*start, Callers::default()))
        .collect();
    count(elf, text, &mut callers);
    let end_of =
        |start: u64| starts.iter().copied().filter(|next| *next > start).min().unwrap_or(between.end);
    let operators =
        callers.iter().filter(|(start, _)| !entries.contains(start)).filter_map(|(start, callers)| {
            let (name, arguments) = operator(*callers)?;
            let function = Function { svma: *start, size_bytes: end_of(*start).saturating_sub(*start) };
            Some((format!("{name}@{start:#x}"), (function, arguments)))
        });
    Some(operators.collect())
}

fn operator(callers: Callers) -> Option<(&'static str, Arguments)> {
    match callers {
        Callers { n_calls: 0, .. } => None,
        Callers { n_calls, n_with_number } if n_with_number.saturating_mul(ONE_IN) >= n_calls => {
            (n_calls >= MIN_CALLS).then_some(("operator new", Arguments::NEW))
        }
        // Taken for one that frees, a function that does not does no harm: what it is given stays known.
        Callers { .. } => Some(("operator delete", Arguments::DELETE)),
    }
}

/// Where functions begin, from the index of the unwind information: sorted by address.
fn function_starts(elf: &Elf<'_>) -> Option<Vec<u64>> {
    let section = elf.section(".eh_frame_hdr")?;
    let bytes = elf.section_bytes(section, MAX_HEADER_BYTES).ok()?;
    starts_in(&bytes, section.svma)
}

/// Version 1, addresses of 4 bytes: as all linkers write it.
fn starts_in(bytes: &[u8], svma: u64) -> Option<Vec<u64>> {
    let (header, table) = bytes.split_at_checked(12)?;
    let [1, 0x1b, 0x03, 0x3b, ..] = header else { return None };
    let start = |entry: &[u8]| {
        entry.first_chunk().map(|relative| svma.wrapping_add_signed(i32::from_le_bytes(*relative).into()))
    };
    Some(table.chunks_exact(8).filter_map(start).collect())
}

/// Counts who is called from this section.
fn count(elf: &Elf<'_>, text: &Section, callers: &mut BTreeMap<u64, Callers>) {
    let length = text.size_bytes.min(MAX_TEXT_BYTES);
    let mut done = 0;
    while done < length {
        // Pieces overlap, so that no call and nothing before it is cut.
        let overlap = (BEFORE_BYTES + CALL_BYTES) as u64;
        let from = done.saturating_sub(overlap);
        let step = (length - from).min(STEP_BYTES + overlap);
        let Some(offset) = text.file_offset.checked_add(from) else { return };
        let Ok(code) = read_bytes(elf.file(), offset, step, step) else { return };
        let skipped = usize::try_from(done - from).unwrap_or(0);
        count_in(&code, text.svma.wrapping_add(from), skipped, callers);
        done = from + step;
    }
}

/// Counts the calls that end after `skipped` bytes.
fn count_in(code: &[u8], svma: u64, skipped: usize, callers: &mut BTreeMap<u64, Callers>) {
    let Some((first, last)) = callers.first_key_value().zip(callers.last_key_value()) else { return };
    let range = *first.0..=*last.0;
    for (at, window) in code.windows(CALL_BYTES).enumerate() {
        let [0xe8 | 0xe9, relative @ ..] = window else { continue };
        let Some(relative) = relative.first_chunk() else { continue };
        let end = at + CALL_BYTES;
        let target = svma.wrapping_add(end as u64).wrapping_add_signed(i32::from_le_bytes(*relative).into());
        if end <= skipped || !range.contains(&target) {
            continue;
        }
        if let Some(callers) = callers.get_mut(&target) {
            callers.n_calls += 1;
            let before = code.get(at.saturating_sub(BEFORE_BYTES)..at).unwrap_or_default();
            callers.n_with_number += u64::from(has_number(before));
        }
    }
}

/// Whether a number is loaded into the first argument by one of the last two instructions: `mov $size,%edi`, before or
/// behind `mov $alignment,%esi`.
fn has_number(before: &[u8]) -> bool {
    const FIRST: u8 = 0xbf;
    const SECOND: u8 = 0xbe;
    matches!(before, [.., FIRST, _, _, _, 0] | [.., FIRST, _, _, _, 0, SECOND, _, _, 0, 0])
}

#[cfg(test)]
mod tests {
    use super::{Callers, count_in, has_number, operator, starts_in};
    use proptest::prelude::{any, proptest};
    use std::collections::BTreeMap;

    #[test]
    fn callers_are_counted_with_what_they_hand_over() {
        let mut callers = BTreeMap::from([(0x2000, Callers::default()), (0x2100, Callers::default())]);
        // 0x1000: mov $0x40,%edi; call 0x2000. 0x100a: mov %rax,%rdi; call 0x2100. 0x1012: jmp 0x2001
        let code = [
            0xbf, 0x40, 0, 0, 0, 0xe8, 0xf6, 0x0f, 0, 0, 0x48, 0x89, 0xc7, 0xe8, 0xee, 0x10, 0, 0, 0xe9,
            0xea, 0x0f, 0, 0,
        ];
        count_in(&code, 0x1000, 0, &mut callers);
        let expected = [Callers { n_calls: 1, n_with_number: 1 }, Callers { n_calls: 1, n_with_number: 0 }];
        assert_eq!(callers.values().copied().collect::<Vec<_>>(), expected);
        count_in(&code, 0x1000, 10, &mut callers);
        assert_eq!(callers.values().map(|it| it.n_calls).collect::<Vec<_>>(), [1, 2]);
        // mov $0x40,%edi; mov $0x20,%esi
        assert!(has_number(&[0xbf, 0x40, 0, 0, 0, 0xbe, 0x20, 0, 0, 0]));
        assert!(!has_number(&[0xbe, 0x20, 0, 0, 0]));
    }

    #[test]
    fn what_callers_say_is_believed_from_enough_of_them() {
        let name = |n_calls, n_with_number| operator(Callers { n_calls, n_with_number }).map(|found| found.0);
        assert_eq!(name(40_328, 28_019), Some("operator new"));
        assert_eq!(name(125_103, 0), Some("operator delete"));
        assert_eq!(name(1851, 2), Some("operator delete"));
        assert_eq!((name(0, 0), name(3, 3)), (None, None));
    }

    #[test]
    fn starts_are_relative_to_the_index() {
        let mut index = vec![1, 0x1b, 0x03, 0x3b, 0, 0, 0, 0, 2, 0, 0, 0];
        index.extend([0x10_i32, 0, -0x10, 0].iter().flat_map(|it| it.to_le_bytes()));
        assert_eq!(starts_in(&index, 0x1000), Some(vec![0x1010, 0xff0]));
        assert_eq!(starts_in(&index[1..], 0x1000), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(code in proptest::collection::vec(any::<u8>(), 0..200), svma in any::<u64>()) {
            let mut callers = BTreeMap::from([(0, Callers::default()), (u64::MAX, Callers::default())]);
            count_in(&code, svma, 20, &mut callers);
            starts_in(&code, svma);
        }
    }
}

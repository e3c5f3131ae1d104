//! Of a symbol table, what could name some addresses, and nothing else: a compiler's library has a million symbols, and a
//! window of a few seconds has a few thousand addresses in it.

use ::object::elf;

/// One symbol of 64-bit ELF.
const SYMBOL_BYTES: usize = 24;
/// Symbols read at a time.
const N_PER_STEP: u64 = 8192;
/// Most symbols at one address that are of interest: aliases, of which one is shown.
const MAX_ALIASES: usize = 32;
/// Most bytes of a name that is looked at, with the zero at its end. Templates have names of some kilobytes.
const MAX_NAME_BYTES: u64 = 64 * 1024;
/// Most names are shorter than this.
const FIRST_TRY_BYTES: u64 = 256;

/// Reads so many bytes from a place of a section.
pub(super) type ReadAt<'a, E> = &'a mut dyn FnMut(u64, u64) -> Result<Vec<u8>, E>;

/// A symbol as it stands in the table.
type Entry = [u8; SYMBOL_BYTES];

/// Which symbols could name which of the addresses.
pub(super) struct Selection {
    /// In order, each once.
    addresses: Vec<u64>,
    /// For each of them: where the nearest symbols begin that are after the address before it, and these symbols.
    nearest: Vec<(u64, Vec<Entry>)>,
}

impl Selection {
    pub(super) fn of(addresses: &[u64]) -> Self {
        let mut addresses = addresses.to_vec();
        addresses.sort_unstable();
        addresses.dedup();
        let nearest = vec![(0, Vec::new()); addresses.len()];
        Self { addresses, nearest }
    }

    /// Goes once through a table of that many bytes.
    pub(super) fn read<E>(&mut self, table_bytes: u64, read_at: ReadAt<'_, E>) -> Result<(), E> {
        let step_bytes = N_PER_STEP * SYMBOL_BYTES as u64;
        let mut at = 0;
        while at < table_bytes {
            let n_bytes = step_bytes.min(table_bytes - at);
            read_at(at, n_bytes)?.as_chunks().0.iter().for_each(|entry| self.consider(entry));
            at += n_bytes;
        }
        Ok(())
    }

    /// Code, data, or of no type: the nearest symbol before an address that is one of these is the one that is asked
    /// whether it holds the address.
    fn consider(&mut self, entry: &Entry) {
        let [.., kind, _, _, _] = entry.first_chunk::<8>().copied().unwrap_or_default();
        let is_named = [elf::STT_NOTYPE.0, elf::STT_OBJECT.0, elf::STT_FUNC.0, elf::STT_GNU_IFUNC.0]
            .contains(&(kind & 0xf));
        let Some(value) = entry.get(8..16).and_then(|bytes| bytes.first_chunk()) else { return };
        let value = u64::from_le_bytes(*value);
        let first = self.addresses.partition_point(|address| *address < value);
        let Some((nearest, entries)) = self.nearest.get_mut(first).filter(|_| is_named) else { return };
        if value > *nearest {
            *nearest = value;
            entries.clear();
        }
        if value == *nearest && entries.len() < MAX_ALIASES {
            entries.push(*entry);
        }
    }

    /// A table of the symbols that were found, with their names from a table of strings of that many bytes.
    pub(super) fn into_tables<E>(
        self,
        strings_bytes: u64,
        read_at: ReadAt<'_, E>,
    ) -> Result<(Vec<u8>, Vec<u8>), E> {
        // Both begin with the one that is nobody's.
        let (mut symbols, mut strings) = (vec![0; SYMBOL_BYTES], vec![0]);
        for entry in self.nearest.into_iter().flat_map(|(_, entries)| entries) {
            let Some((place, rest)) = entry.split_first_chunk::<4>() else { continue };
            let name = name_at(u32::from_le_bytes(*place).into(), strings_bytes, read_at)?;
            let Ok(place) = u32::try_from(strings.len()) else { break };
            // What has no end is no name, and would make the whole table unreadable.
            let Some(name) = name else { continue };
            symbols.extend(place.to_le_bytes());
            symbols.extend(rest);
            strings.extend(name);
        }
        Ok((symbols, strings))
    }
}

/// The name at a place, with the zero at its end.
fn name_at<E>(place: u64, strings_bytes: u64, read_at: ReadAt<'_, E>) -> Result<Option<Vec<u8>>, E> {
    for most_bytes in [FIRST_TRY_BYTES, MAX_NAME_BYTES] {
        let n_bytes = most_bytes.min(strings_bytes.saturating_sub(place));
        if n_bytes == 0 {
            break;
        }
        let mut bytes = read_at(place, n_bytes)?;
        if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
            bytes.truncate(end + 1);
            return Ok(Some(bytes));
        }
        if n_bytes < most_bytes {
            break;
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::{Entry, MAX_ALIASES, Selection};

    fn entry(name: u32, kind: u8, value: u64, size_bytes: u64) -> Entry {
        let mut entry = Entry::default();
        entry[..4].copy_from_slice(&name.to_le_bytes());
        entry[4] = kind;
        entry[8..16].copy_from_slice(&value.to_le_bytes());
        entry[16..].copy_from_slice(&size_bytes.to_le_bytes());
        entry
    }

    fn reader(bytes: &[u8]) -> impl FnMut(u64, u64) -> Result<Vec<u8>, Infallible> {
        move |at, n_bytes| Ok(bytes[at as usize..(at + n_bytes) as usize].to_vec())
    }

    /// The symbols, by name and value, that are left.
    fn left(table: &[Entry], strings: &[u8], addresses: &[u64]) -> Vec<(String, u64)> {
        let table = table.concat();
        let mut selection = Selection::of(addresses);
        let Ok(()) = selection.read(table.len() as u64, &mut reader(&table));
        let Ok((symbols, names)) = selection.into_tables(strings.len() as u64, &mut reader(strings));
        let (first, symbols) = symbols.as_chunks::<24>().0.split_first().expect("one that is nobody's");
        assert_eq!(first, &[0; 24]);
        let name = |place: usize| names[place..].split(|byte| *byte == 0).next().expect("a name").to_vec();
        let read = |entry: &Entry| {
            let place = u32::from_le_bytes(*entry.first_chunk().expect("four bytes"));
            let value = u64::from_le_bytes(*entry[8..].first_chunk().expect("eight bytes"));
            (String::from_utf8(name(place as usize)).expect("UTF-8"), value)
        };
        symbols.iter().map(read).collect()
    }

    #[test]
    fn the_nearest_symbols_before_an_address_are_left_with_their_aliases_and_no_others() {
        let strings = b"\0far\0near\0alias\0section\0after\0";
        let table = [
            entry(24, 2, 0x300, 8),
            entry(1, 2, 0x100, 0x1000),
            entry(5, 2, 0x200, 16),
            entry(10, 1, 0x200, 8),
            entry(16, 3, 0x208, 0),
        ];
        let near = [("near".to_owned(), 0x200), ("alias".to_owned(), 0x200)];
        assert_eq!(left(&table, strings, &[0x20c, 0x210, 0x2ff]), near);
        let all = left(&table, strings, &[0x50, 0x100, 0x200, 0x300]);
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["far", "near", "alias", "after"]);
        assert_eq!(left(&table, strings, &[0x50]), []);
    }

    #[test]
    fn a_name_without_an_end_is_left_out_and_a_long_one_is_whole() {
        let mut strings = vec![0];
        strings.extend(vec![b'a'; 1000]);
        strings.extend([0, b'b', b'c']);
        let table = [entry(1, 2, 0x100, 8), entry(1002, 2, 0x100, 8), entry(u32::MAX, 2, 0x100, 8)];
        let seen = left(&table, &strings, &[0x104]);
        assert_eq!(seen, [("a".repeat(1000), 0x100)]);
    }

    #[test]
    fn symbols_that_all_begin_at_one_address_are_bounded() {
        let table = vec![entry(0, 2, 0x100, 8); 10_000];
        assert_eq!(left(&table, b"\0", &[0x104]).len(), MAX_ALIASES);
    }

    proptest! {
        #[test]
        fn of_any_table_what_is_left_for_an_address_is_what_the_whole_table_has_nearest(
            values in prop::collection::vec(0..200_u64, 0..60),
            addresses in prop::collection::vec(0..220_u64, 1..20),
        ) {
            let table: Vec<Entry> = values.iter().map(|value| entry(0, 2, *value, 1)).collect();
            let seen = left(&table, b"\0", &addresses);
            for address in addresses {
                let nearest = |values: &mut dyn Iterator<Item = u64>| {
                    values.filter(|value| *value <= address).max()
                };
                let of_all = nearest(&mut values.iter().copied());
                prop_assert_eq!(nearest(&mut seen.iter().map(|(_, value)| *value)), of_all);
                let n_of = |values: &mut dyn Iterator<Item = u64>| values.filter(|it| Some(*it) == of_all).count();
                prop_assert_eq!(
                    n_of(&mut seen.iter().map(|(_, value)| *value)),
                    n_of(&mut values.iter().copied()).min(MAX_ALIASES)
                );
            }
        }

        #[test]
        fn any_bytes_are_taken(table in prop::collection::vec(any::<u8>(), 0..500), strings in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut selection = Selection::of(&[0, 1 << 40, u64::MAX]);
            let Ok(()) = selection.read(table.len() as u64, &mut reader(&table));
            let Ok((symbols, names)) = selection.into_tables(strings.len() as u64, &mut reader(&strings));
            prop_assert_eq!((symbols.len() % 24, names.last()), (0, Some(&0)));
        }
    }
}

//! Which mapping an address lies in: a search in place, without branches, over one sorted map value.

use abi::{
    frame::PackedFrame,
    mapping::{FILE_ANONYMOUS, MappingEntry, MappingTable},
};

use crate::branchless::less;

/// The frame that `address` stands for; `None` where no mapping is.
#[inline(always)]
#[must_use]
pub fn find<const N: usize>(table: &MappingTable<N>, address: u64) -> Option<PackedFrame> {
    frame_in(table, last_start_at_or_below(table, address), address)
}

/// The address as a frame of mapping `index`, if it lies in it.
#[inline(always)]
fn frame_in<const N: usize>(table: &MappingTable<N>, index: u64, address: u64) -> Option<PackedFrame> {
    let index = index as usize & (N - 1);
    let start = table.starts[index];
    let MappingEntry { bias, n_pages, file_id } = table.entries[index];
    // One comparison: an address below the start wraps to a huge distance.
    if address.wrapping_sub(start) >= u64::from(n_pages) << 12 {
        return None;
    }
    Some(if file_id == FILE_ANONYMOUS {
        PackedFrame::absolute(address)
    } else {
        PackedFrame::file(file_id, address.wrapping_sub(bias))
    })
}

/// Index of the last start that is not above `address`; 0 if there is none.
#[inline(always)]
fn last_start_at_or_below<const N: usize>(table: &MappingTable<N>, address: u64) -> u64 {
    let mut base = 0;
    let mut half = N as u64 / 2;
    while half > 0 {
        let start = table.starts[(base + half) as usize & (N - 1)];
        // User addresses and the filler u64::MAX are compared halved: the operands must stay below 2^63.
        base += half * (1 - less(address >> 1, start >> 1));
        half /= 2;
    }
    base
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::find;
    use abi::{
        frame::PackedFrame,
        limits::{FEW_MAPPINGS, MAX_MAPPINGS},
        mapping::{FILE_ANONYMOUS, MappingEntry, MappingTable},
    };

    fn table<const N: usize>(mappings: &[(u64, u32, u64, u32)]) -> MappingTable<N> {
        let mut table = MappingTable::EMPTY;
        for (i, &(start, n_pages, file_offset, file_id)) in mappings.iter().enumerate() {
            table.starts[i] = start;
            table.entries[i] = MappingEntry { bias: start.wrapping_sub(file_offset), n_pages, file_id };
        }
        table
    }

    fn check<const N: usize>() {
        let all: std::vec::Vec<_> =
            (0..N as u64).map(|i| (0x1000_0000 + i * 0x10_000, 4, 0x2000, 1 + i as u32)).collect();
        for n in [0, 1, 2, 3, 50, N - 1, N] {
            let table = table::<N>(&all[..n]);
            for (i, &(start, ..)) in all.iter().enumerate() {
                let offsets = [(-1, false), (0, true), (0x3fff, true), (0x4000, false)];
                for (offset, inside) in offsets {
                    let address = start.wrapping_add_signed(offset);
                    let expected =
                        (inside && i < n).then(|| PackedFrame::file(1 + i as u32, address - start + 0x2000));
                    assert_eq!(find(&table, address), expected, "address {address:#x} of {n} mappings");
                }
            }
            for address in [0, 1, u64::MAX, u64::MAX - 1, 1 << 63] {
                assert_eq!(find(&table, address), None, "address {address:#x}");
            }
        }
    }

    #[test]
    fn an_address_is_found_in_its_mapping_and_nowhere_else() {
        check::<FEW_MAPPINGS>();
        check::<MAX_MAPPINGS>();
    }

    #[test]
    fn anonymous_memory_keeps_its_address() {
        let table = table::<FEW_MAPPINGS>(&[(0x7000, 1, 0, FILE_ANONYMOUS)]);
        assert_eq!(find(&table, 0x7123), Some(PackedFrame::absolute(0x7123)));
    }
}

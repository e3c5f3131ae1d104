//! Addresses for a form that wants them inside the range of a mapping.
//!
//! A frame of a file is known by its offset in that file, whatever process it was seen in, so there is no
//! real address to give. Each file gets a range of its own, whole multiples of 4 GiB, and a frame the range's
//! start plus its offset. All but enormous files thus have ranges of one size, by which `pprof` knows the same
//! file again when it merges profiles.

use crate::{
    frames::{AddressRange, FrameKind, KERNEL_MAPPING},
    model::Profile,
};

/// The size and the alignment of a range.
const RANGE_BYTES: u64 = 1 << 32;

/// The upper half of a 64-bit address space: where kernels live on every architecture we have.
const KERNEL_RANGE: AddressRange = AddressRange { start: 1 << 63, limit: u64::MAX, file_offset: 0 };

/// Where frames are known by their address in memory and nothing is known of the mapping.
const WHOLE_RANGE: AddressRange = AddressRange { start: 0, limit: u64::MAX, file_offset: 0 };

/// The ranges of all mappings, in the order of their handles.
pub(super) struct AddressLayout {
    ranges: Vec<Placed>,
}

struct Placed {
    range: AddressRange,
    /// Whether frames are known by their address in memory rather than by their offset in the file.
    absolute: bool,
}

/// What the frames of one mapping ask of its range.
#[derive(Clone)]
struct Needed {
    lowest: u64,
    highest: u64,
    absolute: bool,
}

impl AddressLayout {
    pub(super) fn of(profile: &Profile) -> Self {
        let nothing = Needed { lowest: u64::MAX, highest: 0, absolute: false };
        let mut needed = vec![nothing; profile.mappings().count()];
        for frame in profile.frames() {
            if let Some(needed) = frame.mapping.and_then(|mapping| needed.get_mut(mapping.index())) {
                needed.lowest = frame.address.min(needed.lowest);
                needed.highest = frame.address.max(needed.highest);
                needed.absolute |= frame.kind != FrameKind::Native;
            }
        }
        let mut next_start = RANGE_BYTES;
        let ranges = profile.mappings().zip(needed).map(|(mapping, needed)| {
            if needed.absolute {
                let is_kernel = profile.text(mapping.path) == KERNEL_MAPPING;
                let default = if is_kernel { KERNEL_RANGE } else { WHOLE_RANGE };
                let range = mapping.range.unwrap_or(default);
                let holds_all = range.start <= needed.lowest && needed.highest <= range.limit;
                return Placed { range: if holds_all { range } else { WHOLE_RANGE }, absolute: true };
            }
            if let Some(range) = mapping.range.filter(|range| holds(range, &needed)) {
                return Placed { range, absolute: false };
            }
            match next_range(next_start, needed.highest) {
                Some(range) => {
                    next_start = range.limit;
                    Placed { range, absolute: false }
                }
                // Offsets that no file has: shown as they are.
                None => Placed { range: WHOLE_RANGE, absolute: true },
            }
        });
        Self { ranges: ranges.collect() }
    }

    /// The ranges of all mappings, in the order of their handles.
    pub(super) fn ranges(&self) -> impl Iterator<Item = AddressRange> {
        self.ranges.iter().map(|placed| placed.range)
    }

    /// The address that stands for `address` of a frame in the mapping at this index.
    pub(super) fn address(&self, mapping_index: usize, address: u64) -> u64 {
        match self.ranges.get(mapping_index) {
            Some(Placed { range, absolute: false }) => {
                range.start.wrapping_add(address.wrapping_sub(range.file_offset))
            }
            _ => address,
        }
    }
}

/// Whether the range holds all needed file offsets.
fn holds(range: &AddressRange, needed: &Needed) -> bool {
    let n_bytes = range.limit.saturating_sub(range.start);
    needed.lowest >= range.file_offset && needed.highest < range.file_offset.saturating_add(n_bytes)
}

fn next_range(start: u64, highest_offset: u64) -> Option<AddressRange> {
    let n_bytes = highest_offset.checked_add(1)?.checked_next_multiple_of(RANGE_BYTES)?;
    Some(AddressRange { start, limit: start.checked_add(n_bytes)?, file_offset: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Frame, Mapping, Meta};

    /// Each case: the offsets of the frames of one file, and the range it gets.
    fn check(files: &[&[u64]], expected: &[(u64, u64)]) {
        let mut profile = Profile::new([], Meta::default());
        for (index, offsets) in files.iter().enumerate() {
            let path = profile.intern(&format!("/lib/{index}"));
            let mapping = profile.mapping(Mapping::file(path, None));
            for &offset in *offsets {
                profile.frame(Frame::native(mapping, offset));
            }
        }
        let layout = AddressLayout::of(&profile);
        let found: Vec<_> = layout.ranges().map(|range| (range.start, range.limit)).collect();
        assert_eq!(found, expected, "{files:x?}");
        for (index, (offsets, (start, limit))) in files.iter().zip(found).enumerate() {
            for &offset in *offsets {
                let address = layout.address(index, offset);
                assert!(
                    (start..=limit).contains(&address),
                    "{address:#x} of {offset:#x} in {start:#x}..{limit:#x}"
                );
            }
        }
    }

    #[test]
    fn every_file_has_a_range_of_its_own_that_holds_its_offsets() {
        const G: u64 = RANGE_BYTES;
        check(&[&[0, 0x4a210], &[], &[G - 1]], &[(G, 2 * G), (2 * G, 3 * G), (3 * G, 4 * G)]);
        check(&[&[G], &[1]], &[(G, 3 * G), (3 * G, 4 * G)]);
    }

    #[test]
    fn offsets_that_no_file_has_are_kept_as_they_are() {
        check(&[&[u64::MAX], &[1]], &[(0, u64::MAX), (RANGE_BYTES, 2 * RANGE_BYTES)]);
    }
}

//! Where functions begin and end: what a stripped file still says of them.

use std::{ops::Range, sync::Arc};

/// The functions that unwind information describes, sorted, as ranges of file offsets. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Functions(Arc<[Range<u32>]>);

impl Functions {
    pub(super) fn new(sorted: impl IntoIterator<Item = Range<u32>>) -> Self {
        Self(sorted.into_iter().collect())
    }

    pub(super) fn ranges(&self) -> &[Range<u32>] {
        &self.0
    }

    /// Where the function begins that `file_offset` lies in.
    #[must_use]
    pub fn start_of(&self, file_offset: u64) -> Option<u64> {
        let offset = u32::try_from(file_offset).ok()?;
        let function =
            self.0.get(self.0.partition_point(|function| function.start <= offset).checked_sub(1)?)?;
        (offset < function.end).then_some(function.start.into())
    }

    /// Whether any byte of a piece of code lies in a function.
    pub(super) fn overlap(&self, start: u32, size_bytes: u64) -> bool {
        let end = u64::from(start).saturating_add(size_bytes);
        // Where functions overlap, the one that starts last decides.
        let last = self.0.partition_point(|function| u64::from(function.start) < end).checked_sub(1);
        last.and_then(|last| self.0.get(last)).is_some_and(|function| function.end > start)
    }
}

#[cfg(test)]
mod tests {
    use super::Functions;

    #[test]
    fn an_offset_belongs_to_the_function_around_it_and_to_none_between_two() {
        let functions = Functions::new([10..20, 20..25, 30..40]);
        let starts = [9, 10, 19, 20, 25, 30, 39, 40, 1 << 40].map(|offset| functions.start_of(offset));
        let expected = [None, Some(10), Some(10), Some(20), None, Some(30), Some(30), None, None];
        assert_eq!(starts, expected);
    }

    #[test]
    fn a_piece_of_code_overlaps_what_it_shares_a_byte_with() {
        let functions = Functions::new([10..20, 20..25, 30..40]);
        let seen = [(0, 10), (0, 11), (25, 5), (24, 1), (28, 100), (40, u64::MAX), (50, 1)]
            .map(|(start, size_bytes)| functions.overlap(start, size_bytes));
        assert_eq!(seen, [false, true, false, true, true, false, false]);
    }
}

//! How many series a tenant has: those of this hour and the one before. Pure: time is an argument.

use std::collections::HashSet;

use crate::model::Id;

const HOUR_NS: u64 = 3_600_000_000_000;

/// The series of a tenant.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    hour: u64,
    now: HashSet<Id>,
    before: HashSet<Id>,
}

impl Series {
    /// Whether a series may be: it is one of those that are, or there is room.
    pub(super) fn admit(&mut self, series: Id, now_ns: u64, limit: usize) -> bool {
        self.turn(now_ns / HOUR_NS);
        if self.now.contains(&series) {
            return true;
        }
        if !self.before.remove(&series) && self.len() >= limit {
            return false;
        }
        self.now.insert(series)
    }

    pub(super) fn len(&self) -> usize {
        self.now.len().saturating_add(self.before.len())
    }

    fn turn(&mut self, hour: u64) {
        if hour > self.hour {
            let is_next = hour == self.hour.saturating_add(1);
            self.before = if is_next { std::mem::take(&mut self.now) } else { HashSet::new() };
            self.now.clear();
            self.hour = hour;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_series_are_taken_up_to_the_limit_and_old_ones_forgotten() {
        let mut series = Series::default();
        let mut admit = |id: u8, hour: u64| series.admit([id; 16], hour * HOUR_NS, 2);
        assert_eq!(
            [(1, 9), (2, 9), (3, 9), (1, 9)].map(|(id, hour)| admit(id, hour)),
            [true, true, false, true]
        );
        assert_eq!([(2, 10), (3, 10)].map(|(id, hour)| admit(id, hour)), [true, false], "an hour later");
        assert_eq!(
            [(3, 11), (2, 11), (4, 11)].map(|(id, hour)| admit(id, hour)),
            [true, true, false],
            "two hours"
        );
        assert_eq!([(5, 20), (6, 20)].map(|(id, hour)| admit(id, hour)), [true, true], "long after");
    }
}

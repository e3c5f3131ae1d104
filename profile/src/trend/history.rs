//! What is kept of a series that has no end: a bounded number of points, whatever the duration.
//!
//! When it is full, neighbours are merged in pairs, and from then on twice as many readings make a point: resolution
//! is halved, and the whole run stays in view. A merged point keeps the lowest and the highest of its readings, so
//! that a drop which lasted one reading is still seen after a month.

use super::Point;

/// A bounded series.
#[derive(Clone, Debug)]
pub struct History {
    points: Vec<Point>,
    capacity: usize,
    /// Readings that make one point.
    n_per_point: u64,
    /// What has been read for the next point.
    pending: Option<Point>,
    n_pending: u64,
    first: Option<Point>,
}

impl History {
    /// Keeps at most `capacity` points (at least 2), and one that is being made.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(2);
        Self { points: Vec::new(), capacity, n_per_point: 1, pending: None, n_pending: 0, first: None }
    }

    /// Adds a reading. One that is not later than the last is left out: time does not go back.
    pub fn push(&mut self, time_ns: u64, bytes: u64) {
        if self.last().is_some_and(|last| last.time_ns >= time_ns) {
            return;
        }
        let point = Point::at(time_ns, bytes);
        self.first.get_or_insert(point);
        self.pending = Some(self.pending.map_or(point, |before| merged(before, point)));
        self.n_pending += 1;
        if self.n_pending < self.n_per_point {
            return;
        }
        self.points.extend(self.pending.take());
        self.n_pending = 0;
        if self.points.len() >= self.capacity {
            self.halve();
        }
    }

    /// All points, the one being made included.
    #[must_use]
    pub fn points(&self) -> Vec<Point> {
        self.points.iter().chain(&self.pending).copied().collect()
    }

    /// The first reading.
    #[must_use]
    pub fn first(&self) -> Option<Point> {
        self.first
    }

    /// The last reading; its lowest and highest are those of its point.
    #[must_use]
    pub fn last(&self) -> Option<Point> {
        self.pending.or_else(|| self.points.last().copied())
    }

    /// How many readings make one point now.
    #[must_use]
    pub fn n_per_point(&self) -> u64 {
        self.n_per_point
    }

    fn halve(&mut self) {
        let pairs = self.points.chunks(2).filter_map(|pair| match pair {
            [a, b] => Some(merged(*a, *b)),
            [a] => Some(*a),
            _ => None,
        });
        self.points = pairs.collect();
        self.n_per_point = self.n_per_point.saturating_mul(2);
    }
}

pub(super) fn merged(a: Point, b: Point) -> Point {
    Point {
        time_ns: b.time_ns,
        bytes: b.bytes,
        low_bytes: a.low_bytes.min(b.low_bytes),
        high_bytes: a.high_bytes.max(b.high_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::History;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn a_long_run_is_kept_whole_at_half_the_resolution_and_a_short_drop_stays_visible() {
        let mut history = History::new(8);
        for second in 0..1000_u64 {
            history.push(second * 1_000_000_000, if second == 317 { 1 } else { 100 });
        }
        let points = history.points();
        assert!(points.len() <= 9, "{points:?}");
        assert_eq!(history.first().map(|it| it.time_ns), Some(0));
        assert_eq!(history.last().map(|it| it.time_ns), Some(999_000_000_000));
        let lows: Vec<u64> = points.iter().map(|it| it.low_bytes).filter(|low| *low == 1).collect();
        assert_eq!(lows, [1], "{points:?}");
        assert_eq!(history.n_per_point(), 128);
    }

    proptest! {
        #[test]
        fn whatever_is_pushed_the_points_are_bounded_in_order_and_hold_the_extremes(
            capacity in 0..40_usize,
            readings in proptest::collection::vec((any::<u32>(), any::<u64>()), 1..300),
        ) {
            let mut history = History::new(capacity);
            let mut times = std::collections::BTreeSet::new();
            let mut kept = Vec::new();
            for (time, bytes) in readings {
                let time = u64::from(time);
                if times.last().is_none_or(|last| *last < time) {
                    times.insert(time);
                    kept.push(bytes);
                }
                history.push(time, bytes);
            }
            let points = history.points();
            prop_assert!(points.len() <= capacity.max(2), "{} of {capacity}", points.len());
            prop_assert!(points.windows(2).all(|pair| pair[0].time_ns < pair[1].time_ns), "{points:?}");
            prop_assert_eq!(points.iter().map(|it| it.low_bytes).min(), kept.iter().min().copied());
            prop_assert_eq!(points.iter().map(|it| it.high_bytes).max(), kept.iter().max().copied());
            prop_assert_eq!(points.last().map(|it| it.bytes), kept.last().copied());
        }
    }
}

//! What is kept of a series that has no end and of which only the recent past counts: a bounded number of points from
//! a bounded time.
//!
//! At first every reading is a point. When there is no room, neighbours are merged in pairs and later points hold as much
//! time; once the points reach back over the whole time, the oldest go, and nothing is merged any more. Unlike in
//! [`History`](super::History), what lies further back has no say.

use std::collections::VecDeque;

use super::{Point, history::merged};

/// A bounded series of the recent past.
#[derive(Clone, Debug)]
pub struct Recent {
    points: VecDeque<Point>,
    capacity: usize,
    span_ns: u64,
    /// Time that a point holds.
    width_ns: u64,
    /// When the point that is being made began, and what it is so far.
    pending: Option<(u64, Point)>,
}

impl Recent {
    /// Keeps at most `capacity` points (at least 2) of the last `span_ns`.
    #[must_use]
    pub fn new(capacity: usize, span_ns: u64) -> Self {
        Self { points: VecDeque::new(), capacity: capacity.max(2), span_ns, width_ns: 0, pending: None }
    }

    /// Adds a reading. One that is not later than the last is left out: time does not go back. Whether a point was
    /// finished.
    pub fn push(&mut self, time_ns: u64, bytes: u64) -> bool {
        if self.last().is_some_and(|last| last.time_ns >= time_ns) {
            return false;
        }
        let point = Point::at(time_ns, bytes);
        let oldest_ns = time_ns.saturating_sub(self.span_ns);
        while self.points.front().is_some_and(|front| front.time_ns < oldest_ns) {
            self.points.pop_front();
        }
        match &mut self.pending {
            Some((start_ns, pending)) if time_ns.saturating_sub(*start_ns) < self.width_ns => {
                *pending = merged(*pending, point);
                return false;
            }
            pending => {
                let finished = pending.replace((time_ns, point)).filter(|(_, it)| it.time_ns >= oldest_ns);
                self.points.extend(finished.map(|(_, point)| point));
            }
        }
        // One more is being made.
        if self.points.len() >= self.capacity {
            self.halve();
        }
        true
    }

    /// All points, the one being made included.
    #[must_use]
    pub fn points(&self) -> Vec<Point> {
        self.points.iter().copied().chain(self.pending.map(|(_, point)| point)).collect()
    }

    /// The last reading; its lowest and highest are those of its point.
    #[must_use]
    pub fn last(&self) -> Option<Point> {
        self.pending.map(|(_, point)| point)
    }

    fn halve(&mut self) {
        let span_ns = match (self.points.front(), self.points.back()) {
            (Some(front), Some(back)) => back.time_ns.saturating_sub(front.time_ns),
            _ => 0,
        };
        let pairs = self.points.make_contiguous().chunks(2).filter_map(|pair| match pair {
            [a, b] => Some(merged(*a, *b)),
            [a] => Some(*a),
            _ => None,
        });
        self.points = pairs.collect();
        self.width_ns = self.width_ns.saturating_mul(2).max(span_ns / self.points.len().max(1) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::Recent;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn a_month_keeps_its_last_hours_at_one_resolution_and_nothing_older() {
        const HOUR: u64 = 3600;
        let mut recent = Recent::new(128, 6 * HOUR);
        for second in (0..30 * 24 * HOUR).step_by(5) {
            // One drop long ago, and one that lasted one reading an hour ago.
            let is_drop = second == 9000 || second == (30 * 24 - 1) * HOUR;
            recent.push(second, if is_drop { 1 } else { 100 });
        }
        let points = recent.points();
        let (first, last) = (points[0].time_ns, points[points.len() - 1].time_ns);
        assert!((64..=128).contains(&points.len()), "{} points", points.len());
        assert_eq!(last, 30 * 24 * HOUR - 5);
        assert!(last - first <= 6 * HOUR && last - first > 6 * HOUR - 600, "{} s", last - first);
        let widest = points.windows(2).map(|pair| pair[1].time_ns - pair[0].time_ns).max();
        assert!(widest.is_some_and(|widest| widest <= 2 * 6 * HOUR / 64), "{widest:?}");
        assert_eq!(points.iter().filter(|point| point.low_bytes == 1).count(), 1, "{points:?}");
    }

    #[test]
    fn readings_that_come_less_often_than_before_are_points_of_their_own() {
        let mut recent = Recent::new(16, 1_000_000);
        let is_own: Vec<bool> = (0..1000).map(|time| recent.push(time, 1)).collect();
        assert!(is_own[..15] == [true; 15] && !is_own[999], "{is_own:?}");
        let width_ns = recent.width_ns;
        let is_own: Vec<bool> = (1..7).map(|n| recent.push(1000 + n * 2 * width_ns, 2)).collect();
        assert_eq!(is_own, [true; 6], "{recent:?}");
    }

    #[test]
    fn after_a_pause_that_is_longer_than_the_time_that_counts_only_the_new_is_left() {
        let mut recent = Recent::new(8, 100);
        (0..50).for_each(|time| {
            recent.push(time, 1);
        });
        recent.push(1000, 2);
        let points = recent.points();
        assert_eq!(points.iter().map(|it| (it.time_ns, it.low_bytes)).collect::<Vec<_>>(), [(1000, 2)]);
    }

    proptest! {
        #[test]
        fn whatever_is_pushed_the_points_are_bounded_in_number_and_time_and_hold_the_extremes(
            capacity in 0..40_usize,
            span in 0..5000_u64,
            steps in proptest::collection::vec((0..300_u64, any::<u64>()), 1..400),
        ) {
            let mut recent = Recent::new(capacity, span);
            let (mut now, mut last_pushed, mut pushed) = (0, None, Vec::new());
            for (step, bytes) in steps {
                now += step;
                recent.push(now, bytes);
                if last_pushed != Some(now) {
                    last_pushed = Some(now);
                    pushed.push((now, bytes));
                }
                let points = recent.points();
                prop_assert!(points.len() <= capacity.max(2), "{} of {capacity}", points.len());
                prop_assert!(points.windows(2).all(|pair| pair[0].time_ns < pair[1].time_ns), "{points:?}");
                prop_assert!(points.iter().all(|it| it.time_ns >= now.saturating_sub(span)), "{points:?} at {now}");
                prop_assert_eq!(points.last().map(|it| (it.time_ns, it.bytes)), pushed.last().copied());
                // What lies within the points is what was pushed.
                let first_ns = points.first().map_or(0, |it| it.time_ns);
                let high = points.iter().map(|it| it.high_bytes).max();
                let recent_high = pushed.iter().filter(|(time, _)| *time >= first_ns).map(|(_, bytes)| *bytes).max();
                prop_assert!(high >= recent_high, "{high:?} of {recent_high:?}");
                prop_assert!(points.iter().all(|it| it.low_bytes <= it.bytes && it.bytes <= it.high_bytes), "{points:?}");
            }
        }
    }
}

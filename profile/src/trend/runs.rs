//! Stretches between drops: what a process takes and gives back in one piece is a cycle, not a leak.

use std::ops::Range;

use super::Point;

/// A run ends when less than this share of its highest point is left.
const KEPT_SHARE: f64 = 0.5;

/// Splits points where more than half of what a run had reached is given back; each run is a range of indices.
pub(super) fn split(points: &[Point]) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut start = 0;
    let mut peak_bytes = 0;
    for (index, point) in points.iter().enumerate() {
        if (point.low_bytes as f64) < peak_bytes as f64 * KEPT_SHARE {
            runs.push(start..index);
            start = index;
            // Of merged readings nobody knows whether the highest came before or after the drop.
            peak_bytes = point.bytes;
        } else {
            peak_bytes = peak_bytes.max(point.high_bytes);
        }
    }
    if start < points.len() {
        runs.push(start..points.len());
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::split;
    use crate::trend::Point;

    fn runs(values: &[u64]) -> Vec<(usize, usize)> {
        let points: Vec<Point> =
            values.iter().enumerate().map(|(index, bytes)| Point::at(index as u64, *bytes)).collect();
        ends(&points)
    }

    fn ends(points: &[Point]) -> Vec<(usize, usize)> {
        split(points).into_iter().map(|run| (run.start, run.end)).collect()
    }

    #[test]
    fn a_run_ends_where_more_than_half_of_its_peak_is_gone_at_once_or_little_by_little() {
        assert_eq!(runs(&[]), []);
        assert_eq!(runs(&[7]), [(0, 1)]);
        assert_eq!(runs(&[1, 2, 3, 4]), [(0, 4)]);
        assert_eq!(runs(&[10, 20, 10, 20]), [(0, 4)], "exactly half is kept");
        assert_eq!(runs(&[10, 20, 9, 20]), [(0, 2), (2, 4)]);
        assert_eq!(runs(&[20, 16, 12, 9, 8, 7]), [(0, 3), (3, 6)]);
        assert_eq!(runs(&[0, 0, 5, 0, 0]), [(0, 3), (3, 5)]);
    }

    #[test]
    fn a_drop_inside_a_merged_point_is_seen() {
        let mut points = [10, 11, 12, 13].map(|bytes| Point::at(bytes, bytes));
        points[2].low_bytes = 1;
        assert_eq!(ends(&points), [(0, 2), (2, 4)]);
    }
}

//! A series as a chart of characters: each holds two by four dots (braille).

use profile::{bytes_text, trend::Point};

/// Dots of a character, by column and row.
const DOTS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
const BRAILLE: u32 = 0x2800;

/// Lines of `width` characters, the first at the top, and the values of the top and the bottom edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// What to print.
    pub lines: Vec<String>,
    /// Value of the upper edge.
    pub top_bytes: u64,
    /// Value of the lower edge.
    pub bottom_bytes: u64,
}

impl Chart {
    /// Each line, and in front of the first and the last what the edge stands for.
    pub fn labelled(&self) -> impl Iterator<Item = (String, &str)> {
        let last = self.lines.len().saturating_sub(1);
        self.lines.iter().enumerate().map(move |(index, dots)| {
            let edge = match index {
                0 => bytes_text(self.top_bytes),
                _ if index == last => bytes_text(self.bottom_bytes),
                _ => String::new(),
            };
            (edge, dots.as_str())
        })
    }
}

/// Draws points over the time that they span; from the lowest to the highest of a dot's time, so that no drop is lost.
/// The lower edge is zero unless the points move by less than half of what they are.
#[must_use]
pub fn draw(points: &[Point], width: usize, height: usize) -> Chart {
    let (n_columns, n_rows) = (width.max(1) * 2, height.max(1) * 4);
    let lowest = points.iter().map(|point| point.low_bytes).min().unwrap_or(0);
    let top_bytes = points.iter().map(|point| point.high_bytes).max().unwrap_or(0);
    let bottom_bytes = if lowest > top_bytes / 2 { lowest - (top_bytes - lowest) / 8 } else { 0 };
    let mut cells = vec![vec![0_u8; width.max(1)]; height.max(1)];
    let row_of = |bytes: u64| {
        let share = bytes.saturating_sub(bottom_bytes) as f64 / (top_bytes - bottom_bytes).max(1) as f64;
        // The first row is the highest.
        n_rows - 1 - ((share * (n_rows - 1) as f64).round() as usize).min(n_rows - 1)
    };
    let start_ns = points.first().map_or(0, |point| point.time_ns);
    let span_ns = points.last().map_or(0, |point| point.time_ns.saturating_sub(start_ns)).max(1);
    let mut before: Option<(usize, usize)> = None;
    for point in points {
        let share = point.time_ns.saturating_sub(start_ns) as f64 / span_ns as f64;
        let column = ((share * (n_columns - 1) as f64) as usize).min(n_columns - 1);
        let mut dot = |column: usize, row: usize| {
            let cell = cells.get_mut(row / 4).and_then(|line| line.get_mut(column / 2));
            if let (Some(cell), Some(bit)) = (cell, DOTS.get(column % 2).and_then(|rows| rows.get(row % 4))) {
                *cell |= *bit;
            }
        };
        let row = row_of(point.bytes);
        // Between two readings the line goes on at the height of the first.
        if let Some((column_before, row_before)) = before {
            (column_before..column).for_each(|between| dot(between, row_before));
            (row.min(row_before)..=row.max(row_before)).for_each(|between| dot(column, between));
        }
        (row_of(point.high_bytes)..=row_of(point.low_bytes)).for_each(|row| dot(column, row));
        before = Some((column, row));
    }
    let character = |dots: &u8| char::from_u32(BRAILLE + u32::from(*dots)).unwrap_or(' ');
    let lines = cells.iter().map(|line| line.iter().map(character).collect()).collect();
    Chart { lines, top_bytes, bottom_bytes }
}

#[cfg(test)]
mod tests {
    use super::draw;
    use profile::trend::Point;
    use proptest::prelude::{any, prop_assert, proptest};

    fn points(values: &[u64]) -> Vec<Point> {
        values.iter().enumerate().map(|(index, bytes)| Point::at(index as u64, *bytes)).collect()
    }

    #[test]
    fn a_climb_goes_from_the_lower_left_to_the_upper_right() {
        let chart = draw(&points(&[0, 1, 2, 3, 4, 5, 6, 7]), 4, 2);
        assert_eq!(chart.lines, ["⠀⠀⣠⠞", "⣠⠞⠁⠀"], "{chart:#?}");
        assert_eq!((chart.top_bytes, chart.bottom_bytes), (7, 0));
    }

    #[test]
    fn what_hardly_moves_is_shown_close_up() {
        let chart = draw(&points(&[1000, 1016, 1008]), 2, 1);
        assert_eq!((chart.top_bytes, chart.bottom_bytes), (1016, 998), "{chart:#?}");
    }

    proptest! {
        #[test]
        fn whatever_the_points_are_the_chart_has_its_size(
            values in proptest::collection::vec(any::<u64>(), 0..50), width in 0..30_usize, height in 0..9_usize,
        ) {
            let chart = draw(&points(&values), width, height);
            prop_assert!(chart.lines.len() == height.max(1), "{chart:?}");
            prop_assert!(chart.lines.iter().all(|line| line.chars().count() == width.max(1)), "{chart:?}");
        }
    }
}

//! Rates and times as people say them.

use super::{Direction, Trend};
use crate::units::bytes_text;

/// `00:00:41`, from the start of a run.
#[must_use]
pub fn clock_text(time_ns: u64) -> String {
    let seconds = time_ns.saturating_add(500_000_000) / 1_000_000_000;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `1.00 MiB/s`, `-12.50 KiB/s`; what is slower than 1 KiB/s is said by the hour.
#[must_use]
pub fn rate_text(bytes_per_second: f64) -> String {
    let (amount, per) = match bytes_per_second.abs() {
        0.0 => return "0 B/s".to_owned(),
        1024.0.. => (bytes_per_second, "s"),
        _ => (bytes_per_second * 3600.0, "h"),
    };
    let (divisor, unit) = match amount.abs() {
        1_073_741_824.0.. => (1_073_741_824.0, "GiB"),
        1_048_576.0.. => (1_048_576.0, "MiB"),
        1024.0.. => (1024.0, "KiB"),
        _ => (1.0, "B"),
    };
    format!("{:.2} {unit}/{per}", amount / divisor)
}

impl Trend {
    /// `, increasing by 1.00 MiB/s`, to go on with; nothing where nothing is known.
    #[must_use]
    pub fn movement_text(&self) -> String {
        let rate = self.fit.map_or(0.0, |fit| fit.rate_bytes_per_second);
        match self.direction {
            Direction::Increasing => format!(", increasing by {}", rate_text(rate)),
            Direction::Decreasing => format!(", decreasing by {}", rate_text(-rate)),
            Direction::Stable => ", stable".to_owned(),
            Direction::Unknown => String::new(),
        }
    }
}

/// A number of bytes that was computed.
pub(super) fn amount_text(bytes: f64) -> String {
    bytes_text(bytes.max(0.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::{clock_text, rate_text};

    #[test]
    fn times_and_rates_are_in_units_that_fit() {
        assert_eq!(clock_text(41_200_000_000), "00:00:41");
        assert_eq!(clock_text(360_000_000_000_000), "100:00:00");
        let rates = [0.0, 1_048_576.0, -12_800.0, 14.0, 0.01, 3e9, f64::MAX].map(rate_text);
        let expected = ["0 B/s", "1.00 MiB/s", "-12.50 KiB/s", "49.22 KiB/h", "36.00 B/h", "2.79 GiB/s"];
        assert_eq!(rates[..6], expected);
        assert!(rates[6].ends_with("GiB/s"), "{rates:?}");
    }
}

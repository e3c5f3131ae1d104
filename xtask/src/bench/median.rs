//! The middle of repeated measurements, and how far they lie apart.

use std::fmt;

use anyhow::{Context, Result};

/// Of at least one value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// None when there is no value, or one that is no number.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        if values.iter().any(|value| value.is_nan()) {
            return None;
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = *sorted.get((sorted.len() - 1) / 2)?;
        Some(Self { median: f64::midpoint(lower, upper), min, max })
    }
}

/// For values that must be there.
pub(super) fn spread(values: &[f64]) -> Result<Spread> {
    Spread::of(values).context("nothing was measured")
}

/// With `{:.N}`, N digits after the point.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(1);
        let Self { median, min, max } = self;
        write!(f, "{median:.digits$} ({min:.digits$}..{max:.digits$})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_even_and_single_counts_have_a_middle() {
        let cases: [(&[f64], f64); 3] =
            [(&[3.0, 1.0, 2.0], 2.0), (&[4.0, 1.0, 2.0, 3.0], 2.5), (&[7.0], 7.0)];
        for (values, median) in cases {
            assert_eq!(Spread::of(values).map(|it| it.median), Some(median), "values {values:?}");
        }
    }

    #[test]
    fn nothing_and_not_a_number_have_no_middle() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn a_spread_shows_its_ends() {
        assert_eq!(format!("{:.0}", Spread::of(&[1.0, 2.0, 9.0]).unwrap()), "2 (1..9)");
    }
}

//! Two sides of profiles, a baseline and a comparison: what gained, what lost, and whether that is more than chance.
//!
//! A [`Side`] is made of one profile or of many windows. [`compare`] sums each function up on both sides, in itself and
//! with all that it called, and asks how far sums of equal sides would lie apart: by windows where there are enough of
//! them, which takes in whatever makes one window differ from the next, and else by samples, which takes in nothing but the
//! drawing of samples. One limit holds for all functions together (the largest of all deviations, in many
//! draws), so that a hundred functions do not have a hundred chances of a false alarm.

mod chance;
mod family;
mod options;
mod report;
mod samples;
mod side;
mod text;
mod windows;

pub use options::{MAX_REPLICATES, Options, Per};
pub use report::{Change, Comparison, FunctionChange, Method, SideSummary, Unit, Verdict};
pub use side::{NoSuchValue, Side};
pub use text::write_comparison;

use family::Family;

/// Why two sides cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiffError {
    /// A side has no samples.
    #[error("the {side} has no samples of `{value}`")]
    Empty {
        /// `baseline` or `comparison`.
        side: &'static str,
        /// The kind of value.
        value: String,
    },
    /// The sides count different things.
    #[error("the baseline counts {baseline}, the comparison {comparison}")]
    OtherValue {
        /// What the baseline counts.
        baseline: String,
        /// What the comparison counts.
        comparison: String,
    },
    /// Nothing to divide by.
    #[error("the {side} does not say {what}: compare by share")]
    NoRate {
        /// `baseline` or `comparison`.
        side: &'static str,
        /// What is missing.
        what: &'static str,
    },
}

/// Compares two sides.
///
/// # Errors
/// If one has no samples, they count different things, or `options` asks for a rate that a side has not.
pub fn compare(baseline: &Side, comparison: &Side, options: &Options) -> Result<Comparison, DiffError> {
    for (side, name) in [(baseline, "baseline"), (comparison, "comparison")] {
        if side.total() <= 0.0 {
            return Err(DiffError::Empty { side: name, value: side.value_text() });
        }
    }
    if baseline.value_text() != comparison.value_text() {
        let (baseline, comparison) = (baseline.value_text(), comparison.value_text());
        return Err(DiffError::OtherValue { baseline, comparison });
    }
    let per = options.per.unwrap_or_else(|| Per::best(baseline, comparison));
    for (side, name) in [(baseline, "baseline"), (comparison, "comparison")] {
        if let Some(what) = per.missing(side) {
            return Err(DiffError::NoRate { side: name, what });
        }
    }
    let family = Family::new(baseline, comparison, options.min_share_percent, per);
    let chance = chance::look(&family, baseline, comparison, per, options);
    Ok(report::comparison(&family, baseline, comparison, per, &chance, options))
}

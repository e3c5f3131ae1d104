//! How far equal sides would lie apart by chance.

use super::{
    family::Family,
    options::{MAX_REPLICATES, Options, Per},
    report::Unit,
    samples::Cells,
    side::Side,
    windows::Windows,
};

/// Six windows can be dealt to six and six in 924 ways, of which the one that was seen must stand out. With fewer windows,
/// samples are drawn, and the windows only say how much more than samples they scatter.
pub(super) const MIN_WINDOWS: usize = 6;
/// A sum of fewer samples on both sides together is no reason for anything.
const MIN_SAMPLES: f64 = 20.0;

/// A sum divided by what it is taken per, and how far off that may be.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Estimate {
    pub(super) rate: f64,
    pub(super) variance: f64,
}

/// What there is to say of one question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tested {
    /// The standard error of the difference.
    pub(super) error: f64,
    /// How often equal sides would have one difference as large as this, among all that are looked at.
    pub(super) p_value: f64,
}

/// What chance does.
#[derive(Debug, Clone, Default)]
pub(super) struct Chance {
    pub(super) unit: Option<Unit>,
    /// Why no chance could be drawn.
    pub(super) reason: Option<&'static str>,
    /// Rates of both sides, for each question.
    pub(super) rates: Vec<[f64; 2]>,
    pub(super) tested: Vec<Option<Tested>>,
    /// How many standard errors a difference must have.
    pub(super) critical: f64,
    /// How much more windows scatter than samples would alone; 1 where that cannot be told.
    pub(super) dispersion: f64,
    /// How alike windows are that follow each other.
    pub(super) correlation: f64,
    pub(super) n_replicates: usize,
}

/// A way to draw both sides as if they were equal.
pub(super) trait Draw {
    /// Fills in how many standard errors the sides lie apart in one draw, for each question.
    fn draw(&mut self, rng: &mut fastrand::Rng, deviations: &mut [f64]);
}

pub(super) fn look(
    family: &Family,
    baseline: &Side,
    comparison: &Side,
    per: Per,
    options: &Options,
) -> Chance {
    let sides = [baseline, comparison];
    let mut windows = [0, 1].map(|side| Windows::of(family, sides[side], side, per));
    Windows::set_floors(&mut windows, family, sides, per);
    let estimates = [windows[0].estimates(), windows[1].estimates()];
    let rates = estimates[0].iter().zip(&estimates[1]).map(|(a, b)| [a.rate, b.rate]).collect();
    let n_units = [windows[0].n_units(), windows[1].n_units()];
    let mut chance = Chance { rates, dispersion: 1.0, ..Chance::default() };
    let n_replicates = options.n_replicates.clamp(100, MAX_REPLICATES);
    let has_windows = n_units.iter().all(|&n| n >= MIN_WINDOWS);
    let cells = [0, 1].map(|side| Cells::of(family, sides[side], side, per));
    let (variances, maxima) = if has_windows {
        chance.unit = Some(Unit::Window);
        chance.correlation = windows.iter().map(Windows::correlation).fold(0.0, f64::max);
        // Windows that are alike are fewer than they seem.
        let factor = (1.0 + chance.correlation) / (1.0 - chance.correlation);
        let both = estimates[0].iter().zip(&estimates[1]);
        let variances: Vec<f64> = both.map(|(a, b)| (a.variance + b.variance) * factor).collect();
        let [a, b] = windows;
        (
            variances,
            maxima(&mut super::windows::Pair::new(a, b), family.members.len(), n_replicates, options.seed),
        )
    } else if let [Some(a), Some(b)] = cells {
        chance.unit = Some(Unit::Sample);
        chance.dispersion = super::windows::dispersion(&windows);
        let mut pair = super::samples::Pair::new(a, b);
        // What scatters more than the others, such as a large function of a proxy whose load changes, has its own error.
        let own = estimates[0].iter().zip(&estimates[1]).map(|(a, b)| a.variance + b.variance);
        let by_samples = pair.variances().into_iter().map(|variance| variance * chance.dispersion);
        let variances = by_samples.zip(own).map(|(by_samples, own)| by_samples.max(own)).collect();
        (variances, maxima(&mut pair, family.members.len(), n_replicates, options.seed))
    } else {
        chance.reason = Some(
            "the profiles do not say how many samples they are made of, and there are too few of them to see how they differ",
        );
        chance.tested = vec![None; family.members.len()];
        return chance;
    };
    chance.n_replicates = n_replicates;
    let limit = options.confidence_percent.clamp(50.0, 99.99) / 100.0;
    let at = ((limit * n_replicates as f64).ceil() as usize).saturating_sub(1);
    chance.critical = maxima.get(at).copied().unwrap_or(f64::INFINITY);
    let n_samples = sides.map(|side| side.n_samples().map(|n| n / side.total()));
    chance.tested = family
        .members
        .iter()
        .zip(&chance.rates)
        .zip(&variances)
        .map(|((&member, rates), &variance)| {
            let counted = |side: usize| {
                let per_value = n_samples.get(side).copied().flatten()?;
                let total = family.totals.get(side).copied().unwrap_or(0.0);
                Some(per_value * family.sum(member, side).min(total))
            };
            let is_enough = counted(0).zip(counted(1)).is_none_or(|(a, b)| a + b >= MIN_SAMPLES);
            let error = variance.sqrt();
            if !is_enough || error.is_nan() || error <= 0.0 {
                return None;
            }
            let deviation = (rates[1] - rates[0]).abs() / error;
            // The seen difference counts as one draw: a p-value is never 0.
            let n_larger = n_replicates - maxima.partition_point(|&maximum| maximum < deviation);
            let p_value = (n_larger as f64 + 1.0) / (n_replicates as f64 + 1.0);
            Some(Tested { error, p_value })
        })
        .collect();
    chance
}

/// The largest deviation of all questions in each draw, the smallest first.
fn maxima(pair: &mut impl Draw, n_members: usize, n_replicates: usize, seed: u64) -> Vec<f64> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut deviations = vec![0.0; n_members];
    let mut maxima: Vec<f64> = (0..n_replicates)
        .map(|_| {
            pair.draw(&mut rng, &mut deviations);
            deviations.iter().fold(0.0, |largest: f64, deviation| largest.max(deviation.abs()))
        })
        .collect();
    maxima.sort_by(f64::total_cmp);
    maxima
}

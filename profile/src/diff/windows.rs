//! Windows of time as what is drawn: each draw deals the windows of both sides anew, so many to each, and divides what it
//! finds by its own error. If nothing changed, the sides as they were are one deal among the others, however few or unlike
//! the windows are. Drawing each side from itself, with repetition, gives twice the alarms that it should
//! (`docs/diff.md` has the numbers).

use super::{
    chance::{Draw, Estimate},
    family::Family,
    options::Per,
    side::{Side, Window},
};

/// More windows than this are joined with those that follow them: long ones are less alike.
const MAX_UNITS: usize = 48;
/// Below, a correlation is as likely chance.
const MIN_CORRELATION: f64 = 0.1;
const MAX_CORRELATION: f64 = 0.8;
/// Fewer windows tell nothing of how alike neighbours are.
const MIN_FOR_CORRELATION: usize = 8;

/// The windows of one side: for each the sums of every question, and what they are divided by.
pub(super) struct Windows {
    n_members: usize,
    /// Window by window.
    sums: Vec<f64>,
    divisors: Vec<f64>,
    /// What drawing samples alone would give, for each question; no window scatters less in truth.
    floors: Vec<f64>,
    follow_each_other: bool,
}

impl Windows {
    pub(super) fn of(family: &Family, side: &Side, index: usize, per: Per) -> Self {
        let windows = joined(side);
        let n_windows = windows.len().max(1) as f64;
        let divisor = |window: &Window| match per {
            Per::Share => window.total,
            Per::Second => window.duration_ns as f64 / 1e9,
            // A sum that was said for all of them is spread by time, or evenly.
            Per::Request => window.n_requests.unwrap_or_else(|| {
                let all = side.n_requests().unwrap_or(0.0);
                match side.duration_ns() {
                    0 => all / n_windows,
                    duration_ns => all * window.duration_ns as f64 / duration_ns as f64,
                }
            }),
        };
        let value_of = |window: &Window| {
            let of = |member: &_| family.value(*member, index, &window.sums, window.total);
            family.members.iter().map(of).collect::<Vec<f64>>()
        };
        let divisors: Vec<f64> = windows.iter().map(divisor).collect();
        Self {
            n_members: family.members.len(),
            sums: windows.iter().flat_map(value_of).collect(),
            divisors,
            floors: vec![0.0; family.members.len()],
            follow_each_other: follow_each_other(&windows),
        }
    }

    /// Tells both sides what drawing samples alone would give if they were equal.
    pub(super) fn set_floors(both: &mut [Self; 2], family: &Family, sides: [&Side; 2], per: Per) {
        let Some(n_samples) = sides[0].n_samples().zip(sides[1].n_samples()).map(|(a, b)| a + b) else {
            return;
        };
        let divisors = both.each_ref().map(|side| side.divisors.iter().sum::<f64>());
        let (divisor, total) = (divisors[0] + divisors[1], family.totals[0] + family.totals[1]);
        if n_samples <= 0.0 || divisor <= 0.0 {
            return;
        }
        for (index, member) in family.members.iter().enumerate() {
            let sum = family.sum(*member, 0) + family.sum(*member, 1);
            let (rate, share) = (sum / divisor, (sum / total).min(1.0));
            let of_all = match per {
                Per::Share => share * (1.0 - share) / n_samples,
                Per::Second | Per::Request => rate * rate / (share * n_samples).max(1.0),
            };
            for (side, own_divisor) in both.iter_mut().zip(divisors) {
                if let Some(floor) = side.floors.get_mut(index).filter(|_| own_divisor > 0.0) {
                    *floor = of_all * divisor / own_divisor;
                }
            }
        }
    }

    pub(super) fn n_units(&self) -> usize {
        self.divisors.len()
    }

    pub(super) fn estimates(&self) -> Vec<Estimate> {
        let mut estimates = self.scattered();
        self.raise_to_floors(&mut estimates);
        estimates
    }

    /// The same with errors from nothing but how the windows scatter.
    fn scattered(&self) -> Vec<Estimate> {
        let mut estimates = vec![Estimate::default(); self.n_members];
        let rows = self.rows();
        estimate(rows, &mut Scratch::new(self.n_members), &mut estimates);
        estimates
    }

    fn raise_to_floors(&self, estimates: &mut [Estimate]) {
        for (estimate, floor) in estimates.iter_mut().zip(&self.floors) {
            estimate.variance = estimate.variance.max(*floor);
        }
    }

    /// For each window its sums and its divisor.
    fn rows(&self) -> impl Iterator<Item = (&[f64], f64)> {
        self.sums.chunks_exact(self.n_members.max(1)).zip(self.divisors.iter().copied())
    }
    /// How alike windows are that follow each other, over all questions; 0 where that cannot be told.
    pub(super) fn correlation(&self) -> f64 {
        if !self.follow_each_other || self.divisors.len() < MIN_FOR_CORRELATION {
            return 0.0;
        }
        let estimates = self.estimates();
        let (mut products, mut squares) = (0.0, 0.0);
        for (member, (estimate, floor)) in estimates.iter().zip(&self.floors).enumerate() {
            let scale = floor.max(f64::MIN_POSITIVE);
            let rows = self.sums.chunks_exact(self.n_members.max(1)).zip(&self.divisors);
            let rests: Vec<f64> =
                rows.filter_map(|(row, divisor)| Some(row.get(member)? - estimate.rate * divisor)).collect();
            let both = rests.iter().zip(rests.iter().skip(1));
            products += both.map(|(a, b)| a * b).sum::<f64>() / scale;
            squares += rests.iter().map(|rest| rest * rest).sum::<f64>() / scale;
        }
        let correlation = if squares > 0.0 { products / squares } else { 0.0 };
        if correlation < MIN_CORRELATION { 0.0 } else { correlation.min(MAX_CORRELATION) }
    }
}

/// How many times more the windows of both sides scatter than drawing samples alone would make them; at least 1.
pub(super) fn dispersion(sides: &[Windows; 2]) -> f64 {
    let (mut seen, mut by_samples) = (0.0, 0.0);
    for side in sides.iter().filter(|side| side.n_units() > 1) {
        for (estimate, floor) in side.scattered().iter().zip(&side.floors).filter(|(_, floor)| **floor > 0.0)
        {
            seen += estimate.variance / floor;
            by_samples += 1.0;
        }
    }
    if by_samples > 0.0 { f64::max(seen / by_samples, 1.0) } else { 1.0 }
}

/// Windows in the order of time, long enough that there are no more than [`MAX_UNITS`].
fn joined(side: &Side) -> Vec<Window> {
    let mut windows = side.windows.clone();
    windows.sort_by_key(|window| window.start_ns);
    let n_together = windows.len().div_ceil(MAX_UNITS).max(1);
    let mut joined: Vec<Window> = Vec::new();
    for (index, window) in windows.into_iter().enumerate() {
        match joined.last_mut() {
            Some(last) if index % n_together != 0 => last.append(window),
            _ => joined.push(window),
        }
    }
    joined
}

fn follow_each_other(windows: &[Window]) -> bool {
    let gap = |pair: &[Window]| match pair {
        [a, b] => b.start_ns.saturating_sub(a.start_ns.saturating_add(a.duration_ns)) < a.duration_ns / 2,
        _ => false,
    };
    windows.first().is_some_and(|first| first.start_ns > 0) && windows.windows(2).all(gap)
}

/// Room for one draw.
struct Scratch {
    /// Of each question: the sum, that of its squares, that of its products with the divisor.
    sums: Vec<[f64; 3]>,
}

impl Scratch {
    fn new(n_members: usize) -> Self {
        Self { sums: vec![[0.0; 3]; n_members] }
    }
}

/// Rates of some windows, and how far off these are by how they scatter.
fn estimate<'a>(
    windows: impl Iterator<Item = (&'a [f64], f64)>,
    scratch: &mut Scratch,
    estimates: &mut [Estimate],
) {
    scratch.sums.fill([0.0; 3]);
    let (mut n, mut divisor, mut divisor_squares) = (0.0, 0.0, 0.0);
    for (row, own_divisor) in windows {
        n += 1.0;
        divisor += own_divisor;
        divisor_squares += own_divisor * own_divisor;
        for (sums, &value) in scratch.sums.iter_mut().zip(row) {
            sums[0] += value;
            sums[1] += value * value;
            sums[2] += value * own_divisor;
        }
    }
    for (estimate, sums) in estimates.iter_mut().zip(&scratch.sums) {
        let rate = if divisor > 0.0 { sums[0] / divisor } else { 0.0 };
        let squares = sums[1] - 2.0 * rate * sums[2] + rate * rate * divisor_squares;
        let variance = if n > 1.0 && divisor > 0.0 {
            squares.max(0.0) * n / ((n - 1.0) * divisor * divisor)
        } else {
            0.0
        };
        *estimate = Estimate { rate, variance };
    }
}

/// Both sides, dealt anew.
pub(super) struct Pair {
    sides: [Windows; 2],
    /// Positions of windows, those of the baseline first.
    deal: Vec<usize>,
    dealt: [Vec<Estimate>; 2],
    scratch: Scratch,
}

impl Pair {
    pub(super) fn new(baseline: Windows, comparison: Windows) -> Self {
        let n_members = baseline.n_members;
        Self {
            deal: (0..baseline.n_units() + comparison.n_units()).collect(),
            dealt: [vec![Estimate::default(); n_members], vec![Estimate::default(); n_members]],
            scratch: Scratch::new(n_members),
            sides: [baseline, comparison],
        }
    }
}

impl Draw for Pair {
    fn draw(&mut self, rng: &mut fastrand::Rng, deviations: &mut [f64]) {
        rng.shuffle(&mut self.deal);
        let [baseline, comparison] = &self.sides;
        let (n_baseline, n_members) = (baseline.n_units(), baseline.n_members);
        let window = |&at: &usize| {
            let (side, at) = if at < n_baseline { (baseline, at) } else { (comparison, at - n_baseline) };
            let start = at * n_members;
            Some((side.sums.get(start..start + n_members)?, *side.divisors.get(at)?))
        };
        let (a, b) = self.deal.split_at(n_baseline);
        for ((side, hand), dealt) in self.sides.iter().zip([a, b]).zip(&mut self.dealt) {
            estimate(hand.iter().filter_map(window), &mut self.scratch, dealt);
            side.raise_to_floors(dealt);
        }
        for (deviation, (a, b)) in deviations.iter_mut().zip(self.dealt[0].iter().zip(&self.dealt[1])) {
            let error = (a.variance + b.variance).sqrt();
            *deviation = if error > 0.0 { (b.rate - a.rate) / error } else { 0.0 };
        }
    }
}

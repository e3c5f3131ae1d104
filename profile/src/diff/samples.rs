//! Samples as what is drawn, where there are too few windows: stacks that mean the same to all questions are one cell,
//! and the count of a cell scatters by its square root.

use std::{collections::HashMap, f64::consts::TAU};

use super::{
    chance::Draw,
    family::{Family, Member},
    options::Per,
    side::Side,
};

/// Stacks that count for the same questions.
#[derive(Debug, Clone)]
struct Cell {
    /// Positions of questions.
    members: Vec<usize>,
    /// How far the sum of its values may be off: each of its samples may as well have been none, or two.
    error: f64,
}

/// The cells of one side.
#[derive(Debug, Clone)]
pub(super) struct Cells {
    cells: Vec<Cell>,
    divisor: f64,
    /// By share, what one cell has more all others have less.
    rates: Option<Vec<f64>>,
    n_members: usize,
}

impl Cells {
    /// None if the profiles do not say how many samples they are made of.
    pub(super) fn of(family: &Family, side: &Side, index: usize, per: Per) -> Option<Self> {
        let n_samples = side.n_samples().filter(|&n| n > 0.0)?;
        let profile = side.profile();
        let per_value = n_samples / side.total();
        let questions = Questions::of(family, side, index);
        let counts = profile.value_types().iter().position(|it| it.kind == "samples");
        let mut sums: HashMap<Vec<usize>, [f64; 2]> = HashMap::new();
        for sample in profile.samples() {
            let at = |column: usize| sample.values.get(column).map_or(0.0, |&value| value.max(0) as f64);
            let functions = profile.leaf_to_root(sample.stack).filter_map(|frame| {
                let frame = profile.frame_at(frame)?;
                side.function(&profile.frame_name(frame))
            });
            let sums = sums.entry(questions.of_stack(functions)).or_default();
            sums[0] += at(0);
            sums[1] += counts.map_or(at(0) * per_value, at);
        }
        let divisor = match per {
            Per::Share => side.total(),
            Per::Second => side.duration_ns() as f64 / 1e9,
            Per::Request => side.n_requests()?,
        };
        let rate = |member: &Member| family.sum(*member, index) / divisor;
        let mut cells: Vec<Cell> = sums
            .into_iter()
            .filter(|(_, [value, count])| *value > 0.0 && *count > 0.0)
            .map(|(members, [value, count])| Cell { members, error: value / count.sqrt() })
            .collect();
        // Numbers are drawn in this order.
        cells.sort_by(|a, b| a.members.cmp(&b.members));
        Some(Self {
            cells,
            divisor,
            rates: (per == Per::Share).then(|| family.members.iter().map(rate).collect()),
            n_members: family.members.len(),
        })
    }

    fn variances(&self) -> Vec<f64> {
        let mut own = vec![0.0; self.n_members];
        let mut all = 0.0;
        for cell in &self.cells {
            let variance = cell.error * cell.error;
            all += variance;
            cell.members.iter().for_each(|&member| add(&mut own, member, variance));
        }
        let square = self.divisor * self.divisor;
        match &self.rates {
            Some(rates) => {
                let of = |(own, rate): (&f64, &f64)| ((1.0 - 2.0 * rate) * own + rate * rate * all) / square;
                own.iter().zip(rates).map(of).collect()
            }
            None => own.iter().map(|own| own / square).collect(),
        }
    }

    /// How far one draw is off, for each question.
    fn draw(&self, normal: &mut Normal<'_>, offs: &mut [f64]) {
        offs.fill(0.0);
        let mut all = 0.0;
        for cell in &self.cells {
            let off = cell.error * normal.next();
            all += off;
            cell.members.iter().for_each(|&member| add(offs, member, off));
        }
        let rates = self.rates.iter().flatten().copied().chain(std::iter::repeat(0.0));
        for (off, rate) in offs.iter_mut().zip(rates) {
            *off = (*off - rate * all) / self.divisor;
        }
    }
}

fn add(sums: &mut [f64], at: usize, value: f64) {
    if let Some(sum) = sums.get_mut(at) {
        *sum += value;
    }
}

/// Which questions a stack counts for.
struct Questions {
    /// For each function of the side the questions for itself and for all that it called.
    of_function: Vec<[Option<usize>; 2]>,
    whole: Option<usize>,
}

impl Questions {
    fn of(family: &Family, side: &Side, index: usize) -> Self {
        let mut of_function = vec![[None; 2]; side.functions.len()];
        let mut whole = None;
        for (position, member) in family.members.iter().enumerate() {
            let (row, which) = match *member {
                Member::Own(row) => (row, 0),
                Member::Total(row) => (row, 1),
                Member::Whole => {
                    whole = Some(position);
                    continue;
                }
            };
            let at = family.rows.get(row).and_then(|row| row.at.get(index).copied().flatten());
            if let Some(question) = at.and_then(|at| of_function.get_mut(at)).and_then(|of| of.get_mut(which))
            {
                *question = Some(position);
            }
        }
        Self { of_function, whole }
    }

    fn of_stack(&self, leaf_first: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut questions: Vec<usize> = self.whole.into_iter().collect();
        for (depth, function) in leaf_first.enumerate() {
            let Some([own, total]) = self.of_function.get(function) else { continue };
            questions.extend(own.filter(|_| depth == 0));
            questions.extend(total);
        }
        questions.sort_unstable();
        questions.dedup();
        questions
    }
}

/// Both sides, each drawn from itself.
pub(super) struct Pair {
    sides: [Cells; 2],
    errors: Vec<f64>,
    offs: [Vec<f64>; 2],
}

impl Pair {
    pub(super) fn new(baseline: Cells, comparison: Cells) -> Self {
        let n_members = baseline.n_members;
        let mut it = Self {
            sides: [baseline, comparison],
            errors: Vec::new(),
            offs: [vec![0.0; n_members], vec![0.0; n_members]],
        };
        it.errors = it.variances().iter().map(|variance| variance.sqrt()).collect();
        it
    }

    /// Of the difference, for each question.
    pub(super) fn variances(&self) -> Vec<f64> {
        let [a, b] = self.sides.each_ref().map(Cells::variances);
        a.iter().zip(&b).map(|(a, b)| a + b).collect()
    }
}

impl Draw for Pair {
    fn draw(&mut self, rng: &mut fastrand::Rng, deviations: &mut [f64]) {
        let mut normal = Normal { rng, spare: None };
        for (side, offs) in self.sides.iter().zip(&mut self.offs) {
            side.draw(&mut normal, offs);
        }
        let both = self.offs[0].iter().zip(&self.offs[1]);
        for ((deviation, (a, b)), error) in deviations.iter_mut().zip(both).zip(&self.errors) {
            *deviation = if *error > 0.0 { (b - a) / error } else { 0.0 };
        }
    }
}

/// Numbers with mean 0 and variance 1, two at a time (Box and Muller).
struct Normal<'a> {
    rng: &'a mut fastrand::Rng,
    spare: Option<f64>,
}

impl Normal<'_> {
    fn next(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        // Above 0, so that it has a logarithm.
        let radius = (-2.0 * (1.0 - self.rng.f64()).ln()).sqrt();
        let angle = TAU * self.rng.f64();
        self.spare = Some(radius * angle.sin());
        radius * angle.cos()
    }
}

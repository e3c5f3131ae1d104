//! How often chance is taken for a change, and how often a change is seen, over many pairs drawn at random.
//!
//! `BRAZIER_PAIRS=1000 cargo test --release -p profile --test diff simulation -- --nocapture` draws more of them and prints
//! the tables that `docs/diff.md` has. In plain tests there are few, from fixed seeds.

use profile::diff::{self, Comparison, Options, Verdict};

use crate::made::{Made, PLAIN, name, side};

const DEFAULT_PAIRS: usize = 20;

fn n_pairs() -> usize {
    std::env::var("BRAZIER_PAIRS").ok().and_then(|n| n.parse().ok()).unwrap_or(DEFAULT_PAIRS)
}

fn pair(baseline: Made, comparison: Made, seed: u64) -> Comparison {
    let mut rng = fastrand::Rng::with_seed(seed);
    let (baseline, comparison) = (side(baseline, &mut rng), side(comparison, &mut rng));
    let options = Options { n_replicates: 2000, ..Options::default() };
    diff::compare(&baseline, &comparison, &options).expect("compares")
}

/// What is looked at by itself would be called changed, at the same confidence.
fn by_benjamini_and_hochberg(comparison: &Comparison) -> usize {
    let level = 1.0 - comparison.method.confidence_percent / 100.0;
    let mut p_values: Vec<f64> = Vec::new();
    for function in &comparison.functions {
        for change in [&function.own, &function.total] {
            let error = change.growth_error_percent.zip(comparison.method.critical);
            if let Some((growth, (error, critical))) = change.growth_percent.zip(error) {
                p_values.push(two_sided(growth / (error / critical)));
            }
        }
    }
    p_values.sort_by(f64::total_cmp);
    let n = p_values.len() as f64;
    let passes = |&(rank, p): &(usize, &f64)| *p <= level * (rank as f64 + 1.0) / n;
    p_values.iter().enumerate().rfind(passes).map_or(0, |(rank, _)| rank + 1)
}

/// Abramowitz and Stegun 7.1.26, good to seven digits.
fn two_sided(deviation: f64) -> f64 {
    let x = deviation.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let polynomial = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    polynomial.iter().fold(0.0, |sum, factor| (sum + factor) * t) * (-x * x).exp()
}

fn cases() -> Vec<(String, Made)> {
    let mut cases = Vec::new();
    for (n_windows, scatter) in [
        (1, 0.0),
        (3, 0.0),
        (3, 0.05),
        (5, 0.05),
        (6, 0.0),
        (6, 0.05),
        (6, 0.2),
        (10, 0.05),
        (20, 0.1),
        (60, 0.1),
    ] {
        let n_samples = 20_000.0 / n_windows as f64;
        let made = Made { n_windows, scatter, n_samples, ..PLAIN };
        cases.push((format!("{n_windows:>2} windows, scatter {:>2.0} %", 100.0 * scatter), made));
    }
    cases
}

#[test]
fn of_fifty_pairs_of_equal_sides_one_at_most_is_called_different_and_of_no_kind_more_than_two_in_twenty() {
    let n_pairs = n_pairs();
    let (mut table, mut all_alarms) = (String::new(), 0);
    for (index, (name, made)) in cases().into_iter().enumerate() {
        let (mut alarms, mut by_rate) = (0, 0);
        for seed in 0..n_pairs {
            let comparison = pair(made, made, (100_000 * (index + 1) + seed) as u64);
            alarms += usize::from(comparison.gained + comparison.lost > 0);
            by_rate += usize::from(by_benjamini_and_hochberg(&comparison) > 0);
        }
        table.push_str(&format!("{name}: {alarms} of {n_pairs} alarms, {by_rate} by false discovery rate\n"));
        all_alarms += alarms;
        assert!(10 * alarms <= n_pairs, "{table}");
    }
    assert!(50 * all_alarms <= n_pairs * cases().len(), "{table}");
    println!("{table}");
}

#[test]
fn a_function_that_is_8_percent_slower_is_named_and_is_first() {
    let n_pairs = n_pairs();
    let mut table = String::new();
    for (rank, n_samples, n_windows, scatter, least) in [
        (0, 100_000.0, 1, 0.0, 0.9),
        (0, 100_000.0, 10, 0.0, 0.9),
        (0, 100_000.0, 10, 0.02, 0.7),
        (2, 100_000.0, 10, 0.0, 0.0),
        (0, 20_000.0, 1, 0.0, 0.0),
    ] {
        let made = Made { n_windows, scatter, n_samples: n_samples / n_windows as f64, ..PLAIN };
        let slower = Made { slower: Some((rank, 1.08)), ..made };
        let (mut found, mut first) = (0_usize, 0);
        for seed in 0..n_pairs {
            let comparison = pair(made, slower, 50_000 + seed as u64);
            let slow = comparison.functions.iter().position(|function| function.name == name(rank));
            let slow = slow.and_then(|at| Some((at, comparison.functions.get(at)?)));
            if let Some((at, function)) = slow.filter(|(_, it)| it.own.verdict == Verdict::Gained) {
                found += 1;
                first += usize::from(at == 0);
                let growth = function.own.growth_percent.unwrap_or(0.0);
                assert!((2.0..17.0).contains(&growth), "{growth} %: {function:?}");
            }
        }
        table.push_str(&format!(
            "rank {rank}, {n_samples} samples in {n_windows} windows, scatter {scatter}: {found} of {n_pairs} found, {first} \
             first\n"
        ));
        assert!(found as f64 >= least * n_pairs as f64, "{table}");
    }
    println!("{table}");
}

#[test]
fn windows_take_in_what_differs_from_run_to_run_and_samples_of_one_profile_do_not() {
    let run = Made { scatter_of_run: 0.03, ..PLAIN };
    let alarms = |seed: u64| {
        let one = pair(Made { n_samples: 100_000.0, ..run }, Made { n_samples: 100_000.0, ..run }, seed);
        usize::from(one.gained + one.lost > 0)
    };
    let n_single: usize = (0..20).map(alarms).sum();
    // The same scatter, in ten runs a side.
    let runs = Made { n_windows: 10, n_samples: 10_000.0, scatter: 0.03, ..PLAIN };
    let n_runs = (0..20).filter(|&seed| {
        let many = pair(runs, runs, seed);
        many.gained + many.lost > 0
    });
    let n_runs = n_runs.count();
    assert!(
        n_single >= 10 && n_runs <= 1,
        "{n_single} alarms of 20 with one profile a side, {n_runs} with ten"
    );
}

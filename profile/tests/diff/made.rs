//! Profiles of a made-up proxy, drawn at random.

use profile::{Frame, Mapping, Meta, Profile, ValueType, diff::Side};

/// 997 Hz, about.
const PERIOD_NS: i64 = 1_000_000;

/// What a side is drawn from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    /// How many functions the proxy has; the first takes most.
    pub(crate) n_functions: usize,
    /// How many profiles there are.
    pub(crate) n_windows: usize,
    /// Samples of a profile, about.
    pub(crate) n_samples: f64,
    /// How much the cost of a function differs from window to window, as a part of it.
    pub(crate) scatter: f64,
    /// How much of that a run has from one end to the other.
    pub(crate) scatter_of_run: f64,
    /// The function that is slower, and by how much.
    pub(crate) slower: Option<(usize, f64)>,
}

/// As many functions as a proxy has that matter, 10,000 samples in all, and no scatter.
pub(crate) const PLAIN: Made = Made {
    n_functions: 60,
    n_windows: 1,
    n_samples: 10_000.0,
    scatter: 0.0,
    scatter_of_run: 0.0,
    slower: None,
};

/// What a function takes of everything: half as much as the one before it in rank, about.
fn cost(rank: usize) -> f64 {
    1.0 / (rank as f64 + 1.5)
}

pub(crate) fn name(rank: usize) -> String {
    format!("function_{rank}")
}

pub(crate) fn side(made: Made, rng: &mut fastrand::Rng) -> Side {
    let mut side = Side::new(None);
    let of_run: Vec<f64> = (0..made.n_functions).map(|_| 1.0 + made.scatter_of_run * normal(rng)).collect();
    for window in 0..made.n_windows {
        side.add(&window_of(made, &of_run, window, rng)).expect("is of one kind");
    }
    side
}

fn window_of(made: Made, of_run: &[f64], window: usize, rng: &mut fastrand::Rng) -> Profile {
    let meta = Meta {
        start_unix_ns: 1_000_000_000 * (1 + 10 * window as u64),
        duration_ns: 10_000_000_000,
        host: "edge".to_owned(),
        ..Meta::default()
    };
    let mut profile = Profile::new(ValueType::CPU, meta);
    let path = profile.intern("/usr/sbin/proxy");
    let proxy = profile.mapping(Mapping::file(path, None));
    let process = profile.process(1, "proxy");
    let thread = profile.thread(process, 1, "proxy");
    let whole: f64 = (0..made.n_functions).map(cost).sum();
    let names = ["main", "work", "idle"].map(|name| profile.intern(name));
    let [main, work, idle] = names.map(|name| profile.frame(Frame::native(proxy, 0).named(name)));
    for (rank, of_run) in of_run.iter().enumerate() {
        let slower = made.slower.filter(|(slow, _)| *slow == rank).map_or(1.0, |(_, factor)| factor);
        let scattered = of_run * (1.0 + made.scatter * normal(rng));
        let expected = made.n_samples * cost(rank) / whole * slower * scattered.max(0.0);
        let count = poisson(expected, rng);
        let function = profile.intern(&name(rank));
        let function = profile.frame(Frame::native(proxy, 16 * rank as u64).named(function));
        let caller = if rank % 3 == 0 { idle } else { work };
        let stack = profile.stack([main, caller, function]);
        profile.add(stack, thread, &[count, count * PERIOD_NS]).expect("has two values");
    }
    profile
}

fn normal(rng: &mut fastrand::Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

/// Small ones by their definition, large ones by the normal distribution, which is as good.
fn poisson(expected: f64, rng: &mut fastrand::Rng) -> i64 {
    if expected > 100.0 {
        return (expected + expected.sqrt() * normal(rng)).round().max(0.0) as i64;
    }
    let (mut n, mut left) = (0, 1.0 - rng.f64());
    let limit = (-expected).exp();
    while left > limit {
        left *= 1.0 - rng.f64();
        n += 1;
    }
    n
}

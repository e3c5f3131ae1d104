//! The kernel time of one sample, out of counters that mix samples with ticks that were filtered out.

use std::time::Duration;

use super::held::Runs;

/// More than ticks that fall on the edge of a window can explain: the counters belong to something else.
const TOLERANCE: f64 = 0.02;

/// How many ticks found a thread on a CPU, given the time that it ran.
pub(super) fn n_ticks(on_cpu: Duration, frequency_hz: u32) -> f64 {
    on_cpu.as_secs_f64() * f64::from(frequency_hz)
}

/// Nanoseconds for one tick, all of them alike.
pub(super) fn ns_per_tick(runs: Runs) -> Option<f64> {
    (runs.count > 0).then(|| runs.time_ns as f64 / runs.count as f64)
}

/// Nanoseconds for one tick that found the target, when each of the others took `filtered_ns`.
pub(super) fn ns_per_sample(runs: Runs, n_samples: f64, filtered_ns: f64) -> Option<f64> {
    let n_filtered = runs.count as f64 - n_samples;
    if n_samples < 1.0 || n_filtered < -TOLERANCE * n_samples {
        return None;
    }
    let ns = (runs.time_ns as f64 - filtered_ns * n_filtered.max(0.0)) / n_samples;
    (ns > 0.0).then_some(ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filtered_ticks_are_taken_out_of_the_cost_of_a_sample() {
        // 1,000 samples of 1,500 ns and as many filtered ticks of 200 ns.
        let runs = Runs { time_ns: 1_700_000, count: 2000 };
        assert_eq!(ns_per_sample(runs, 1000.0, 200.0), Some(1500.0));
        assert_eq!(ns_per_tick(runs), Some(850.0), "what the plain mean would say");
    }

    #[test]
    fn without_filtered_ticks_it_is_the_mean_and_the_edge_of_the_window_does_not_matter() {
        let runs = Runs { time_ns: 1_500_000, count: 1000 };
        assert_eq!(ns_per_sample(runs, 1000.0, 200.0), Some(1500.0));
        assert_eq!(ns_per_sample(runs, 1010.0, 200.0), Some(1_500_000.0 / 1010.0));
    }

    #[test]
    fn counters_that_cannot_belong_together_give_nothing() {
        let runs = Runs { time_ns: 1000, count: 10 };
        assert_eq!(ns_per_sample(runs, 0.0, 1.0), None, "no sample");
        assert_eq!(ns_per_sample(runs, 20.0, 1.0), None, "more samples than ticks");
        assert_eq!(ns_per_sample(runs, 5.0, 500.0), None, "filtered ticks cost more than all together");
        assert_eq!(ns_per_tick(Runs::default()), None);
    }

    #[test]
    fn ticks_follow_from_time_on_the_cpu() {
        assert_eq!(n_ticks(Duration::from_millis(2500), 1000), 2500.0);
    }
}

//! The governor against made-up loads.

use proptest::prelude::{ProptestConfig, prop_assert, proptest};

use super::*;

/// What a second costs, in percent of a host of four CPUs.
#[derive(Clone, Copy, Debug)]
struct Load {
    /// For each sample a second.
    per_hz: f64,
    rest: f64,
    /// Of the rest, for each sample a second.
    rest_per_hz: f64,
}

fn reading(governor: &Governor, load: Load) -> Reading {
    let used = |percent: f64| Duration::from_secs_f64(percent / 100.0 * 4.0);
    let rate = governor.rate_hz() as f64;
    Reading {
        elapsed: Duration::from_secs(1),
        n_cpus: 4,
        sampling: Some(used(load.per_hz * rate)),
        rest: used(load.rest + load.rest_per_hz * rate),
    }
}

const CHEAP: Load = Load { per_hz: 0.001, rest: 0.1, rest_per_hz: 0.0 };
/// 10 % at 1,000 Hz.
const COSTLY: Load = Load { per_hz: 0.01, ..CHEAP };

/// Steps, each with the second after which it came.
fn run(governor: &mut Governor, seconds: u64, load: impl Fn(u64) -> Load) -> Vec<(u64, Step)> {
    let step = |second| {
        let reading = reading(governor, load(second));
        Some((second, governor.read(&reading)?))
    };
    (1..=seconds).filter_map(step).collect()
}

fn hz(steps: &[(u64, Step)]) -> Vec<u64> {
    steps.iter().map(|(_, step)| step.to_hz).collect()
}

#[test]
fn samples_that_become_expensive_bring_the_rate_down_at_once_and_it_comes_back() {
    let mut governor = Governor::new(999, 2.0);
    assert_eq!(run(&mut governor, 120, |_| CHEAP), []);
    let down = run(&mut governor, 120, |_| COSTLY);
    // The first is made with the cost of cheap seconds among it.
    assert_eq!(hz(&down), [249, 124], "{down:?}");
    assert!(down[1].0 <= 5, "{down:?}");
    assert!(matches!(down[0].1.reason, StepReason::OverBudget { .. }), "{down:?}");
    assert!(governor.used_percent() < 2.0, "{governor:?}");

    let up = run(&mut governor, 120, |_| CHEAP);
    assert_eq!(hz(&up), [249, 499, 999], "{up:?}");
    assert!(up[0].0 <= 15 && up[2].0 <= 45, "{up:?}");
    assert_eq!(up[2].1.to_string().split(" (").next(), Some("samples a second: 499 -> 999"), "{up:?}");
}

#[test]
fn the_first_window_with_all_its_names_does_not_lower_the_rate() {
    let mut governor = Governor::new(99, 1.0);
    // Most of a CPU for ten seconds, and again for each window, two of ten seconds.
    let steps = run(&mut governor, 600, |second| match second {
        0..=10 => Load { rest: 20.0, ..CHEAP },
        _ if second % 10 < 2 => Load { rest: 2.0, ..CHEAP },
        _ => CHEAP,
    });
    assert_eq!(steps, []);
    let lasting = governor.lasting_rest_percent();
    assert!((0.4..0.6).contains(&lasting), "{lasting} {governor:?}");
}

#[test]
fn what_the_agent_takes_all_the_time_leaves_less_for_sampling_but_never_nothing() {
    let load = |rest| Load { per_hz: 0.009, rest, rest_per_hz: 0.0 };
    let mut governor = Governor::new(100, 1.0);
    let steps = run(&mut governor, 300, |_| load(0.5));
    assert_eq!(hz(&steps), [50], "{steps:?}");
    assert!((60..=70).contains(&steps[0].0), "{steps:?}");

    let mut governor = Governor::new(100, 1.0);
    let steps = run(&mut governor, 600, |_| load(30.0));
    assert_eq!(hz(&steps), [25], "a quarter of the budget stays: {steps:?}");
}

#[test]
fn the_floor_is_one_sample_a_second_and_nothing_is_logged_below_it() {
    let mut governor = Governor::new(99, 0.001);
    let steps = run(&mut governor, 100, |_| Load { per_hz: 1.0, ..CHEAP });
    assert_eq!(hz(&steps), [1], "{steps:?}");
}

#[test]
fn a_step_up_that_was_wrong_is_tried_again_ever_more_seldom() {
    let mut governor = Governor::new(100, 1.0);
    // The rest falls with the rate, too, so that the higher rate seems to be affordable time and again.
    let load = Load { per_hz: 0.0028, rest: 0.0, rest_per_hz: 0.0075 };
    let n = |steps: &[(u64, Step)]| steps.len();
    let early = run(&mut governor, 600, |_| load);
    let late = run(&mut governor, 600, |_| load);
    assert!(n(&late) <= 6 && n(&late) < n(&early) + 1, "{early:?}\n{late:?}");
}

#[test]
fn without_statistics_what_lasts_of_the_own_time_counts_as_the_rate_s() {
    let mut governor = Governor::new(100, 1.0);
    let mut steps = Vec::new();
    for second in 1..=300_u64 {
        let load = Load { per_hz: 0.0, rest: 0.0, rest_per_hz: 0.03 };
        let reading = Reading { sampling: None, ..reading(&governor, load) };
        steps.extend(governor.read(&reading).map(|step| (second, step)));
    }
    assert_eq!(hz(&steps), [25], "{steps:?}");
}

#[test]
fn one_costly_second_is_no_reason() {
    let mut governor = Governor::new(999, 1.5);
    let spike = |second| if second % 10 == 5 { Load { per_hz: 0.002, ..CHEAP } } else { CHEAP };
    assert_eq!(run(&mut governor, 100, spike), []);
}

#[test]
fn a_reading_of_no_time_is_none() {
    let mut governor = Governor::new(100, 1.0);
    for _ in 0..10 {
        let reading = Reading { rest: Duration::from_secs(9), ..Reading::default() };
        assert_eq!(governor.read(&reading), None);
    }
    assert_eq!(governor.used_percent(), 0.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_constant_cost_is_settled_with_and_stayed_at(
        configured_hz in 1..10_000_u64, budget in 0.1..10.0_f64, at_full in 0.0..100.0_f64, rest in 0.0..10.0_f64,
    ) {
        let load = Load { per_hz: at_full / configured_hz as f64, rest, rest_per_hz: 0.0 };
        let mut governor = Governor::new(configured_hz, budget);
        let early = run(&mut governor, 90, |_| load);
        // One step when it begins, one when it is known what the rest takes.
        prop_assert!(early.len() <= 2, "{:?}", early);
        let late = run(&mut governor, 1000, |_| load);
        prop_assert!(late.is_empty(), "{:?} then {:?}", early, late);
        let sampling = load.per_hz * governor.rate_hz() as f64;
        let room = (budget - rest).max(budget / 4.0);
        prop_assert!(governor.rate_hz() == 1 || sampling <= room * 1.001, "{sampling} of {room}");
    }

    #[test]
    fn whatever_comes_the_rate_is_between_the_floor_and_what_is_configured_and_comes_back(
        configured_hz in 1..2_000_u64,
        loads in proptest::collection::vec((0.0..0.1_f64, 0.0..50.0_f64, 1..100_u64), 1..10),
    ) {
        let mut governor = Governor::new(configured_hz, 1.0);
        for (per_hz, rest, seconds) in loads {
            for (_, step) in run(&mut governor, seconds, |_| Load { per_hz, rest, rest_per_hz: 0.0 }) {
                prop_assert!(step.to_hz >= 1 && step.to_hz <= configured_hz, "{:?}", step);
                prop_assert!(step.to_hz != step.from_hz, "{:?}", step);
            }
        }
        // All that was wrong is forgiven, then a step every eleven seconds.
        let nothing = Load { per_hz: 0.0, rest: 0.0, rest_per_hz: 0.0 };
        run(&mut governor, 300 + 15 * 11, |_| nothing);
        prop_assert!(governor.rate_hz() == configured_hz, "{:?}", governor);
    }
}

#[test]
fn for_want_of_memory_the_rate_is_halved_for_minutes_and_not_below_the_lowest() {
    let mut governor = Governor::new(999, 2.0);
    let step = governor.lower_for_memory(70, 64).expect("a step");
    assert_eq!(step.to_string(), "samples a second: 999 -> 499 (70 bytes are resident, and the limit is 64)");
    let up = run(&mut governor, 400, |_| CHEAP);
    assert_eq!(hz(&up), [999], "{up:?}");
    assert!(up[0].0 >= 150, "{up:?}");
    let all: Vec<_> = std::iter::from_fn(|| governor.lower_for_memory(70, 64)).take(20).collect();
    assert_eq!(all.last().map(|step| step.to_hz), Some(1), "{all:?}");
}

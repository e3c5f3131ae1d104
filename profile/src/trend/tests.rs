//! Shapes that memory takes, and the verdict on each.

use proptest::prelude::{any, prop_assert, proptest};

use super::{
    Direction, Pattern, Point, Verdict, VerdictKind, fit, judge,
    shapes::{MIB, noise, series},
    trend,
};

const GIB: u64 = 1 << 30;

fn check(what: &str, verdict: &Verdict, kind: VerdictKind, pattern: Pattern, reason: &str) {
    assert_eq!((verdict.kind, verdict.pattern), (kind, pattern), "{what}: {verdict:#?}");
    assert!(verdict.reasons.iter().any(|it| it.contains(reason)), "{what}: no {reason:?} in {verdict:#?}");
}

#[test]
fn growth_that_does_not_end_is_a_leak_with_its_rate_and_its_beginning() {
    let cases: [(&str, Vec<Point>, f64, u64); 5] = [
        ("a line", series(60, |s| 5.0 * MIB + s * MIB), MIB, 0),
        ("with noise", series(60, |s| (50.0 + s + 2.0 * noise(s, 1)) * MIB), MIB, 0),
        ("from the 20th second", series(60, |s| (5.0 + (s - 20.0).max(0.0)) * MIB), MIB, 20),
        ("after a drop", series(90, |s| if s < 20.0 { 90.0 * MIB } else { (10.0 + s) * MIB }), MIB, 20),
        ("slow, with noise", series(3600, |s| (500.0 + s * 0.02 + 3.0 * noise(s, 2)) * MIB), 0.02 * MIB, 0),
    ];
    for (what, points, rate, since_s) in cases {
        let verdict = judge(&points, None);
        check(what, &verdict, VerdictKind::Leak, Pattern::Growing, "still climbing");
        let off = verdict.rate_bytes_per_second / rate - 1.0;
        assert!(off.abs() < 0.05, "{what}: {off} off\n{verdict:#?}");
        let since = verdict.since_ns.expect("a beginning") as f64 / 1e9;
        assert!((since - since_s as f64).abs() <= 3.0 + 0.1 * points.len() as f64, "{what}: {verdict:#?}");
    }
}

#[test]
fn what_ends_or_is_given_back_is_no_leak() {
    let sawtooth =
        |period: f64, base: f64| series(60, move |s| (base + (s % period) * 10.0 / period * 6.0 / 5.0) * MIB);
    let cases: [(&str, Vec<Point>, Pattern, &str); 10] = [
        (
            "a cache that fills",
            series(60, |s| (3.0 + s.min(20.0) * 2.0) * MIB),
            Pattern::Plateau,
            "until 00:00:19",
        ),
        (
            "one that fills late",
            series(60, |s| (3.0 + s.min(41.0) * 3.0) * MIB),
            Pattern::Plateau,
            "then stayed",
        ),
        ("at once", series(60, |s| if s < 3.0 { MIB } else { 90.0 * MIB }), Pattern::Plateau, "then stayed"),
        ("a sawtooth", sawtooth(10.0, 1.0), Pattern::Sawtooth, "5 times"),
        ("a slow sawtooth", sawtooth(25.0, 1.0), Pattern::Sawtooth, "2 times"),
        ("on a base", sawtooth(10.0, 400.0), Pattern::Stable, "stable"),
        (
            "a reload",
            series(60, |s| (4.0 + s * 0.0005 + if s == 20.0 { 3.0 } else { 0.0 }) * MIB),
            Pattern::Stable,
            "stable",
        ),
        (
            "a reload that leaves more behind",
            series(60, |s| {
                (if s < 20.0 {
                    4.0
                } else if s < 23.0 {
                    7.5
                } else {
                    5.0
                }) * MIB
            }),
            Pattern::Plateau,
            "grew 1.0 MiB until 00:00:20, then stayed",
        ),
        ("constant", series(60, |_| 77.0 * MIB), Pattern::Stable, "stable"),
        ("shrinking", series(60, |s| (200.0 - s) * MIB), Pattern::Decreasing, "decreasing by 1.00 MiB/s"),
    ];
    for (what, points, pattern, reason) in cases {
        check(what, &judge(&points, Some(GIB)), VerdictKind::NoLeak, pattern, reason);
    }
    for seed in 0..50 {
        let points = series(120, |s| (100.0 + 3.0 * noise(s, seed)) * MIB);
        let verdict = judge(&points, None);
        assert_eq!(verdict.kind, VerdictKind::NoLeak, "noise {seed}: {verdict:#?}");
    }
}

#[test]
fn what_the_points_do_not_say_is_left_open() {
    let just = series(60, |s| (50.0 + (s - 50.0).max(0.0)) * MIB);
    check(
        "just began",
        &judge(&just, None),
        VerdictKind::Undecided,
        Pattern::JustBegan,
        "watch it for longer",
    );
    let once = series(60, |s| if s < 40.0 { (10.0 + s) * MIB } else { 10.0 * MIB });
    check("once", &judge(&once, None), VerdictKind::Undecided, Pattern::DroppedOnce, "00:00:39");
    for n in [0, 1, 2, 11] {
        let points = series(n, |s| s * MIB);
        let reason = format!("{n} points are too few");
        check("short", &judge(&points, None), VerdictKind::Undecided, Pattern::TooShort, &reason);
    }
}

#[test]
fn a_rate_counts_by_the_limit_or_by_50_megabytes_an_hour() {
    let per_hour = |bytes: f64| series(3600, move |s| 100.0 * MIB + s * bytes / 3600.0);
    let cases = [
        (51e6, None, VerdictKind::Leak, "more than 50 MB an hour"),
        (49e6, None, VerdictKind::NoLeak, "less than 50 MB"),
        (49e6, Some(64 * GIB), VerdictKind::NoLeak, "less than 5 % of the limit"),
        (51e6, Some(64 * GIB), VerdictKind::Leak, "more than 50 MB an hour"),
        (20e6, Some(300_000_000), VerdictKind::Leak, "more than 5 % of the limit an hour"),
        (10e6, Some(300_000_000), VerdictKind::NoLeak, "too slow to matter"),
    ];
    for (bytes, limit, kind, reason) in cases {
        let verdict = judge(&per_hour(bytes), limit);
        assert_eq!(verdict.kind, kind, "{bytes} of {limit:?}: {verdict:#?}");
        assert!(verdict.reasons.iter().any(|it| it.contains(reason)), "no {reason:?} in {verdict:#?}");
    }
}

#[test]
fn a_gap_in_time_is_not_a_jump_in_memory() {
    let mut points = series(30, |s| (10.0 + s) * MIB);
    points.extend(series(30, |s| (10.0 + 600.0 + s) * MIB).into_iter().map(|mut point| {
        point.time_ns += 600_000_000_000;
        point
    }));
    let verdict = judge(&points, None);
    check("a gap", &verdict, VerdictKind::Leak, Pattern::Growing, "still climbing");
    assert!((verdict.rate_bytes_per_second / MIB - 1.0).abs() < 0.01, "{verdict:#?}");
}

#[test]
fn a_direction_needs_a_change_beyond_noise_and_enough_points() {
    let direction = |points: &[Point]| trend(points).direction;
    assert_eq!(direction(&series(60, |s| (10.0 + s) * MIB)), Direction::Increasing);
    assert_eq!(direction(&series(60, |s| (100.0 - s) * MIB)), Direction::Decreasing);
    assert_eq!(direction(&series(60, |s| (1000.0 + s * 0.1) * MIB)), Direction::Stable, "0.6 % in all");
    assert_eq!(direction(&series(60, |s| MIB + s * 1000.0)), Direction::Stable, "60 kB in all");
    let plateau = series(60, |s| (3.0 + s.min(15.0) * 2.0) * MIB);
    assert_eq!(direction(&plateau), Direction::Stable, "{:?}", trend(&plateau));
    assert_eq!(direction(&series(2, |s| s * MIB)), Direction::Unknown);
    assert_eq!(direction(&series(1, |s| s * MIB)), Direction::Unknown);
    assert_eq!(direction(&[Point::at(5, 1), Point::at(5, 9)]), Direction::Unknown, "no time passed");
}

#[test]
fn a_leak_that_is_estimated_from_samples_wanders_and_is_found() {
    // 8 MiB/s in samples of 64 KiB, read four times a second for 9 s: steps of 32 samples, 18 % of a step is chance.
    let mut n_leaks = 0;
    for seed in 0..200_u64 {
        let mut bytes = 0.0;
        let points: Vec<Point> = (0..36)
            .map(|index| {
                bytes += 2.0 * MIB * (1.0 + 0.18 * 3.0_f64.sqrt() * noise(index as f64, seed));
                Point::at(index * 250_000_000, bytes as u64)
            })
            .collect();
        n_leaks += usize::from(judge(&points, None).kind == VerdictKind::Leak);
    }
    assert_eq!(n_leaks, 200, "found of 200");
}

#[test]
fn the_slope_bears_jumps_and_its_interval_holds_it() {
    let jumps = series(60, |s| (10.0 + s + if s > 10.0 { 200.0 } else { 0.0 }) * MIB);
    let jumped = fit(&jumps).expect("a line");
    assert!((jumped.rate_bytes_per_second / MIB - 1.0).abs() < 0.05, "{jumped:?}");
    let n_held = (0..200)
        .filter(|seed| {
            let line = fit(&series(40, |s| (100.0 + s + 4.0 * noise(s, *seed)) * MIB)).expect("a line");
            let low = line.rate_low_bytes_per_second.expect("an interval");
            let high = line.rate_high_bytes_per_second.expect("an interval");
            assert!(low <= line.rate_bytes_per_second && line.rate_bytes_per_second <= high, "{line:?}");
            (low..=high).contains(&MIB)
        })
        .count();
    assert!(n_held >= 180, "the interval held the true slope in {n_held} of 200 series");
    let exact = fit(&series(60, |s| s * MIB)).expect("a line");
    assert!(exact.r_squared > 0.999_999, "{exact:?}");
}

proptest! {
    #[test]
    fn any_leak_with_noise_is_found_with_its_rate(
        rate_mib in 0.1..100.0_f64, base in 0.0..2000.0_f64, noise_share in 0.0..3.0_f64, seed in any::<u64>(),
    ) {
        // Growth must stand out: 60 rates in all, against at most 3 of noise on either side and 1 % of the base.
        let base = base * rate_mib;
        let points = series(60, |s| (base + rate_mib * (s + noise_share * noise(s, seed))) * MIB);
        let verdict = judge(&points, None);
        prop_assert!(verdict.kind == VerdictKind::Leak, "{verdict:#?}");
        let off = verdict.rate_bytes_per_second / (rate_mib * MIB) - 1.0;
        prop_assert!(off.abs() < 0.15, "{off} off: {verdict:#?}");
    }

    #[test]
    fn whatever_the_points_are_there_is_a_verdict_with_a_reason(
        readings in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 0..60),
        limit in any::<Option<u64>>(),
    ) {
        let mut points: Vec<Point> = readings
            .into_iter()
            .map(|(time_ns, a, b)| Point { time_ns, bytes: a.max(b), low_bytes: a.min(b), high_bytes: a.max(b) })
            .collect();
        points.sort_by_key(|point| point.time_ns);
        let verdict = judge(&points, limit);
        prop_assert!(!verdict.reasons.is_empty());
        prop_assert!(verdict.rate_bytes_per_second.is_finite(), "{verdict:#?}");
        let (since, until) = (verdict.since_ns, verdict.until_ns);
        prop_assert!(since <= until, "{verdict:#?}");
    }
}

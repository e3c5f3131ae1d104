//! What a comparison says of sides that are known.

use profile::{
    Frame, Meta, Profile, TextStyle, ValueType,
    diff::{self, DiffError, Options, Per, Side, Verdict},
};

use crate::made::{Made, PLAIN, name, side};

/// Each case: a stack root first, and its samples of a millisecond.
fn profile(stacks: &[(&[&str], i64)], comments: &[&str]) -> Profile {
    let meta = Meta {
        duration_ns: 10_000_000_000,
        comments: comments.iter().map(|&comment| comment.to_owned()).collect(),
        ..Meta::default()
    };
    let mut profile = Profile::new(ValueType::CPU, meta);
    let process = profile.process(1, "proxy");
    let thread = profile.thread(process, 1, "proxy");
    for (names, count) in stacks {
        let frames: Vec<_> = names
            .iter()
            .map(|name| {
                let function = profile.intern(name);
                profile.frame(Frame::jit(16).named(function))
            })
            .collect();
        let stack = profile.stack(frames);
        profile.add(stack, thread, &[*count, count * 1_000_000]).expect("has two values");
    }
    profile
}

fn one(profile: &Profile) -> Side {
    let mut side = Side::new(None);
    side.add(profile).expect("is of its own kind");
    side
}

fn text(comparison: &diff::Comparison) -> String {
    let mut text = Vec::new();
    diff::write_comparison(comparison, &mut text, TextStyle::default()).expect("writes");
    String::from_utf8(text).expect("is text")
}

#[test]
fn a_function_grows_by_its_own_time_though_its_share_grows_by_less() {
    let before = one(&profile(&[(&["main", "a"], 50_000), (&["main", "b"], 50_000)], &[]));
    let after = one(&profile(&[(&["main", "a"], 54_000), (&["main", "b"], 50_000)], &[]));
    let comparison = diff::compare(&before, &after, &Options::default()).expect("compares");
    let a = &comparison.functions[0];
    assert_eq!((a.name.as_str(), a.own.verdict), ("a", Verdict::Gained), "{comparison:#?}");
    assert_eq!(a.own.growth_percent, Some(8.0), "{a:#?}");
    assert_eq!((a.own.baseline_percent, a.own.comparison_percent), (50.0, 51.9231), "{a:#?}");
    assert_eq!(a.own.baseline_per_second, Some(5e9), "{a:#?}");
    assert!(comparison.has_regression(5.0) && !comparison.has_regression(9.0), "{comparison:#?}");
    let text = text(&comparison);
    assert!(text.contains("+8.0 %") && text.contains("shares add up"), "{text}");
}

#[test]
fn by_request_more_load_is_no_change_and_a_dearer_request_is() {
    let before = one(&profile(&[(&["main", "a"], 10_000), (&["main", "b"], 90_000)], &["requests=100000"]));
    let busier = one(&profile(&[(&["main", "a"], 20_000), (&["main", "b"], 180_000)], &["requests=200000"]));
    let dearer = one(&profile(&[(&["main", "a"], 10_800), (&["main", "b"], 90_000)], &["requests=100000"]));
    let busier = diff::compare(&before, &busier, &Options::default()).expect("compares");
    assert_eq!((busier.per, busier.gained, busier.lost), (Per::Request, 0, 0), "{busier:#?}");
    let dearer = diff::compare(&before, &dearer, &Options::default()).expect("compares");
    let gained: Vec<_> = dearer
        .functions
        .iter()
        .filter(|it| it.verdict() == Verdict::Gained)
        .map(|it| (it.name.as_str(), it.own.growth_percent, it.own.comparison_per_request))
        .collect();
    assert_eq!(gained, [("a", Some(8.0), Some(108_000.0))], "{dearer:#?}");
}

#[test]
fn a_new_function_is_a_regression_of_any_size_and_one_that_is_gone_is_none() {
    let before = one(&profile(&[(&["main", "a"], 5000), (&["main", "old"], 5000)], &[]));
    let after = one(&profile(&[(&["main", "a"], 5000), (&["main", "new"], 5000)], &[]));
    let comparison = diff::compare(&before, &after, &Options::default()).expect("compares");
    let regressions: Vec<_> = comparison.regressions(1e9).map(|it| it.name.as_str()).collect();
    assert_eq!(regressions, ["new"], "{comparison:#?}");
    assert!(text(&comparison).contains(" new "), "{}", text(&comparison));
}

#[test]
fn the_same_seed_gives_the_same_report() {
    let made = Made { n_windows: 8, scatter: 0.05, ..PLAIN };
    let report = |seed| {
        let mut rng = fastrand::Rng::with_seed(3);
        let sides = [side(made, &mut rng), side(Made { slower: Some((1, 1.3)), ..made }, &mut rng)];
        let options = Options { seed, ..Options::default() };
        serde_json::to_string(&diff::compare(&sides[0], &sides[1], &options).expect("compares"))
            .expect("is JSON")
    };
    assert_eq!(report(1), report(1));
    assert_ne!(report(1), report(2));
    assert!(report(1).contains(&name(1)), "{}", report(1));
}

#[test]
fn what_cannot_be_compared_is_said() {
    let cpu = profile(&[(&["main"], 10)], &[]);
    let empty = profile(&[], &[]);
    let mut bytes = Profile::new([ValueType::fixed("alloc_space", "bytes")], Meta::default());
    let process = bytes.process(1, "proxy");
    let thread = bytes.thread(process, 1, "proxy");
    let frame = bytes.reason("x");
    let stack = bytes.stack([frame]);
    bytes.add(stack, thread, &[512]).expect("has one value");

    let asked = Options { per: Some(Per::Request), ..Options::default() };
    let error = |a, b, options: &Options| diff::compare(&one(a), &one(b), options).expect_err("is refused");
    assert!(matches!(error(&cpu, &empty, &asked), DiffError::Empty { side: "comparison", .. }));
    assert!(matches!(error(&cpu, &bytes, &asked), DiffError::OtherValue { .. }));
    assert!(matches!(error(&cpu, &cpu, &asked), DiffError::NoRate { .. }));
    let refused = Side::new(Some("cpu")).add(&bytes).expect_err("has none");
    assert_eq!(refused.to_string(), "has no value `cpu`: it has `alloc_space`");

    // Bytes do not say how many samples they are: nothing is called more than chance.
    let comparison = diff::compare(&one(&bytes), &one(&bytes), &Options::default()).expect("compares");
    assert_eq!(comparison.method.unit, None, "{comparison:#?}");
    assert!(text(&comparison).contains("cannot be told"), "{}", text(&comparison));
}

#[test]
fn profiles_of_one_host_and_time_are_one_window() {
    let at = |start_s: u64| {
        let mut profile = profile(&[(&["main"], 100)], &[]);
        let meta = profile.meta_mut();
        (meta.start_unix_ns, meta.host) = (start_s * 1_000_000_000, "edge".to_owned());
        profile
    };
    let mut side = Side::new(None);
    for start_s in [100, 101, 110, 120] {
        side.add(&at(start_s)).expect("is of one kind");
    }
    let comparison = diff::compare(&side, &side, &Options::default()).expect("compares");
    assert_eq!((comparison.baseline.files, comparison.baseline.windows), (4, 3), "{comparison:#?}");
    assert_eq!(comparison.baseline.duration_ns, 30_000_000_000, "{comparison:#?}");
}

//! Whether a share is more than it was, by more than chance: windows of both times, compared as `agent diff` does. Pure.

use profile::{
    Frame, Mapping, Meta, Profile, ValueType,
    diff::{self, Options, Per, Side, Verdict},
};
use query::{ShareStep, TypeUnit};

/// It is asked every minute: one false alarm in a hundred would be one in two hours.
const OPTIONS: Options = Options {
    per: Some(Per::Share),
    confidence_percent: 99.9,
    min_share_percent: 0.0,
    n_replicates: 2_000,
    seed: 1,
};
const MEANT: &str = "meant";
const OTHERS: &str = "others";

/// How a share has changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) before_percent: f64,
    pub(super) now_percent: f64,
    /// Of the share before; none if there was nothing.
    pub(super) growth_percent: Option<f64>,
    pub(super) p_value: Option<f64>,
    /// It has grown by more than chance.
    pub(super) is_more: bool,
}

/// Compares; none if there is too little on one side.
pub(super) fn change(
    what: &TypeUnit,
    before: &[ShareStep],
    now: &[ShareStep],
    step_ns: u64,
) -> Option<Change> {
    let (before, now) = (side(what, before, step_ns)?, side(what, now, step_ns)?);
    let compared = diff::compare(&before, &now, &OPTIONS).ok()?;
    let found = compared.functions.iter().find(|function| function.name == MEANT)?;
    let it = &found.own;
    if it.verdict == Verdict::Untested {
        return None;
    }
    Some(Change {
        before_percent: it.baseline_percent,
        now_percent: it.comparison_percent,
        growth_percent: it.growth_percent,
        p_value: it.p_value,
        is_more: it.verdict == Verdict::Gained,
    })
}

fn side(what: &TypeUnit, steps: &[ShareStep], step_ns: u64) -> Option<Side> {
    let mut side = Side::new(None);
    for step in steps {
        side.add(&window(what, step, step_ns)?).ok()?;
    }
    Some(side)
}

/// A profile of two functions: what is meant, and all else.
fn window(what: &TypeUnit, step: &ShareStep, step_ns: u64) -> Option<Profile> {
    let meta = Meta { start_unix_ns: step.from_unix_ns, duration_ns: step_ns, ..Meta::default() };
    let value = ValueType { kind: what.kind.clone().into(), unit: what.unit.clone().into() };
    let mut profile = Profile::new([value], meta);
    let path = profile.intern("/");
    let mapping = profile.mapping(Mapping::file(path, None));
    let process = profile.process(0, "");
    let thread = profile.thread(process, 0, "");
    for (offset, name, value) in
        [(1, MEANT, step.matched), (2, OTHERS, step.total.saturating_sub(step.matched))]
    {
        let function = profile.intern(name);
        let frame = profile.frame(Frame::native(mapping, offset).named(function));
        let stack = profile.stack([frame]);
        profile.add(stack, thread, &[value]).ok()?;
    }
    Some(profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(matched: impl Fn(u64) -> i64) -> Vec<ShareStep> {
        (0..12).map(|n| ShareStep { from_unix_ns: n * 60, matched: matched(n), total: 1_000 }).collect()
    }

    #[test]
    fn a_share_that_has_grown_is_told_from_one_that_scatters() {
        let what = TypeUnit { kind: "cpu".to_owned(), unit: "nanoseconds".to_owned() };
        let check = |before: &[ShareStep], now: &[ShareStep]| change(&what, before, now, 60);
        let scattered = |at: i64| steps(move |n| at + i64::try_from(n * 7 % 5).unwrap_or(0) * 10);
        let more = check(&scattered(100), &scattered(200)).expect("is compared");
        assert!(more.is_more && more.growth_percent.is_some_and(|it| it > 70.0), "{more:?}");
        assert!(more.p_value.is_some_and(|it| it < 0.001), "{more:?}");
        let same = check(&scattered(100), &scattered(101)).expect("is compared");
        assert!(!same.is_more, "{same:?}");
        let new = check(&steps(|_| 0), &scattered(200)).expect("is compared");
        assert!(new.is_more && new.growth_percent.is_none(), "{new:?}");
        assert_eq!(check(&[], &scattered(200)), None);
        assert_eq!(check(&scattered(100)[..3], &scattered(200)), None, "too few windows");
    }
}

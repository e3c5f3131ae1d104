//! From the shares of a function to what a rule finds in them. Pure.

use query::{Op, ShareStep, Shares, TimeRange};

use super::{
    change::change,
    finding::{Finding, LabelMap},
    link,
    rule::{Baseline, Rule, Share},
};

/// How long a step of a window is: twelve have a scatter that can be compared.
pub(super) const fn step_ns(window_ns: u64) -> u64 {
    window_ns / 12
}

/// The window, and what it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ranges {
    pub(super) now: TimeRange,
    pub(super) before: Option<TimeRange>,
}

/// Those of a rule.
pub(super) fn ranges(rule: &Rule, baseline: Option<Baseline>, now_unix_ns: u64) -> Ranges {
    const DAY_NS: u64 = 86_400_000_000_000;
    let window = |until_unix_ns: u64, n: u64| TimeRange {
        from_unix_ns: until_unix_ns.saturating_sub(rule.window_ns.saturating_mul(n)),
        until_unix_ns,
    };
    let now = window(now_unix_ns, 1);
    let before = baseline.map(|baseline| match baseline {
        Baseline::PreviousDay => window(now_unix_ns.saturating_sub(DAY_NS), 1),
        Baseline::WindowsBefore(n) => window(now.from_unix_ns, n),
    });
    Ranges { now, before }
}

/// What a function has of all; nothing without samples.
fn percent(steps: &[ShareStep]) -> Option<f64> {
    let sum = |of: fn(&ShareStep) -> i64| steps.iter().map(|step| of(step) as f64).sum::<f64>();
    let total = sum(|step| step.total);
    (total > 0.0).then(|| 100.0 * sum(|step| step.matched) / total)
}

/// Whether a function takes too much, or more than it did. The note says what could not be told.
pub(super) fn share(
    rule: &Rule,
    share: &Share,
    ranges: Ranges,
    now: &Shares,
    before: Option<&Shares>,
) -> (Option<Finding>, Option<&'static str>) {
    let Some(now_percent) = percent(&now.steps) else { return (None, None) };
    let name = name(share, now);
    let labels = share_labels(rule, share);
    let search = search(share);
    let what = share.what.to_string();
    if let Some(threshold) = share.over_percent.filter(|threshold| now_percent > *threshold) {
        let finding = Finding {
            labels,
            value: now_percent,
            unit: "percent".to_owned(),
            threshold: Some(threshold),
            sentence: format!("{name} takes {now_percent:.1} % of {}", share.what.kind),
            link: link::profile(&what, &rule.selector, &search, ranges.now),
        };
        return (Some(finding), None);
    }
    let compared = share.grown.zip(before).zip(ranges.before);
    let Some(((grown, before), range_before)) = compared else { return (None, None) };
    let Some(changed) = change(&share.what, &before.steps, &now.steps, step_ns(rule.window_ns)) else {
        return (None, Some("there are too few samples, now or in the baseline, to compare them"));
    };
    if !changed.is_more || changed.growth_percent.is_some_and(|percent| percent < grown.percent) {
        return (None, None);
    }
    let by = changed.growth_percent.map_or_else(|| "it is new".to_owned(), |by| format!("{by:.0} % more"));
    let chance = changed.p_value.map_or_else(String::new, |p| format!(", p = {p:.4}"));
    let finding = Finding {
        labels,
        value: changed.now_percent,
        unit: "percent".to_owned(),
        threshold: Some(changed.before_percent * (1.0 + grown.percent / 100.0)),
        sentence: format!(
            "{name} takes {:.1} % of {}, and took {:.1} % before: {by}{chance}",
            changed.now_percent, share.what.kind, changed.before_percent
        ),
        link: link::comparison(&what, &rule.selector, &search, [range_before, ranges.now]),
    };
    (Some(finding), None)
}

/// A function that was meant by its name, or those that an expression has found.
fn name(share: &Share, found: &Shares) -> String {
    match found.functions.as_slice() {
        [one] if found.n_functions == 1 => one.clone(),
        [first, ..] => format!("{first} (and {} more)", found.n_functions.saturating_sub(1)),
        [] => share.function.value().to_owned(),
    }
}

fn share_labels(rule: &Rule, share: &Share) -> LabelMap {
    let of_selector = rule.selector.matchers().iter().filter(|it| it.op() == Op::Is);
    let mut labels: LabelMap = of_selector.map(|it| (it.name().to_owned(), it.value().to_owned())).collect();
    labels.insert("function".to_owned(), share.function.value().to_owned());
    labels
}

/// What the page searches for: an expression, of a name or a part of one.
fn search(share: &Share) -> String {
    match share.function.op() {
        Op::Matches => format!("^(?:{})$", share.function.value()),
        _ => {
            let special = |c: char| "\\^$.|?*+()[]{}".contains(c);
            let escaped = share
                .function
                .value()
                .chars()
                .flat_map(|c| special(c).then_some('\\').into_iter().chain([c]));
            format!("^{}$", escaped.collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, watch::rules};

    const SECOND: u64 = 1_000_000_000;

    fn rule(text: &str) -> (Rule, Share) {
        let text = format!("[alerts]\nbuilt_in = false\n[[watch]]\nname = \"a\"\nkind = \"share\"\n{text}");
        let config: Config = toml::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let rule =
            rules(&config.alerts, &config.watch).unwrap_or_else(|error| panic!("{text}: {error}")).remove(0);
        let crate::watch::Kind::Share(share) = rule.kind.clone() else { panic!("{rule:?}") };
        (rule, share)
    }

    fn shares(of: TimeRange, step_ns: u64, percent: i64) -> Shares {
        let n = of.duration_ns() / step_ns;
        let step = |n: u64| ShareStep {
            from_unix_ns: of.from_unix_ns + n * step_ns,
            matched: percent * 10 + i64::try_from(n % 3).unwrap_or(0),
            total: 1_000,
        };
        let functions = vec!["pcre2_match".to_owned()];
        Shares { unit: String::new(), steps: (0..n).map(step).collect(), functions, n_functions: 1 }
    }

    fn check(text: &str, now_percent: i64, before_percent: i64) -> (Option<Finding>, Option<&'static str>) {
        let (rule, of) = rule(text);
        let ranges = ranges(&rule, of.grown.map(|it| it.baseline), 1_000_000 * SECOND);
        let step_ns = step_ns(rule.window_ns);
        let now = shares(ranges.now, step_ns, now_percent);
        let before = ranges.before.map(|range| shares(range, step_ns, before_percent));
        share(&rule, &of, ranges, &now, before.as_ref())
    }

    #[test]
    fn a_share_over_a_limit_is_found_with_a_link_that_shows_it() {
        let text =
            "function_regex = \"pcre2_.*\"\nover_percent = 10\nmatch = '{service=\"edge\",host=~\"a.*\"}'";
        let (found, note) = check(text, 12, 0);
        let found = found.expect("is over");
        assert_eq!((found.value.round(), found.threshold, note), (12.0, Some(10.0), None));
        assert_eq!(found.labels["service"], "edge");
        assert!(!found.labels.contains_key("host"), "{found:?}");
        assert!(found.sentence.starts_with("pcre2_match takes 12.1 % of cpu"), "{found:?}");
        assert!(
            found.link.contains("type=cpu%3Ananoseconds") && found.link.contains("from=999100000"),
            "{found:?}"
        );
        assert_eq!(check(text, 9, 0), (None, None));
    }

    #[test]
    fn a_share_that_grew_is_found_and_one_that_did_not_grow_enough_is_not() {
        for baseline in ["\"previous_day\"", "\"windows_before\"\nn_windows = 2"] {
            let text = format!("function = \"f\"\nbaseline = {baseline}\ngrown_percent = 50");
            let (found, _) = check(&text, 20, 10);
            let found = found.unwrap_or_else(|| panic!("{baseline}"));
            assert!(
                found.sentence.contains("took 10.1 % before") && found.sentence.contains("more, p = 0.0"),
                "{found:?}"
            );
            assert!(found.link.contains("tab=compare") && found.link.contains("base_a="), "{found:?}");
            assert_eq!(check(&text, 12, 10).0, None, "{baseline}");
            assert_eq!(check(&text, 5, 10).0, None, "{baseline}");
        }
        let (rule, of) = rule("function = \"f\"\nbaseline = \"previous_day\"");
        let ranges = ranges(&rule, Some(Baseline::PreviousDay), 1_000_000 * SECOND);
        let now = shares(ranges.now, step_ns(rule.window_ns), 10);
        let (found, note) = share(&rule, &of, ranges, &now, Some(&Shares::default()));
        assert!(found.is_none() && note.is_some_and(|it| it.contains("too few")), "{note:?}");
    }

    #[test]
    fn a_name_is_searched_for_as_it_stands() {
        let (_, share) = rule("function = \"operator new[](size_t)\"\nover_percent = 1");
        assert_eq!(search(&share), "^operator new\\[\\]\\(size_t\\)$");
    }
}

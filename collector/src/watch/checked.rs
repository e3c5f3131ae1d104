//! From the configuration to rules, and the rules that hold without one. Pure.

use std::collections::BTreeSet;

use query::{Matcher, Op, Selector, TypeUnit};

use super::{
    rule::{Baseline, Grown, Growth, Kind, Limit, Rule, Share},
    settings::{AlertSettings, BaselineName, KindName, WatchSection},
};
use crate::{config::ConfigError, receive::tenant_name};

const MAX_RULES: usize = 100;
const MAX_NAME_BYTES: usize = 64;
/// What is kept by default is kept for thirty days; more than a week makes a question that nobody waits for.
const MAX_WINDOW_SECONDS: u64 = 7 * 86_400;
const MAX_BASELINE_WINDOWS: u64 = 48;
/// Shorter windows have no samples in most of their steps.
const MIN_SHARE_WINDOW_SECONDS: u64 = 60;

const LEAK_WINDOW_SECONDS: u64 = 6 * 3_600;
const SHARE_WINDOW_SECONDS: u64 = 900;
const LOST_WINDOW_SECONDS: u64 = 900;
const FOR_SECONDS: u64 = 300;
/// A cache that fills looks like a leak for as long as that lasts.
const LEAK_FOR_SECONDS: u64 = 900;
const LOST_PERCENT: f64 = 5.0;

/// All rules: those of the configuration, and those without one that none of these is called like.
///
/// # Errors
/// The first that is wrong.
pub fn rules(settings: &AlertSettings, sections: &[WatchSection]) -> Result<Vec<Rule>, ConfigError> {
    let of = |key: &str, wrong: String| ConfigError::Value { key: key.to_owned(), wrong };
    if sections.len() > MAX_RULES {
        return Err(of("watch", format!("has more than {MAX_RULES} rules")));
    }
    if settings.every_seconds == 0 || settings.timeout_seconds == 0 {
        return Err(of("alerts", "has a time of 0 seconds: a second is the least".to_owned()));
    }
    let is_url = |url: &str| ["http://", "https://"].iter().any(|start| url.starts_with(start));
    if settings.page_url.as_deref().is_some_and(|url| !is_url(url)) {
        return Err(of("alerts.page_url", "is not https://HOST".to_owned()));
    }
    let mut names = BTreeSet::new();
    for section in sections {
        if !names.insert(section.name.as_str()) {
            return Err(wrong(&section.name, "", "is the name of two rules".to_owned()));
        }
    }
    let built_in = if settings.built_in { built_in() } else { Vec::new() };
    let others = built_in.into_iter().filter(|section| !names.contains(section.name.as_str()));
    let all: Vec<WatchSection> = sections.iter().cloned().chain(others).collect();
    all.into_iter().map(|section| rule(&section)).collect()
}

/// Rules that make sense for everybody.
fn built_in() -> Vec<WatchSection> {
    let leak = |name, metric: &str, selector: &str| WatchSection {
        metric: Some(metric.to_owned()),
        selector: selector.to_owned(),
        ..section(name, KindName::Leak)
    };
    vec![
        // What the agent sums up for each group of processes; of its fields the one that leaks show in.
        leak("memory_leak", "brazier.memory.usage", "{field=\"anonymous_and_swap\"}"),
        leak("process_memory_leak", "process.memory.usage", ""),
        section("lost_samples", KindName::Lost),
    ]
}

fn section(name: &str, kind: KindName) -> WatchSection {
    WatchSection {
        name: name.to_owned(),
        kind,
        tenant: None,
        selector: String::new(),
        window_seconds: None,
        for_seconds: None,
        severity: None,
        metric: None,
        limit: None,
        limit_metric: None,
        within_seconds: None,
        over_percent: None,
        value_type: None,
        function: None,
        function_regex: None,
        only_self: None,
        baseline: None,
        n_windows: None,
        grown_percent: None,
    }
}

fn wrong(name: &str, key: &str, wrong: String) -> ConfigError {
    let dot = if key.is_empty() { "" } else { "." };
    ConfigError::Value { key: format!("watch {name:?}{dot}{key}"), wrong }
}

fn rule(it: &WatchSection) -> Result<Rule, ConfigError> {
    let wrong = |key: &str, what: &str| wrong(&it.name, key, what.to_owned());
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ['_', '-', '.'].contains(&c);
    if it.name.is_empty() || it.name.len() > MAX_NAME_BYTES || !it.name.chars().all(is_plain) {
        return Err(wrong("name", "is not 1 to 64 letters, digits, `_`, `-`, `.`"));
    }
    if let Some(tenant) = &it.tenant {
        tenant_name(tenant).map_err(|refusal| wrong("tenant", &format!("is none: {}", refusal.what)))?;
    }
    for (key, is_there, kinds) in keys(it) {
        if is_there && !kinds.contains(&it.kind) {
            return Err(wrong(key, &format!("says nothing for a rule of kind {:?}", it.kind.name())));
        }
    }
    let percents = [("over_percent", it.over_percent), ("grown_percent", it.grown_percent)];
    for (key, percent) in percents {
        if percent.is_some_and(|percent| !percent.is_finite() || percent < 0.0) {
            return Err(wrong(key, "is no number from 0 on"));
        }
    }
    let selector =
        Selector::parse(&it.selector).map_err(|error| wrong("match", &format!("is none: {error}")))?;
    let (window_seconds, for_seconds) = match it.kind {
        KindName::Leak | KindName::Growth => (LEAK_WINDOW_SECONDS, LEAK_FOR_SECONDS),
        KindName::Share => (SHARE_WINDOW_SECONDS, FOR_SECONDS),
        KindName::Lost => (LOST_WINDOW_SECONDS, FOR_SECONDS),
    };
    let window_seconds = it.window_seconds.unwrap_or(window_seconds);
    let least = if it.kind == KindName::Share { MIN_SHARE_WINDOW_SECONDS } else { 1 };
    if !(least..=MAX_WINDOW_SECONDS).contains(&window_seconds) {
        let what = format!("is not {least} seconds to seven days ({MAX_WINDOW_SECONDS})");
        return Err(wrong("window_seconds", &what));
    }
    let kind = match it.kind {
        KindName::Leak => Kind::Leak { metric: metric(it)? },
        KindName::Growth => Kind::Growth(growth(it)?),
        KindName::Share => Kind::Share(share(it)?),
        KindName::Lost => Kind::Lost { over_percent: it.over_percent.unwrap_or(LOST_PERCENT) },
    };
    Ok(Rule {
        name: it.name.clone(),
        tenant: it.tenant.clone(),
        selector,
        window_ns: window_seconds.saturating_mul(1_000_000_000),
        for_ns: it.for_seconds.unwrap_or(for_seconds).saturating_mul(1_000_000_000),
        severity: it.severity.clone().unwrap_or_else(|| "warning".to_owned()),
        kind,
    })
}

/// Keys that only some kinds have, whether they are there, and which kinds.
fn keys(it: &WatchSection) -> [(&'static str, bool, &'static [KindName]); 12] {
    use KindName::{Growth, Leak, Lost, Share};
    [
        ("metric", it.metric.is_some(), &[Leak, Growth]),
        ("limit", it.limit.is_some(), &[Growth]),
        ("limit_metric", it.limit_metric.is_some(), &[Growth]),
        ("within_seconds", it.within_seconds.is_some(), &[Growth]),
        ("over_percent", it.over_percent.is_some(), &[Growth, Share, Lost]),
        ("type", it.value_type.is_some(), &[Share]),
        ("function", it.function.is_some(), &[Share]),
        ("function_regex", it.function_regex.is_some(), &[Share]),
        ("only_self", it.only_self.is_some(), &[Share]),
        ("baseline", it.baseline.is_some(), &[Share]),
        ("n_windows", it.n_windows.is_some(), &[Share]),
        ("grown_percent", it.grown_percent.is_some(), &[Share]),
    ]
}

fn metric(it: &WatchSection) -> Result<String, ConfigError> {
    let missing = || wrong(&it.name, "metric", "is missing: see /api/v1/metrics/names".to_owned());
    it.metric.clone().filter(|name| !name.is_empty()).ok_or_else(missing)
}

fn growth(it: &WatchSection) -> Result<Growth, ConfigError> {
    let wrong = |key: &str, what: &str| wrong(&it.name, key, what.to_owned());
    let limit = match (it.limit, &it.limit_metric) {
        (Some(limit), None) if limit.is_finite() && limit > 0.0 => Limit::Value(limit),
        (Some(_), None) => return Err(wrong("limit", "is no number above 0")),
        (None, Some(metric)) => Limit::Metric(metric.clone()),
        _ => return Err(wrong("limit", "or limit_metric has to be there, one of both")),
    };
    if it.within_seconds.is_none() && it.over_percent.is_none() {
        return Err(wrong("within_seconds", "or over_percent has to be there"));
    }
    let (within_seconds, over_percent) = (it.within_seconds, it.over_percent);
    Ok(Growth { metric: metric(it)?, limit, within_seconds, over_percent })
}

fn share(it: &WatchSection) -> Result<Share, ConfigError> {
    let wrong = |key: &str, what: &str| wrong(&it.name, key, what.to_owned());
    let what = TypeUnit::parse(it.value_type.as_deref().unwrap_or("cpu:nanoseconds"))
        .map_err(|error| wrong("type", &error.to_string()))?;
    let (key, function) = match (&it.function, &it.function_regex) {
        (Some(name), None) => ("function", Matcher::new("function", Op::Is, name)),
        (None, Some(regex)) => ("function_regex", Matcher::new("function", Op::Matches, regex)),
        _ => return Err(wrong("function", "or function_regex has to be there, one of both")),
    };
    let function = function.map_err(|what| wrong(key, &what))?;
    let baseline = match (it.baseline, it.n_windows) {
        (None, None) => None,
        (Some(BaselineName::PreviousDay), None) => Some(Baseline::PreviousDay),
        (Some(BaselineName::WindowsBefore), n) => {
            let n = n.unwrap_or(4);
            if !(1..=MAX_BASELINE_WINDOWS).contains(&n) {
                return Err(wrong("n_windows", &format!("is not 1 to {MAX_BASELINE_WINDOWS}")));
            }
            Some(Baseline::WindowsBefore(n))
        }
        _ => return Err(wrong("n_windows", "goes with baseline = \"windows_before\"")),
    };
    let grown = match (baseline, it.grown_percent) {
        (None, None) => None,
        (None, Some(_)) => return Err(wrong("grown_percent", "needs a baseline")),
        (Some(baseline), percent) => Some(Grown { baseline, percent: percent.unwrap_or(20.0) }),
    };
    if it.over_percent.is_none() && grown.is_none() {
        return Err(wrong("over_percent", "or baseline has to be there"));
    }
    let only_self = it.only_self.unwrap_or(false);
    Ok(Share { what, function, only_self, over_percent: it.over_percent, grown })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn check(text: &str) -> Result<Vec<Rule>, String> {
        let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
        rules(&config.alerts, &config.watch).map_err(|error| error.to_string())
    }

    fn names(text: &str) -> Vec<String> {
        let found = check(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        found.into_iter().map(|rule| format!("{} {}", rule.name, rule.kind.name())).collect()
    }

    #[test]
    fn without_a_configuration_leaks_and_lost_samples_are_watched() {
        let built_in = ["memory_leak leak", "process_memory_leak leak", "lost_samples lost"];
        assert_eq!(names(""), built_in);
        assert_eq!(names("[alerts]\nbuilt_in = false"), Vec::<String>::new());
        let text = "[[watch]]\nname = \"memory_leak\"\nkind = \"lost\"";
        assert_eq!(
            names(text),
            ["memory_leak lost", built_in[1], built_in[2]],
            "a name that is taken is taken"
        );
    }

    #[test]
    fn all_keys_of_a_kind_are_taken() {
        let text = r#"
            [alerts]
            built_in = false
            [[watch]]
            name = "edge-leaks"
            kind = "leak"
            metric = "process.memory.usage"
            match = '{service="edge"}'
            window_seconds = 7200
            for_seconds = 0
            severity = "page"
            tenant = "a"
            [[watch]]
            name = "room"
            kind = "growth"
            metric = "a"
            limit_metric = "b"
            within_seconds = 3600
            over_percent = 90
            [[watch]]
            name = "regex.time"
            kind = "share"
            type = "cpu:nanoseconds"
            function_regex = "pcre2_.*"
            only_self = true
            over_percent = 10.5
            baseline = "windows_before"
            n_windows = 8
            grown_percent = 50
            [[watch]]
            name = "lost_samples"
            kind = "lost"
            over_percent = 1
        "#;
        let found = check(text).expect("is right");
        assert_eq!(found.len(), 4);
        assert_eq!((found[0].for_ns, found[0].window_ns), (0, 7_200_000_000_000));
        let Kind::Share(share) = &found[2].kind else { panic!("{:?}", found[2]) };
        assert_eq!(share.grown, Some(Grown { baseline: Baseline::WindowsBefore(8), percent: 50.0 }));
        assert!(share.function.is_met("pcre2_match") && !share.function.is_met("a_pcre2_match"));
    }

    #[test]
    fn what_makes_no_sense_is_said_by_its_name() {
        let of = |rest: &str| format!("[[watch]]\nname = \"a\"\n{rest}");
        let share = "kind = \"share\"\nfunction = \"f\"\n";
        for (text, said) in [
            ("[[watch]]\nname = \"a b\"\nkind = \"lost\"".to_owned(), "watch \"a b\".name"),
            (of("kind = \"lost\"\nlost = 1"), "unknown field"),
            (of("kind = \"loss\""), "unknown variant"),
            (of("kind = \"leak\""), "watch \"a\".metric is missing"),
            (
                of("kind = \"leak\"\nmetric = \"m\"\nover_percent = 1"),
                "says nothing for a rule of kind \"leak\"",
            ),
            (of("kind = \"lost\"\nmatch = \"{\""), "watch \"a\".match is none"),
            (of("kind = \"lost\"\nover_percent = nan"), "watch \"a\".over_percent"),
            (of("kind = \"lost\"\nwindow_seconds = 0"), "watch \"a\".window_seconds"),
            (of("kind = \"lost\"\ntenant = \"a/b\""), "watch \"a\".tenant"),
            (of("kind = \"growth\"\nmetric = \"m\"\nlimit = 5"), "within_seconds or over_percent"),
            (of("kind = \"growth\"\nmetric = \"m\"\nover_percent = 5"), "limit or limit_metric"),
            (of("kind = \"growth\"\nmetric = \"m\"\nlimit = 0\nover_percent = 5"), "limit is no number"),
            (of("kind = \"share\"\nover_percent = 5"), "function or function_regex"),
            (of("kind = \"share\"\nfunction_regex = \"(\"\nover_percent = 5"), "function_regex"),
            (of(share), "over_percent or baseline"),
            (of(&format!("{share}grown_percent = 5")), "needs a baseline"),
            (of(&format!("{share}baseline = \"previous_day\"\nn_windows = 5")), "n_windows goes with"),
            (of(&format!("{share}over_percent = 1\ntype = \"cpu\"")), "watch \"a\".type"),
            (format!("{}{}", of("kind = \"lost\"\n"), of("kind = \"lost\"")), "two rules"),
            ("[alerts]\nevery_seconds = 0".to_owned(), "0 seconds"),
            ("[alerts]\npage_url = \"javascript:x\"".to_owned(), "alerts.page_url"),
        ] {
            let error = check(&text).expect_err(&text);
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}

//! Any bytes as the configuration of the daemon, and as what the kernel says of the control groups of a process.

use std::path::Path;

use agent::{
    config::{Config, MAX_LABEL_BYTES, MAX_LABELS, MAX_SINKS, MAX_TARGETS, summary},
    select::{Facts, Group, Selector, Users},
};
use profile::Labels;

/// Told at once, with one for those that are not told.
const MAX_PROBLEMS: usize = 101;
const MAX_PROBLEM_BYTES: usize = 4096;
const ID_CHARS: usize = 64;

pub(crate) fn body(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let group = group(bytes);
    let n_lines = text.split('\n').count();
    let problems = match Config::parse(&text, Path::new("agent.toml")) {
        Ok(config) => {
            holds(&config, group);
            config.warnings
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            problems
        }
    };
    assert!(problems.len() <= MAX_PROBLEMS, "{} problems", problems.len());
    for problem in problems {
        let said = problem.to_string();
        assert!(!said.contains(char::is_control) && said.len() <= MAX_PROBLEM_BYTES, "{said:?}");
        assert!(
            problem.place.is_none_or(|place| (1..=n_lines).contains(&place.line) && place.column > 0),
            "{said}"
        );
    }
}

/// A configuration that was taken is within all limits, and processes can be judged by it.
fn holds(config: &Config, group: Group) {
    let are_bounded = |labels: &Labels| {
        let is_short = |(name, value): (&str, &str)| name.len().max(value.len()) <= MAX_LABEL_BYTES;
        labels.iter().count() <= MAX_LABELS && labels.iter().all(is_short)
    };
    assert!(
        config.targets.len() <= MAX_TARGETS && (1..=MAX_SINKS).contains(&config.sinks.len()),
        "{config:?}"
    );
    assert!(
        are_bounded(&config.labels) && config.targets.iter().all(|it| are_bounded(&it.labels)),
        "{config:?}"
    );
    assert!(config.all || !config.targets.is_empty(), "{config:?}");
    assert!(config.targets.iter().all(|target| !target.conditions.are_none()), "{config:?}");
    assert!(!summary(config).is_empty());
    let Ok(selector) = Selector::new(config, "host", &Users::default()) else {
        unreachable!("a small configuration is too large")
    };
    let facts = Facts::known(Some(Path::new("/usr/sbin/nginx")), "nginx: master process", group, 33);
    let judged = selector.judge_by(&facts);
    assert!(judged.is_some() || !config.all, "{config:?}");
    if let Some(judged) = judged {
        assert!(judged.labels.get("service.name").is_some_and(|name| !name.is_empty()), "{judged:?}");
        assert_eq!(selector.judge_by(&facts).map(|again| again.labels), Some(judged.labels));
    }
}

fn group(bytes: &[u8]) -> Group {
    let group = Group::of_file(bytes);
    let Group { path, unit, container, pod } = &group;
    assert!(path.starts_with('/'), "{group:?}");
    let is_id = |id: &String| id.len() == ID_CHARS && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(container.as_ref().is_none_or(is_id), "{group:?}");
    let is_unit = |unit: &String| unit.len() <= 255 && unit.bytes().all(|byte| byte.is_ascii_graphic());
    assert!(unit.as_ref().is_none_or(is_unit), "{group:?}");
    assert!(pod.as_ref().is_none_or(|pod| matches!(pod.len(), 32 | 36)), "{group:?}");
    group
}

/// Files that say something, and those that say too much.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let texts = [
        ("example", include_str!("../../../docs/agent.toml")),
        ("least", "all=true\n[sink.a]\nkind='directory'\ndir='/a'\n"),
        ("empty", ""),
        ("target", "[[target]]\nexe='/usr/sbin/*'\ncmdline='nginx'\n[sink.a]\nkind='directory'\ndir='/a'\n"),
        (
            "unit",
            "[[target]]\nunit='nginx*.service'\nuser='33'\n[sink.a]\nkind='otlp-http'\naddress='http://a'\n",
        ),
        (
            "group",
            "[[target]]\ncgroup='/a/{b,c}/[x-y]*'\ncontainer='abcd'\n[sink.a]\nkind='pyroscope'\naddress='http://a'\n",
        ),
        ("same", "[[target]]\nexe='/a'\n[[target]]\nexe='/a'\nname='b'\nlabels={a='b'}\n"),
        ("deep", "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a=1\n"),
        ("nested", "a=[[[[[[[[[[[[[[[[[[[[{a={a={a=[{}]}}}]]]]]]]]]]]]]]]]]]]]\n"),
        ("regex", "[[target]]\ncmdline='(?i)(\\w{9}|[^\\s]+){9}$'\n"),
        ("glob", "[[target]]\nexe='/**/{a,{b,[!c]?}}*/\\*'\n"),
        ("cut", "window = \"10\n[sink"),
        ("version_2", "0::/system.slice/nginx.service\n"),
        (
            "version_1",
            "12:memory:/docker/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n1:name=systemd:/\n0::/\n",
        ),
        (
            "pod",
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod01234567_89ab_cdef_0123_456789abcdef.slice/cri-containerd-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope\n",
        ),
        ("escaped", "0::/user.slice/_a\\x2db@c.service/session-1.scope (deleted)\n"),
    ];
    texts.into_iter().map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).collect()
}

//! Which rule a process matches, and what it is called then.

use std::{collections::HashSet, path::Path, process::Command, time::Instant};

use super::*;

const ID: &str = "2d3f5a7b9c1e4f608a2b4c6d8e0f1a3b5c7d9e1f2a4b6c8d0e2f4a6b8c0d1e3f";
const SINK: &str = "\n[sink.a]\nkind = 'directory'\ndir = '/tmp/a'\n";

fn selector(text: &str) -> Selector {
    let config = Config::parse(&format!("{text}{SINK}"), Path::new("agent.toml")).expect(text);
    let users = Users::parse("www-data:x:33:33:");
    Selector::new(&config, "edge-1", &users).expect("compiles")
}

fn process(exe: &str, cmdline: &str, group: &str, uid: u32) -> Facts {
    Facts::known((!exe.is_empty()).then_some(Path::new(exe)), cmdline, Group::of_path(group), uid)
}

fn nginx() -> Facts {
    process("/usr/sbin/nginx", "nginx: worker process", "/system.slice/nginx.service", 33)
}

fn said(judged: Option<Judged>) -> String {
    let Some(Judged { labels, events, rule }) = judged else { return "no target".to_owned() };
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{rule:?} {} {events:?}", labels.join(" "))
}

#[test]
fn each_condition_is_held_against_what_it_is_about() {
    let container = process("/app", "/app --port 80", &format!("/docker/{ID}"), 0);
    let kernel = process("", "", "/", 0);
    // Condition, whether nginx matches, whether the container does, whether a thread of the kernel does.
    let cases = [
        ("exe = '/usr/sbin/nginx'", [true, false, false]),
        ("exe = '/usr/*/nginx'", [true, false, false]),
        ("exe = '/*'", [false, true, false]),
        ("exe = '/**'", [true, true, false]),
        ("exe = '**/{nginx,haproxy}'", [true, false, false]),
        ("exe = '/usr/sbin/ngin'", [false, false, false]),
        ("cmdline = '^nginx: worker'", [true, false, false]),
        ("cmdline = 'port \\d+$'", [false, true, false]),
        ("cmdline = '^$'", [false, false, true]),
        ("cgroup = '/system.slice'", [true, false, false]),
        ("cgroup = '/sys/fs/cgroup/system.slice/nginx.service'", [true, false, false]),
        ("cgroup = '/system.slice/n*'", [true, false, false]),
        ("cgroup = '/system'", [false, false, false]),
        ("cgroup = '/docker'", [false, true, false]),
        ("unit = 'nginx.service'", [true, false, false]),
        ("unit = '*.service'", [true, false, false]),
        ("container = '2d3f'", [false, true, false]),
        ("container = '2d30'", [false, false, false]),
        ("user = 'www-data'", [true, false, false]),
        ("user = '33'", [true, false, false]),
        ("user = '0'", [false, true, true]),
        ("user = 'nobody-here'", [false, false, false]),
        ("user = '33'\nexe = '/usr/sbin/nginx'\nunit = 'nginx.*'\ncmdline = 'worker'", [true, false, false]),
        ("user = '33'\nexe = '/usr/sbin/nginx'\nunit = 'haproxy.*'", [false, false, false]),
    ];
    for (condition, expected) in cases {
        let selector = selector(&format!("[[target]]\n{condition}"));
        let seen = [&nginx(), &container, &kernel].map(|facts| selector.judge_by(facts).is_some());
        assert_eq!(seen, expected, "{condition}");
    }
}

#[test]
fn the_first_rule_that_matches_gives_name_events_and_labels() {
    let selector = selector(
        "[labels]\nenv = 'prod'\nteam = 'all'\n\
        [[target]]\nunit = 'haproxy.service'\n\
        [[target]]\ncmdline = 'worker'\nname = 'workers'\nevents = ['alloc']\nlabels = { team = 'edge' }\n\
        [[target]]\nexe = '/usr/sbin/nginx'\nname = 'late'\n",
    );
    assert_eq!(
        said(selector.judge_by(&nginx())),
        "Some(1) host.name=edge-1 service.name=workers process.executable.name=nginx \
        systemd.unit=nginx.service team=edge env=prod {Alloc}"
    );
    let master = process("/usr/sbin/nginx", "nginx: master process", "/system.slice/nginx.service", 0);
    assert_eq!(
        said(selector.judge_by(&master)),
        "Some(2) host.name=edge-1 service.name=late process.executable.name=nginx \
        systemd.unit=nginx.service env=prod team=all {}"
    );
    assert_eq!(said(selector.judge_by(&process("/bin/sh", "sh", "/", 0))), "no target");
    assert_eq!(selector.figures().n_judged, 3);
    assert_eq!(selector.figures().n_targets, 2);
}

#[test]
fn who_has_no_name_is_called_by_what_it_was_chosen_by() {
    let pod = "0f3a1b2c-4d5e-6f70-8192-a3b4c5d6e7f8";
    let in_pod = format!("/kubepods/pod{pod}/{ID}");
    let cases = [
        ("all = true", process("/usr/sbin/nginx", "nginx", "/system.slice/my\\x2dapp.service", 0), "my-app"),
        ("all = true", process("/bin/vim", "vim", "/user.slice/session-1.scope", 0), "vim"),
        ("all = true", process("/app/server", "server", &in_pod, 0), "2d3f5a7b9c1e"),
        ("all = true", process("/bin/a\u{1b}b", "", "/", 0), "a\u{fffd}b"),
        ("all = true", process("", "", "/", 0), "kernel"),
        ("all = true", process("", "x", "/", 0), "unknown"),
        ("[[target]]\nexe = '/app/*'", process("/app/server", "server", &in_pod, 0), "server"),
        ("[[target]]\nunit = '*.scope'", process("/bin/vim", "vim", "/session-1.scope", 0), "session-1"),
        ("[[target]]\ncontainer = '2d3f'", process("/app/server", "server", &in_pod, 0), "2d3f5a7b9c1e"),
        ("[[target]]\nuser = '7'", process("/bin/vim", "vim", "/", 7), "vim"),
    ];
    for (config, facts, expected) in cases {
        let judged = selector(config).judge_by(&facts).expect(config);
        assert_eq!(judged.labels.get("service.name"), Some(expected), "{config}: {judged:?}");
        if facts.group().is_some_and(|group| group.pod.is_some()) {
            assert_eq!(judged.labels.get("k8s.pod.uid"), Some(pod), "{judged:?}");
            assert_eq!(judged.labels.get("container.id"), Some(ID), "{judged:?}");
        }
    }
}

#[test]
fn with_all_a_rule_only_adds_to_what_is_measured_anyway() {
    let selector = selector("all = true\n[[target]]\nexe = '/usr/sbin/nginx'\nevents = ['alloc']\n");
    let [with, without] = [nginx(), process("/bin/sh", "sh", "/", 0)].map(|facts| selector.judge_by(&facts));
    assert!(with.as_ref().is_some_and(|it| it.rule == Some(0) && !it.events.is_empty()), "{with:?}");
    assert!(without.as_ref().is_some_and(|it| it.rule.is_none() && it.events.is_empty()), "{without:?}");
}

#[test]
fn a_live_process_is_judged_and_one_that_is_gone_is_not() {
    let mut sleep = Command::new("sleep").arg("60").spawn().expect("starts");
    let selector = selector("[[target]]\nexe = '**/sleep'\n[[target]]\ncmdline = '^sleep 60$'\n");
    // What was forked is this test until it has executed something.
    let began = Instant::now();
    let mut judged = None;
    while judged.is_none() && began.elapsed().as_secs() < 10 {
        judged = selector.judge(sleep.id());
    }
    sleep.kill().expect("ends");
    sleep.wait().expect("has ended");
    // Some systems have all such programs in one file.
    assert!(judged.is_some(), "{judged:?}");
    assert_eq!(selector.judge(sleep.id()), None);
    let everything = self::selector("all = true");
    assert_eq!(everything.judge(sleep.id()), None);
    assert_eq!(everything.figures().n_gone, 1);
    assert!(everything.judge(std::process::id()).is_some());
}

#[test]
fn ten_thousand_processes_in_five_thousand_groups_share_their_labels_and_leave_nothing_behind() {
    let selector = selector("all = true\n");
    let judge = |round: usize, n: usize| {
        let group = format!("/round-{round}/group-{}.service", n % 5000);
        selector.judge_by(&process("/usr/sbin/nginx", "nginx", &group, 0)).expect("all are").labels
    };
    for round in 0..5 {
        let labels: Vec<_> = (0..10_000).map(|n| judge(round, n)).collect();
        let distinct: HashSet<_> = labels.iter().map(Arc::as_ptr).collect();
        assert_eq!(distinct.len(), 5000, "round {round}");
        assert_eq!(selector.figures().n_labels, 5000, "round {round}");
    }
    // Processes that come and go, each in a group of its own, for months.
    for n in 0..100_000 {
        let group = format!("/run-{n}.service");
        drop(selector.judge_by(&process("/bin/true", "true", &group, 0)));
        let n_labels = selector.figures().n_labels;
        assert!(n_labels <= 10_001, "{n_labels} sets of labels after {n} processes");
    }
    assert_eq!(selector.figures().n_labels_unshared, 0);
}

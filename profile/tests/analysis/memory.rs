//! Memory: a leak is said to be one only if it was watched for long enough, and with who takes it.

use std::collections::BTreeMap;

use profile::{
    Meta, Profile, ValueType,
    analysis::{self, Analysis, Evidence, Group},
    memory::{End, LimitReport, MemoryOverhead, MemoryReport, Series},
    trend::{History, Point, judge},
};

use crate::{frame, text};

const MIB: u64 = 1 << 20;

/// Memory that grows by so much in a second, for so many seconds.
fn report(grows_by: u64, seconds: u64) -> MemoryReport {
    let mut history = History::new(1024);
    for tenth in 0..seconds * 10 {
        history.push(tenth * 100_000_000, 64 * MIB + grows_by * tenth / 10);
    }
    let points: Vec<Point> = history.points();
    let tree: BTreeMap<&'static str, Series> =
        Series::of(&history).map(|series| ("anonymous_and_swap", series)).into_iter().collect();
    MemoryReport {
        host: String::new(),
        command: String::new(),
        start_unix_ns: 0,
        duration_ns: seconds * 1_000_000_000,
        interval_ns: 100_000_000,
        n_readings: seconds * 10,
        n_readings_missed: 0,
        end: End::Elapsed,
        verdict: judge(&points, Some(4096 * MIB)),
        began_with_growth: Vec::new(),
        growth: None,
        limit: Some(LimitReport {
            source: "memory of the host".to_owned(),
            limit_bytes: 4096 * MIB,
            used_bytes: 1024 * MIB,
            used_percent: 25.0,
            time_to_limit_s: (grows_by > 0).then(|| (3072 * MIB / grows_by.max(1)) as f64),
        }),
        control_group: None,
        tree,
        processes: Vec::new(),
        n_processes_left_out: 0,
        history: points,
        n_readings_per_point: 1,
        profile: None,
        snapshots: Vec::new(),
        overhead: MemoryOverhead::default(),
        comments: Vec::new(),
    }
}

fn analysis(process: &str, report: &MemoryReport) -> Analysis {
    let types = [ValueType::fixed("samples", "count"), ValueType::fixed("rss_growth_anonymous", "bytes")];
    let mut growth = Profile::new(types, Meta::default());
    let thread = growth.process(4711, process);
    let thread = growth.thread(thread, 4711, process);
    for (parts, bytes) in [
        (["proxy:main", "proxy:keep_session", "libc.so.6:malloc"], 90),
        (["proxy:main", "proxy:grow_buffer", "libc.so.6:malloc"], 10),
    ] {
        let frames = parts.map(|part| frame(&mut growth, part));
        let stack = growth.stack(frames);
        growth.add(stack, thread, &[1, bytes]).expect("has two values");
    }
    analysis::analyze(&Evidence::default().with_memory(Some(&growth), Some(report)))
}

#[test]
fn a_leak_is_named_with_who_takes_it_and_when_the_limit_is_reached() {
    let seen = analysis("proxy", &report(MIB, 30));
    let [first] = seen.bottlenecks.as_slice() else { panic!("{}", text(&seen)) };
    assert_eq!((first.what.as_str(), first.group), ("memory leaks", Group::Memory), "{first:#?}");
    assert!(first.evidence.contains("90 % of what was taken, by keep_session"), "{first:#?}");
    assert!(first.weight_percent > 90.0, "51 minutes are left of a day: {first:#?}");
    let [advice] = seen.advice.as_slice() else { panic!("{}", text(&seen)) };
    assert!(advice.change.contains("keep_session"), "{advice:#?}");
    assert!(advice.evidence.iter().any(|it| it.contains("is reached in 51 min")), "{advice:#?}");
    assert!(text(&seen).contains("looks like a leak"), "{}", text(&seen));
}

#[test]
fn growth_that_was_not_watched_for_long_enough_is_a_note_and_no_advice() {
    for (process, seconds) in [("proxy", 10), ("node", 60)] {
        let seen = analysis(process, &report(MIB, seconds));
        assert!(seen.advice.is_empty() && seen.bottlenecks.is_empty(), "{process}: {}", text(&seen));
        assert!(seen.notes.iter().any(|note| note.contains("whether that is a leak")), "{:?}", seen.notes);
    }
    let seen = analysis("proxy", &report(0, 60));
    assert!(seen.advice.is_empty() && seen.notes.is_empty(), "{}", text(&seen));
    assert!(text(&seen).contains("stable"), "{}", text(&seen));
}

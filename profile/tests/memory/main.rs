//! Reports on memory and comparisons of snapshots, against files. `BLESS=1` writes the files anew.

use std::{collections::BTreeMap, env, error::Error, fs, path::Path};

use profile::{
    TextStyle,
    encode::{memory_metrics, otlp_metrics::Number},
    growth::{Course, GrownStack, GrowthReport, TopFrame},
    memory::{
        Began, Comparison, ControlGroupReport, End, Field, LimitReport, MappingClass, MappingUse,
        MemoryOverhead, MemoryReport, MemoryUse, ProcessReport, SNAPSHOT_VERSION, Series, Snapshot,
        SnapshotProcess, time_to_limit_s, write_comparison, write_memory_report,
    },
    trend::{History, judge},
};

type Outcome = Result<(), Box<dyn Error>>;

const MIB: u64 = 1 << 20;
const SECOND_NS: u64 = 1_000_000_000;

fn check(golden: &str, written: &str) -> Outcome {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/memory").join(golden);
    if env::var_os("BLESS").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        fs::write(&path, written)?;
    }
    let expected = fs::read_to_string(&path).map_err(|error| format!("read {}: {error}", path.display()))?;
    assert!(written == expected, "{golden} differs; now it is:\n{written}\nand it was:\n{expected}");
    Ok(())
}

fn history(bytes: impl Fn(u64) -> u64) -> History {
    let mut history = History::new(16);
    (0..60).for_each(|second| history.push(second * SECOND_NS, bytes(second)));
    history
}

fn usage(anonymous_mib: u64) -> MemoryUse {
    MemoryUse {
        resident_bytes: (anonymous_mib + 12) * MIB,
        anonymous_bytes: anonymous_mib * MIB,
        file_bytes: 8 * MIB,
        shared_bytes: 4 * MIB,
        swap_bytes: 0,
        page_table_bytes: anonymous_mib * 4096,
        hugetlb_bytes: 0,
        proportional_bytes: Some((anonymous_mib + 5) * MIB),
        huge_page_bytes: Some(2 * MIB),
    }
}

/// A master that stays, a worker that leaks 1 MiB in a second, and one that ended.
fn leaking_nginx() -> Result<MemoryReport, Box<dyn Error>> {
    let process = |pid, name: &str, history: &History, has_ended| -> Result<_, Box<dyn Error>> {
        let last = history.last().ok_or("no reading")?;
        Ok(ProcessReport {
            pid,
            name: name.to_owned(),
            seen_from_ns: if has_ended { 5 * SECOND_NS } else { 0 },
            seen_until_ns: if has_ended { 20 * SECOND_NS } else { 59 * SECOND_NS },
            has_ended,
            usage: usage(last.bytes / MIB),
            anonymous_and_swap: Series::of(history).ok_or("no reading")?,
            verdict: (!has_ended).then(|| judge(&history.points(), None)),
        })
    };
    let worker = history(|second| (20 + second) * MIB);
    let master = history(|_| 3 * MIB);
    let whole = history(|second| (23 + second) * MIB);
    let fields = Field::ALL.into_iter().filter_map(|field| {
        let of = |second| usage(23 + second).get(field).unwrap_or(0);
        Some((field.name(), Series::of(&history(of))?))
    });
    let rate = MIB as f64;
    Ok(MemoryReport {
        host: "edge-7".to_owned(),
        command: "nginx (4711)".to_owned(),
        start_unix_ns: 1_700_000_000 * SECOND_NS,
        duration_ns: 60 * SECOND_NS,
        interval_ns: SECOND_NS,
        n_readings: 60,
        n_readings_missed: 2,
        end: End::Stopped,
        verdict: judge(&whole.points(), Some(512 * MIB)),
        began_with_growth: vec![Began { pid: 4712, name: "nginx".to_owned(), time_ns: 0 }],
        growth: Some(growth()),
        limit: Some(LimitReport {
            source: "control group /web".to_owned(),
            limit_bytes: 512 * MIB,
            used_bytes: 128 * MIB,
            used_percent: 25.0,
            time_to_limit_s: time_to_limit_s(512 * MIB, 128 * MIB, rate),
        }),
        control_group: Some(ControlGroupReport {
            path: "/web".to_owned(),
            version: 2,
            usage: Series::of(&history(|second| (69 + second) * MIB)),
            limit_bytes: Some(512 * MIB),
        }),
        tree: fields.collect::<BTreeMap<_, _>>(),
        processes: vec![
            process(4712, "nginx", &worker, false)?,
            process(4711, "ngi\x1bnx", &master, false)?,
            process(4713, "nginx", &master, true)?,
        ],
        n_processes_left_out: 4,
        history: whole.points(),
        n_readings_per_point: whole.n_per_point(),
        profile: Some("growth.svg".to_owned()),
        snapshots: vec!["before.memory.json".to_owned()],
        overhead: MemoryOverhead {
            agent_cpu_percent: 0.21,
            kernel_cpu_percent: Some(0.03),
            agent_rss_bytes: Some(6 * MIB),
            n_smaps_rounds: 58,
            smaps_percent: 0.4,
            smaps_longest_ns: 2_100_000,
        },
        comments: vec!["ended early on request".to_owned()],
    })
}

/// A stack that leaks, and one that took what it needed.
fn growth() -> GrowthReport {
    let stack = |names: [&str; 3], value, percent, course| GrownStack {
        frames: names
            .map(|name| TopFrame { name: name.to_owned(), module: Some("nginx".to_owned()) })
            .to_vec(),
        leaf: Some("nginx+0x1234".to_owned()),
        grown_bytes: value,
        share_percent: percent,
        rate_bytes_per_second: value as f64 / 59.0,
        course,
    };
    let mib = MIB as i64;
    GrowthReport {
        from_ns: 0,
        until_ns: 59 * SECOND_NS,
        recorded_from_ns: SECOND_NS,
        anonymous_bytes: 60 * mib,
        file_bytes: 3 * mib,
        shared_bytes: 0,
        released_bytes: mib,
        n_stacks: 17,
        stacks: vec![
            stack(["main", "handle", "sto\x1bre"], 57 * mib, 95.0, Course::Growing),
            stack(["main", "init", "fill"], 2 * mib, 3.33, Course::Stopped { until_ns: 9 * SECOND_NS }),
            stack(["main", "log", "nginx+0x1234"], mib / 2, 0.83, Course::Unknown),
        ],
        folded_bytes: MIB / 2,
        n_samples: 1031,
        n_lost: 2,
        comments: vec!["2 frames without a name: no symbols".to_owned()],
    }
}

fn text_of(report: &MemoryReport, style: TextStyle) -> Result<String, Box<dyn Error>> {
    let mut out = Vec::new();
    write_memory_report(report, &mut out, style)?;
    Ok(String::from_utf8(out)?)
}

#[test]
fn the_text_report_says_whether_it_leaks_before_anything_else() -> Outcome {
    check("leaking_nginx.txt", &text_of(&leaking_nginx()?, TextStyle::default())?)
}

#[test]
fn the_text_report_has_colours_on_a_terminal_only() -> Outcome {
    let plain = text_of(&leaking_nginx()?, TextStyle::default())?;
    assert!(!plain.contains('\x1b'), "{plain}");
    let coloured = text_of(&leaking_nginx()?, TextStyle { colour: true, width: None })?;
    assert!(coloured.contains("\x1b[31mleak: grows by 1.00 MiB/s"), "{coloured}");
    Ok(())
}

#[test]
fn the_json_report_has_a_unit_in_every_key_that_holds_a_quantity() -> Outcome {
    let json = serde_json::to_value(leaking_nginx()?)?;
    let mut keys = Vec::new();
    quantities(&json, &mut keys);
    let units = ["bytes", "_ns", "_s", "_percent", "_per_second"];
    let pure = ["pid", "version", "r_squared"];
    let bare: Vec<_> = keys
        .into_iter()
        .filter(|key| !key.starts_with("n_") && !pure.contains(&key.as_str()))
        .filter(|key| !units.iter().any(|unit| key.ends_with(unit)))
        .collect();
    assert_eq!(bare, [""; 0]);
    check("leaking_nginx.json", &format!("{json:#}\n"))
}

/// Keys of all numbers.
fn quantities(json: &serde_json::Value, keys: &mut Vec<String>) {
    match json {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                if value.is_number() {
                    keys.push(key.clone());
                }
                quantities(value, keys);
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| quantities(value, keys)),
        _ => {}
    }
}

fn mapping(class: MappingClass, name: &str, resident_mib: u64) -> MappingUse {
    let mut mapping = MappingUse::new(class, name.to_owned());
    mapping.n_mappings = 1 + resident_mib / 10;
    mapping.size_bytes = 64 * MIB;
    mapping.resident_bytes = resident_mib * MIB;
    mapping.private_bytes = resident_mib * MIB;
    mapping
}

fn snapshot(label: &str, second: u64, processes: &[(u32, u64)]) -> Snapshot {
    let process = |(pid, anonymous_mib): &(u32, u64)| SnapshotProcess {
        pid: *pid,
        name: "nginx".to_owned(),
        start_time_ticks: u64::from(*pid),
        usage: usage(*anonymous_mib),
        mappings: (*pid != 4714).then(|| {
            vec![
                mapping(MappingClass::Heap, "", *anonymous_mib),
                mapping(MappingClass::File, "/usr/sbin/nginx", 8),
                mapping(MappingClass::SharedMemory, "/dev/zero", 4),
            ]
        }),
        n_mappings_left_out: 0,
    };
    let processes: Vec<_> = processes.iter().map(process).collect();
    Snapshot {
        memory_snapshot_version: SNAPSHOT_VERSION,
        label: label.to_owned(),
        host: "edge-7".to_owned(),
        command: "nginx (4711)".to_owned(),
        taken_unix_ns: (1_700_000_000 + second) * SECOND_NS,
        tree: MemoryUse::sum(processes.iter().map(|process| &process.usage)),
        processes,
    }
}

#[test]
fn a_comparison_tells_fields_processes_and_mappings_apart() -> Outcome {
    let before = snapshot("before", 0, &[(4711, 3), (4712, 20)]);
    let after = snapshot("after", 90, &[(4711, 3), (4713, 47), (4714, 5)]);
    let comparison = Comparison::new(&before, &after);
    let mut out = Vec::new();
    write_comparison(&comparison, &mut out, TextStyle::default())?;
    check("compare.txt", &String::from_utf8(out)?)?;
    check("compare.json", &format!("{:#}\n", serde_json::to_value(&comparison)?))
}

#[test]
fn a_snapshot_is_read_back_as_it_was_and_does_not_differ_from_itself() -> Outcome {
    let before = snapshot("before", 0, &[(4711, 3), (4714, 20)]);
    let back: Snapshot = serde_json::from_str(&serde_json::to_string(&before)?)?;
    assert_eq!(back, before);
    let comparison = Comparison::new(&before, &back);
    let changes = comparison.tree.values().map(|change| change.change_bytes);
    let changes: Vec<i64> =
        changes.chain(comparison.mappings.iter().map(|it| it.resident.change_bytes)).collect();
    assert!(changes.iter().all(|change| *change == 0), "{comparison:#?}");
    Ok(())
}

#[test]
fn the_metrics_of_a_watch_are_the_last_readings_and_the_verdict_of_its_report() -> Outcome {
    let report = leaking_nginx()?;
    let mut found = BTreeMap::new();
    for metric in memory_metrics::metrics(&report) {
        for point in metric.points {
            assert_eq!(point.unix_ns, report.start_unix_ns + report.duration_ns);
            let attributes: Vec<String> =
                point.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
            found.insert(format!("{}{{{}}} {}", metric.name, attributes.join(","), metric.unit), point.value);
        }
    }
    let mib = |n: u64| Number::Integer(i64::try_from(n * MIB).unwrap_or(0));
    let limit = "{source=control group /web}";
    let expected = [
        ("brazier.memory.usage{field=resident} By".to_owned(), mib(94)),
        ("brazier.memory.usage{field=anonymous_and_swap} By".to_owned(), mib(82)),
        ("brazier.memory.growth{} By/s".to_owned(), Number::Float(report.verdict.rate_bytes_per_second)),
        ("brazier.memory.verdict{verdict=leak,pattern=growing} 1".to_owned(), Number::Integer(2)),
        ("brazier.memory.processes{} {process}".to_owned(), Number::Integer(2)),
        (format!("brazier.memory.limit{limit} By"), mib(512)),
        (format!("brazier.memory.limit.used{limit} By"), mib(128)),
        (format!("brazier.memory.limit.time_left{limit} s"), Number::Float(384.0)),
        ("process.memory.usage{process.pid=4712,process.executable.name=nginx} By".to_owned(), mib(91)),
    ];
    for (name, value) in expected {
        assert_eq!(found.get(&name), Some(&value), "{name}: {found:#?}");
    }
    let bound = |name: &str| match found.get(&format!("brazier.memory.growth.{name}{{}} By/s")) {
        Some(Number::Float(rate)) => *rate,
        other => panic!("{name}: {other:?} in {found:#?}"),
    };
    let rate = report.verdict.rate_bytes_per_second;
    assert!(bound("low") <= rate && rate <= bound("high"), "{rate}: {found:#?}");
    // The one that ended has none.
    assert_eq!(found.keys().filter(|name| name.starts_with("process.memory")).count(), 2, "{found:#?}");
    Ok(())
}

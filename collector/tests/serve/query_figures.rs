//! How long questions take over a store that was made by the collector's own code. Also prints the times.

use std::{path::PathBuf, sync::Arc, time::Instant};

use collector::{
    limits::Limits,
    model::{Builder, FrameText, Key, LabelSet, Room},
    store::{NamedFile, Store, Written, files_of, merged, upkeep::merges},
    wal::{Sealed, format},
};
use proto::log;
use query::{Engine, Question, Selector, TimeRange, TimelineQuestion, TypeUnit};

pub(crate) const HOUR_NS: u64 = 3_600_000_000_000;
/// 2026-11-20 00:00.
pub(crate) const DAY_NS: u64 = 1_795_132_800_000_000_000;
const COLLECTOR: &str = "0123456789abcdef";
const SERVICES: u64 = 4;
const STACKS: u64 = 1_200;
const FRAMES: u64 = 25;
/// Stacks of a window of one service on one host.
const ROWS: u64 = 60;

/// Numbers that look like chance, the same each time.
fn chance(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A number of the environment.
pub(crate) fn size(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |n| n.parse().expect("is a number"))
}

/// A window of one service on all hosts, and the sum of its values.
fn batch(service: u64, n_hosts: u64, time_unix_ns: u64) -> (Vec<u8>, i64) {
    let limits = Limits::default();
    let mut builder = Builder::new("default", time_unix_ns, &limits);
    let mut room = Room::default();
    let mapping = format!("/usr/bin/service-{service}");
    let stacks: Vec<u32> = (0..STACKS)
        .map(|stack| {
            let frames: Vec<u32> = (0..FRAMES)
                .rev()
                .map(|depth| {
                    // Shared towards the root, many leaves.
                    let number = chance(stack / (1 + (FRAMES - depth) * 4)) % (1 + depth * 8);
                    let function = format!("service_{service}::module_{depth}::function_{number}");
                    let text = FrameText {
                        function: &function,
                        mapping: &mapping,
                        kind: "native",
                        ..FrameText::default()
                    };
                    builder.frame(&text)
                })
                .collect();
            builder.stack(frames, &mut room).expect("has room")
        })
        .collect();
    let [kind, unit] = ["cpu", "nanoseconds"].map(|text| builder.string(text));
    let mut total = 0;
    for host in 0..n_hosts {
        let labels = LabelSet::from([
            ("deployment.environment".to_owned(), "production".to_owned()),
            ("container.id".to_owned(), format!("{:064x}", host * 1_000 + service)),
        ]);
        let source = builder
            .source(&format!("service-{service}"), &format!("host-{host}"), &labels)
            .expect("is taken");
        let threads = LabelSet::from([("thread.name".to_owned(), "worker".to_owned())]);
        let of_thread = builder.labels(&threads).expect("are taken");
        let samples = (0..ROWS).map(|n| {
            let seed = chance(time_unix_ns ^ (host << 20) ^ (service << 8) ^ n);
            // Squared: most samples are on few stacks.
            let stack = (seed % STACKS) * (seed / STACKS % STACKS) / STACKS;
            let value = i64::try_from(1 + seed % 5).expect("is small") * 10_000_000;
            total += value;
            let stack = stacks[usize::try_from(stack).expect("fits")];
            log::Sample { stack, labels: of_thread, value }
        });
        let samples = samples.collect();
        builder.profile(log::Profile {
            source,
            r#type: kind,
            unit,
            period_type: kind,
            period_unit: unit,
            period: 10_000_000,
            time_unix_ns,
            duration_ns: 10_000_000_000,
            samples,
        });
    }
    (builder.finish().encode(), total)
}

/// Fills a store as the collector does: segments, then merges. The sum of the values of service 0.
pub(crate) async fn fill(store: &Store, n_hosts: u64, n_hours: u64, windows_per_hour: u64) -> i64 {
    let mut written = Written::default();
    let mut total = 0;
    for window in 0..n_hours * windows_per_hour {
        let time_unix_ns = DAY_NS + window * HOUR_NS / windows_per_hour;
        let number = window + 1;
        let mut segment = format::segment_header(number).to_vec();
        for service in 0..SERVICES {
            let (content, sum) = batch(service, n_hosts, time_unix_ns);
            total += if service == 0 { sum } else { 0 };
            let content = zstd::encode_all(content.as_slice(), 1).expect("compresses");
            let key = Key::of("default", &[&number.to_le_bytes(), &service.to_le_bytes()]);
            let offset = u64::try_from(segment.len()).expect("fits");
            let n_rows = u32::try_from(n_hosts * ROWS).expect("fits");
            segment.extend(format::record(number, offset, key, n_rows, &content).expect("is small enough"));
        }
        let bytes = u64::try_from(segment.len()).expect("fits");
        let sealed = Sealed { number, bytes, skipped: std::collections::HashSet::new(), since_ns: 0 };
        let flushed = files_of(&segment, &sealed, COLLECTOR, &written).expect("is read");
        assert_eq!(flushed.n_damaged, 0);
        store.put(flushed.files).await.expect("puts");
        written.add(flushed.new_ids);
    }
    // As long as there is something to merge.
    loop {
        let plan = merges(&store.list().await.expect("lists"), COLLECTOR, DAY_NS + 10_000 * HOUR_NS);
        if plan.is_empty() {
            return total;
        }
        for merge in plan {
            let mut contents = Vec::new();
            for path in &merge.inputs {
                contents.push(store.get(path).await.expect("is read"));
            }
            let (bytes, n_rows) = merged(merge.output.table, &contents).expect("are merged");
            store.put(vec![NamedFile { path: merge.output, bytes, n_rows }]).await.expect("puts");
            for path in &merge.inputs {
                store.remove(path).await.expect("removes");
            }
        }
    }
}

/// Has the system read files from its disk again, if `BRAZIER_QUERY_COLD` says so: that takes root, and slows down the
/// whole machine for a while.
fn forget_files() {
    if std::env::var_os("BRAZIER_QUERY_COLD").is_some() {
        std::fs::write("/proc/sys/vm/drop_caches", "3").expect("drops what is cached: only root may");
    }
}

#[test]
fn figures_of_questions() {
    let (n_hosts, n_hours) = (size("BRAZIER_QUERY_HOSTS", 10), size("BRAZIER_QUERY_HOURS", 2));
    let windows_per_hour = size("BRAZIER_QUERY_WINDOWS", 2);
    let made = tempfile::tempdir().expect("makes a directory");
    let kept = std::env::var_os("BRAZIER_QUERY_DIR").map(PathBuf::from);
    let dir = kept.unwrap_or_else(|| made.path().to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("starts");
    let store = Store::directory(&dir).expect("opens");
    let start = Instant::now();
    // What is there already is of the same numbers.
    let is_empty = runtime.block_on(store.list()).expect("lists").is_empty();
    let total = is_empty.then(|| runtime.block_on(fill(&store, n_hosts, n_hours, windows_per_hour)));
    let files = runtime.block_on(store.list()).expect("lists");
    let n_bytes: u64 = files.iter().map(|(_, n_bytes)| n_bytes).sum();
    let n_rows = n_hosts * n_hours * windows_per_hour * SERVICES * ROWS;
    println!(
        "{n_rows} rows of samples, {} files, {n_bytes} bytes, made in {:.1?}",
        files.len(),
        start.elapsed()
    );

    let question = |selector: &str, n_hours: u64| Question {
        tenant: "default".to_owned(),
        what: TypeUnit::parse("cpu:nanoseconds").expect("is one"),
        selector: Selector::parse(selector).expect("is one"),
        range: TimeRange { from_unix_ns: DAY_NS, until_unix_ns: DAY_NS + n_hours * HOUR_NS },
    };
    let engine = |store: &Store| {
        let (objects, prefix) = store.objects();
        Arc::new(Engine::new(objects, prefix, query::Limits::default()).expect("starts"))
    };
    let one_service = r#"{service="service-0"}"#;
    let mut hours: Vec<u64> =
        [n_hours / 8, n_hours / 4, n_hours / 2, n_hours].into_iter().filter(|n| *n > 0).collect();
    hours.dedup();
    for n_hours in hours {
        let cold = engine(&store);
        forget_files();
        for (what, selector) in [
            ("one service", one_service),
            ("one host in ten", r#"{service="service-0",host=~"host-.*0"}"#),
            ("a label", r#"{service="service-0",container.id=~"0+.*[02468]000"}"#),
            ("everything", ""),
        ] {
            let mut times = Vec::new();
            let mut found = (0, 0, 0);
            for _ in 0..4 {
                let start = Instant::now();
                let asked = question(selector, n_hours);
                let answer = runtime.block_on(cold.flamegraph(&asked, None, None)).expect("is answered");
                times.push(start.elapsed());
                assert!(answer.warnings.is_empty(), "{:?}", answer.warnings);
                let nodes = answer.value.nodes.parent.len();
                found = (answer.value.n_sample_rows, nodes, answer.value.total);
            }
            println!("{n_hours} h, flamegraph of {what}: {} rows, {} nodes: {times:.0?}", found.0, found.1);
            if let (true, Some(total)) =
                (selector == one_service && n_hours == size("BRAZIER_QUERY_HOURS", 2), total)
            {
                assert_eq!(found.2, total);
                assert_eq!(found.0, n_rows / SERVICES);
            }
        }
        let start = Instant::now();
        let of = question(one_service, n_hours);
        let by_host = TimelineQuestion { of: of.clone(), step_ms: None, by: vec!["host".to_owned()] };
        let timeline = runtime.block_on(cold.timeline(&by_host)).expect("is answered").value;
        println!(
            "{n_hours} h, timeline by host: {} series in {:.0?}",
            timeline.series.len(),
            start.elapsed()
        );
        let start = Instant::now();
        let range = of.range;
        let values = runtime.block_on(cold.values("default", "host", &Selector::default(), range));
        let n_values = values.expect("is answered").value.values.len();
        println!("{n_hours} h, {n_values} hosts in {:.0?}", start.elapsed());
        assert_eq!(u64::try_from(n_values).ok(), Some(n_hosts.min(10_000)));
    }
}

//! How long questions take over a bucket that is near, and one that is far away. Prints times, requests and bytes.

use std::time::Instant;

use collector::store::Store;
use query::{Engine, Limits, Question, Selector, TimeRange, TypeUnit};

use super::{
    bucket::{self, Bucket},
    query_figures::{DAY_NS, HOUR_NS, fill, size},
};

#[test]
fn figures_of_a_bucket_far_away() {
    let (n_hosts, n_hours) = (size("BRAZIER_QUERY_HOSTS", 10), size("BRAZIER_QUERY_HOURS", 2));
    let windows_per_hour = size("BRAZIER_QUERY_WINDOWS", 2);
    let delay_ms = size("BRAZIER_BUCKET_MS", 30);
    let bucket = Bucket::default();
    let variables = bucket::variables(bucket.start());
    let variables = variables.map(|(name, value)| (name.to_owned(), value));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("starts");
    let store = Store::open(&format!("s3://{}/prod", bucket::NAME), variables).expect("opens");
    runtime.block_on(fill(&store, n_hosts, n_hours, windows_per_hour));
    let files = runtime.block_on(store.list()).expect("lists");
    let n_bytes: u64 = files.iter().map(|(_, n_bytes)| n_bytes).sum();
    println!("{} files, {n_bytes} bytes", files.len());
    let mut totals = Vec::new();
    for delay_ms in [0, delay_ms] {
        bucket.set_delay(delay_ms);
        let (objects, prefix) = store.objects();
        let engine = Engine::new(objects, prefix, Limits::default()).expect("starts");
        for what in ["first", "again"] {
            let question = Question {
                tenant: "default".to_owned(),
                what: TypeUnit::parse("cpu:nanoseconds").expect("is one"),
                selector: Selector::parse(r#"{service="service-0"}"#).expect("is one"),
                range: TimeRange { from_unix_ns: DAY_NS, until_unix_ns: DAY_NS + n_hours * HOUR_NS },
            };
            let start = Instant::now();
            let answer = runtime.block_on(engine.flamegraph(&question, None, None)).expect("is answered");
            let taken_ms = start.elapsed().as_millis();
            let (n_requests, n_bytes) = bucket.counts();
            println!(
                "{delay_ms} ms away, {what}: {taken_ms} ms, {n_requests} requests, {n_bytes} bytes, {} rows",
                answer.value.n_sample_rows
            );
            assert!(answer.warnings.is_empty(), "{:?}", answer.warnings);
            totals.push(answer.value.total);
        }
    }
    assert!(totals[0] > 0 && totals.iter().all(|total| *total == totals[0]), "{totals:?}");
}

//! Two collectors on one bucket have their questions answered by a cluster: the same answers as without one, from one executor and from
//! two, and with a warning while nobody is there to work.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{
    api::{ask, ask_as, nodes},
    batches::{PROTOBUF, metrics, otlp_of_before},
    bucket::{self, Bucket},
    cluster_programs::Program,
    collector::{Collector, Home},
    sql::sql_as,
};

const STORE: &str = "s3://profiles/prod";
/// So long a cluster that was not there is not asked for again.
const PAUSE: Duration = Duration::from_secs(6);

/// One answer of each kind, in a form in which equal ones look the same.
fn answers(collector: &Collector) -> Vec<(String, Value)> {
    let of = [("type", "samples:count"), ("match", r#"{host=~"edge-.*",site="ams"}"#)];
    let mut all = Vec::new();
    let flamegraph = |path: &str, more: &[(&str, &str)]| {
        let mut answer = ask(collector, path, &[of.as_slice(), more].concat());
        let mut nodes = nodes(&answer);
        nodes.sort();
        for name in ["nodes", "names", "packages"] {
            answer.as_object_mut().expect("is one").remove(name);
        }
        (path.to_owned(), json!({ "answer": answer, "nodes": nodes }))
    };
    all.push(flamegraph("/api/v1/flamegraph", &[]));
    all.push(flamegraph("/api/v1/diff", &[("baseline_match", r#"{host="edge-1",service!="x"}"#)]));
    for (path, parameters) in [
        ("/api/v1/top", of.as_slice()),
        ("/api/v1/timeline", &[of[0], of[1], ("by", "host,site"), ("step_ms", "1800000")]),
        ("/api/v1/types", &[]),
        ("/api/v1/labels", &[]),
        ("/api/v1/labels/site", &[]),
        ("/api/v1/metrics/names", &[]),
        ("/api/v1/metrics", &[("name", "process.memory.usage")]),
    ] {
        all.push((path.to_owned(), ask(collector, path, parameters)));
    }
    for statement in [
        "select service, type, count(*), sum(value) from samples group by 1, 2 order by 1, 2",
        "with leaf as (select s.value, k.frames[1] as frame from samples s join stacks k using (stack)) \
         select f.function, sum(leaf.value) from leaf join (select distinct frame, function from frames) f using (frame) \
         group by 1 order by 1",
        "select upper(host), value from samples where sample_labels like '%nginx%' order by value desc, type limit 3",
    ] {
        let (status, answer) = sql_as(collector, "default", statement);
        assert_eq!(status, 200, "{statement}: {answer}");
        all.push((statement.to_owned(), answer));
    }
    all
}

/// The same as was asked for elsewhere, and how long all of it took.
fn check(what: &str, collector: &Collector, wanted: &[(String, Value)]) {
    let start = Instant::now();
    let found = answers(collector);
    println!("{what}: {} answers in {:.0?}", found.len(), start.elapsed());
    for ((question, wanted), (_, found)) in wanted.iter().zip(&found) {
        assert_eq!(found, wanted, "{what}: {question}");
    }
}

#[test]
fn one_executor_and_two_answer_as_a_collector_does_alone() {
    let bucket = Bucket::default();
    let variables = bucket::variables(bucket.start());
    assert_eq!(STORE, format!("s3://{}/prod", bucket::NAME));
    let scheduler = Program::scheduler();
    // Rules ask as well, and questions are counted here.
    let config = |more: &str| {
        format!(
            "store = \"{STORE}\"\n[log]\nflush_after_seconds = 0\n[upkeep]\nevery_seconds = 3600\n\
             [alerts]\nbuilt_in = false\n{more}"
        )
    };
    let of_cluster = format!("[query]\ncluster = \"{}\"\ncluster_partitions = 4\n", scheduler.url());
    let homes = [config(&of_cluster), config(&of_cluster), config("")].map(|config| Home::new(&config));
    let [first, second, alone] = homes.each_ref().map(|home| home.start_with(&variables));
    for (collector, counts) in [(&first, [1_i64, 2, 3]), (&second, [4, 5, 6])] {
        for (n, count) in (1_u64..).zip(counts) {
            let body = otlp_of_before(count, &count.to_string());
            let answer = collector.post("/v1development/profiles", &[PROTOBUF], &body);
            assert_eq!(answer.status, 200, "{}", answer.text());
            collector.wait_for("brazier_store_segments_total", n);
        }
    }
    assert_eq!(first.post("/v1/metrics", &[PROTOBUF], &metrics(7 << 20)).status, 200);
    first.wait_for("brazier_store_segments_total", 4);

    let start = Instant::now();
    let wanted = answers(&alone);
    println!("alone: {} answers in {:.0?}", wanted.len(), start.elapsed());
    let total = &wanted[0].1["answer"]["total"];
    assert_eq!(total, &json!(1 + 2 + 3 + 4 + 5 + 6 + 6), "{:#?}", wanted[0]);

    // A scheduler with nobody to work: the answer is there, and says who gave it.
    let flamegraph = |collector: &Collector| {
        let of = [("type", "samples:count"), ("match", r#"{site="ams"}"#), ("from", "now-5h")];
        ask_as(collector, "default", "/api/v1/flamegraph", &of)
    };
    let (status, answer) = flamegraph(&first);
    assert_eq!((status, &answer["total"]), (200, total), "{answer}");
    let warning = answer["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.contains("the cluster is not there") && warning.contains("0/1 executors"), "{answer}");
    assert_eq!(first.counted("brazier_query_cluster_missed_total"), 1);
    assert_eq!(first.counted("brazier_query_cluster_total"), 0);
    let health = first.get("/health").text();
    assert!(health.contains("cluster_missing"), "{health}");

    // One over another store does not read this one.
    let wrong = Program::executor(&scheduler, "s3://profiles/other", 1, &variables);
    scheduler.wait_for_executors(1);
    let (status, answer) = flamegraph(&second);
    assert_eq!((status, &answer["error"]["reason"]), (503, &json!("cluster_failed")), "{answer}");
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("--store"), "{answer}");
    wrong.end();
    scheduler.wait_for_executors(0);

    let one = Program::executor(&scheduler, STORE, 1, &variables);
    scheduler.wait_for_executors(1);
    check("one executor", &second, &wanted);
    std::thread::sleep(PAUSE);
    check("one executor, the other collector", &first, &wanted);
    let two = Program::executor(&scheduler, STORE, 1, &variables);
    scheduler.wait_for_executors(2);
    check("two executors", &first, &wanted);
    check("two executors, again", &second, &wanted);
    let n_answers = 2 * u64::try_from(wanted.len()).expect("fits");
    for (collector, n_missed) in [(&first, 1), (&second, 0)] {
        assert_eq!(collector.counted("brazier_query_cluster_total"), n_answers);
        assert_eq!(collector.counted("brazier_query_cluster_missed_total"), n_missed);
        let health = collector.get("/health").text();
        assert!(!health.contains("cluster_missing"), "{health}");
    }

    // A file that cannot be read is left out, as without a cluster.
    bucket.cut("samples");
    let [(status, answer), (_, of_alone)] = [flamegraph(&first), flamegraph(&alone)];
    assert_eq!((status, &answer["total"]), (200, &of_alone["total"]), "{answer}");
    assert_eq!(
        answer["warnings"],
        json!(["1 files of samples cannot be read: the answer is without what is in them"])
    );
    let total = &answer["total"];

    // The answer does not wait for a scheduler that is gone.
    one.end();
    two.end();
    drop(scheduler);
    let (status, answer) = flamegraph(&second);
    assert_eq!((status, &answer["total"]), (200, total), "{answer}");
    let warning = answer["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.contains("no scheduler answers at df://127.0.0.1:"), "{answer}");
    for collector in [first, second, alone] {
        collector.end();
    }
}

//! How long the same questions take without a cluster, with one executor and with two. Prints the times.

use std::{path::PathBuf, sync::Arc, time::Instant};

use collector::store::Store;
use query::{Cluster, Engine, Limits, Question, Selector, Statement, TimeRange, TimelineQuestion, TypeUnit};
use tokio::runtime::Runtime;

use super::{
    cluster_programs::Program,
    query_figures::{DAY_NS, HOUR_NS, fill, size},
};

/// Of each question: the first, and others of which the middle is said.
const N_TIMES: usize = 4;

/// What is asked, and what of the answer must be equal.
fn questions(range: TimeRange) -> [(&'static str, Asked); 4] {
    let of = |selector: &str| Question {
        tenant: "default".to_owned(),
        what: TypeUnit::parse("cpu:nanoseconds").expect("is one"),
        selector: Selector::parse(selector).expect("is one"),
        range,
    };
    let by_host = |of| TimelineQuestion { of, step_ms: None, by: vec!["host".to_owned()] };
    let sql =
        "select host, service, sum(value), count(distinct stack) from samples group by 1, 2 order by 1, 2";
    [
        ("flamegraph of one service", Asked::Flamegraph(of(r#"{service="service-0"}"#))),
        ("flamegraph of everything", Asked::Flamegraph(of(""))),
        ("timeline by host", Asked::Timeline(by_host(of("")))),
        ("SQL: stacks by host and service", Asked::Sql(sql)),
    ]
}

enum Asked {
    Flamegraph(Question),
    Timeline(TimelineQuestion),
    Sql(&'static str),
}

impl Asked {
    fn ask(&self, runtime: &Runtime, engine: &Engine, range: TimeRange) -> String {
        let (answer, warnings) = match self {
            Self::Flamegraph(question) => {
                let answer = runtime.block_on(engine.flamegraph(question, None, None)).expect("is answered");
                let it = answer.value;
                let sums =
                    (it.total, it.n_sample_rows, it.nodes.own.len(), it.nodes.total.iter().max().copied());
                (format!("{sums:?}"), answer.warnings)
            }
            Self::Timeline(question) => {
                let answer = runtime.block_on(engine.timeline(question)).expect("is answered");
                (format!("{:?}", answer.value), answer.warnings)
            }
            Self::Sql(sql) => {
                let statement =
                    Statement { tenant: "default".to_owned(), sql: (*sql).to_owned(), range, limit: 100_000 };
                let answer = runtime.block_on(engine.sql(&statement)).expect("is answered");
                (serde_json::to_string(&answer.value).expect("is JSON"), answer.warnings)
            }
        };
        assert!(warnings.is_empty(), "{warnings:?}");
        answer
    }
}

/// Answers, with the first time and the middle of the others printed.
fn measure(who: &str, runtime: &Runtime, engine: &Engine, range: TimeRange) -> Vec<String> {
    let measured = questions(range).into_iter().map(|(what, asked)| {
        let mut answers = Vec::new();
        let mut times = Vec::new();
        for _ in 0..N_TIMES {
            let start = Instant::now();
            answers.push(asked.ask(runtime, engine, range));
            times.push(start.elapsed().as_millis());
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{who}: {what}");
        let first = times.remove(0);
        times.sort();
        println!("{who}: {what}: first {first} ms, then {} ms", times[times.len() / 2]);
        answers.remove(0)
    });
    measured.collect()
}

#[test]
fn figures_of_questions_on_a_cluster() {
    let (n_hosts, n_hours) = (size("BRAZIER_QUERY_HOSTS", 10), size("BRAZIER_QUERY_HOURS", 2));
    let windows_per_hour = size("BRAZIER_QUERY_WINDOWS", 2);
    let n_partitions = usize::try_from(size("BRAZIER_CLUSTER_PARTITIONS", 4)).expect("fits");
    let made = tempfile::tempdir().expect("makes a directory");
    let dir = std::env::var_os("BRAZIER_QUERY_DIR").map_or_else(|| made.path().to_owned(), PathBuf::from);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("starts");
    let store = Store::directory(&dir).expect("opens");
    if runtime.block_on(store.list()).expect("lists").is_empty() {
        runtime.block_on(fill(&store, n_hosts, n_hours, windows_per_hour));
    }
    let files = runtime.block_on(store.list()).expect("lists");
    let n_bytes: u64 = files.iter().map(|(_, n_bytes)| n_bytes).sum();
    println!("{} files, {n_bytes} bytes; {n_partitions} partitions on the cluster", files.len());
    let range = TimeRange { from_unix_ns: DAY_NS, until_unix_ns: DAY_NS + n_hours * HOUR_NS };
    let engine = |n_threads: usize, cluster: Option<Arc<dyn Cluster>>| {
        let (objects, prefix) = store.objects();
        let limits = Limits { n_threads, ..Limits::default() };
        Engine::with_cluster(objects, prefix, limits, cluster).expect("starts")
    };
    let wanted = measure("alone, 1 thread", &runtime, &engine(1, None), range);
    assert_eq!(measure("alone, 2 threads", &runtime, &engine(2, None), range), wanted);
    let scheduler = Program::scheduler();
    let mut executors = Vec::new();
    for n in 1..=2 {
        executors.push(Program::executor(&scheduler, dir.to_str().expect("is text"), 1, &[]));
        scheduler.wait_for_executors(n);
        let address = scheduler.url().parse().expect("is one");
        let cluster = cluster::Ballista::new(address, store.address(), n_partitions).expect("is one");
        let engine = engine(1, Some(Arc::new(cluster)));
        assert_eq!(measure(&format!("{n} executors of 1 thread"), &runtime, &engine, range), wanted);
        let of_cluster = engine.of_cluster().expect("has one");
        assert_eq!(of_cluster, (u64::try_from(4 * N_TIMES).expect("fits"), 0));
    }
}

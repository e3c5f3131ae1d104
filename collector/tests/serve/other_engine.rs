//! Another engine over the same files: ClickHouse's, by `other_engine.py`. Its answers are ours; the times of both are printed.

use std::{
    collections::BTreeMap,
    env,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Instant,
};

use collector::store::Store;
use query::{Engine, Question, Selector, Statement, TimeRange, TypeUnit};
use serde_json::{Value, json};

use super::query_figures::{DAY_NS, HOUR_NS, fill, size};

const N_TIMES: usize = 4;
const SUMS: &str =
    "select service, type, unit, sum(value), count(*) from samples group by 1, 2, 3 order by 1, 2, 3";

fn ask(part: &Path, dir: &Path) -> Value {
    let packages = part.parent().and_then(Path::parent).expect("is a file of a package");
    let output = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/serve/other_engine.py"))
        .arg(dir)
        .arg("default")
        .env("PYTHONPATH", packages)
        .output()
        .expect("python3 starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn another_engine_gives_the_same_answers_from_the_same_files() {
    let Some(part) = env::var_os("BRAZIER_CHDB").map(PathBuf::from) else {
        let _ = io::stderr().write_all(b"\nskipped: no chdb (`cargo xtask test` fetches it)\n");
        return;
    };
    let made = tempfile::tempdir().expect("makes a directory");
    let kept = env::var_os("BRAZIER_QUERY_DIR").map(PathBuf::from);
    let dir = kept.unwrap_or_else(|| made.path().to_owned());
    let n_hours = size("BRAZIER_QUERY_HOURS", 2);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("starts");
    let store = Store::directory(&dir).expect("opens");
    if runtime.block_on(store.list()).expect("lists").is_empty() {
        let (n_hosts, n_windows) = (size("BRAZIER_QUERY_HOSTS", 10), size("BRAZIER_QUERY_WINDOWS", 2));
        runtime.block_on(fill(&store, n_hosts, n_hours, n_windows));
    }
    let theirs = ask(&part, &dir);

    let (objects, prefix) = store.objects();
    let engine = Arc::new(Engine::new(objects, prefix, query::Limits::default()).expect("starts"));
    let range = TimeRange { from_unix_ns: DAY_NS, until_unix_ns: DAY_NS + n_hours * HOUR_NS };
    let statement = Statement { tenant: "default".to_owned(), sql: SUMS.to_owned(), range, limit: 1_000 };
    let mut ms = Vec::new();
    let mut sums = Value::Null;
    for _ in 0..N_TIMES {
        let start = Instant::now();
        let rows = runtime.block_on(engine.sql(&statement)).expect("is answered").value.rows;
        ms.push(start.elapsed().as_secs_f64() * 1e3);
        sums = json!(rows);
    }
    println!("sums by service: ours {ms:.1?} ms, chdb {} {} ms", theirs["version"], theirs["sums"]["ms"]);
    assert!(sums.as_array().is_some_and(|rows| rows.len() == 4), "{sums}");
    assert_eq!(sums, theirs["sums"]["rows"]);

    let question = Question {
        tenant: "default".to_owned(),
        what: TypeUnit::parse("cpu:nanoseconds").expect("is one"),
        selector: Selector::default(),
        range,
    };
    let mut ms = Vec::new();
    let mut functions = BTreeMap::new();
    for _ in 0..N_TIMES {
        let start = Instant::now();
        let top = runtime.block_on(engine.top(&question, 10_000)).expect("is answered").value;
        ms.push(start.elapsed().as_secs_f64() * 1e3);
        functions.clear();
        for function in top.functions.into_iter().filter(|function| function.own != 0) {
            *functions.entry(function.name).or_insert(0) += function.own;
        }
    }
    println!("self value by function: ours {ms:.1?} ms, chdb {} ms", theirs["functions"]["ms"]);
    let theirs: BTreeMap<String, i64> = theirs["functions"]["rows"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| (row[0].as_str().unwrap_or_default().to_owned(), row[1].as_i64().unwrap_or_default()))
        .collect();
    assert!(theirs.len() > 10, "{theirs:?}");
    assert_eq!(functions, theirs);
}

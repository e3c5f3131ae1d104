//! SQL over HTTP and from the command line; metrics, files and comparisons of what was sent.

use std::process::Command;

use prost::Message as _;
use serde_json::{Value, json};

use super::{
    api::{ask, ask_as, filled},
    batches::{PROTOBUF, metrics},
    collector::{Collector, Home, try_post},
};

/// The answer to a statement about the last hours.
pub(crate) fn sql_as(collector: &Collector, tenant: &str, sql: &str) -> (u16, Value) {
    let body = json!({"sql": sql, "from": "now-5h"}).to_string();
    let headers = [("Content-Type", "application/json"), ("X-Scope-OrgID", tenant)];
    let answer = try_post(collector.web, "/api/v1/sql", &headers, body.as_bytes()).expect("answers");
    let text = answer.text();
    (answer.status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{sql}: {error}: {text}")))
}

#[test]
fn sql_is_answered_from_the_tables_of_one_tenant() {
    let home = Home::new("");
    let collector = filled(&home, &[("a", 5), ("b", 11)]);
    let rows = |tenant: &str, sql: &str| {
        let (status, body) = sql_as(&collector, tenant, sql);
        assert_eq!(status, 200, "{sql}: {body}");
        body["rows"].clone()
    };
    let sums = "select service, type, sum(value) from samples where type = 'samples' group by 1, 2";
    assert_eq!(rows("a", sums), json!([["edge", "samples", 6]]));
    assert_eq!(rows("b", sums), json!([["edge", "samples", 12]]));
    assert_eq!(rows("c", sums), json!([]));
    assert_eq!(rows("a", "select distinct tenant from samples"), json!([["a"]]));
    let by_leaf = "with leaf as (select s.value, k.frames[1] as frame from samples s join stacks k using (stack) \
                   where s.type = 'samples') \
                   select f.function, sum(leaf.value) from leaf join frames f using (frame) group by 1 order by 2 desc";
    assert_eq!(
        rows("a", by_leaf),
        json!([["ngx_http_read_request_header", 5], ["ngx_worker_process_cycle", 1]])
    );
    let limited = json!({"sql": "select 1 as x from frames", "limit": 2, "from": "now-5h"}).to_string();
    let headers = [("Content-Type", "application/json"), ("X-Scope-OrgID", "a")];
    let answer = try_post(collector.web, "/api/v1/sql", &headers, limited.as_bytes()).expect("answers");
    let body: Value = serde_json::from_str(&answer.text()).expect("is JSON");
    assert_eq!((body["rows"].clone(), &body["truncated"]), (json!([[1], [1]]), &json!(true)), "{body}");
    assert_eq!(body["columns"], json!([{"name": "x", "type": "Int64"}]), "{body}");
}

#[test]
fn sql_that_is_no_select_over_the_tables_is_refused() {
    let home = Home::new("");
    let collector = filled(&home, &[("a", 5)]);
    let secret = home.path().join("secret.csv");
    std::fs::write(&secret, "a\n1\n").expect("writes");
    let file = secret.display();
    let chain = format!("select 1{}", "+1".repeat(5_000));
    let deep = format!("select {}1{}", "(".repeat(1_500), ")".repeat(1_500));
    // As long as it may be.
    let long_chain = format!("select 1{}", "+1".repeat(499));
    let long_or = format!("select count(*) from samples where value = 1{}", " or value = 2".repeat(150));
    let long_list = format!("select count(*) from samples where value in (1{})", ", 2".repeat(5_000));
    for statement in [
        format!("select * from '{file}'"),
        format!("create external table t stored as csv location '{file}'"),
        format!("copy (select 1) to '{file}'"),
        "create table t as select 1".to_owned(),
        "create view v as select 1".to_owned(),
        "insert into samples select * from samples".to_owned(),
        "drop table samples".to_owned(),
        "delete from samples".to_owned(),
        "set datafusion.execution.batch_size = 1".to_owned(),
        "show tables".to_owned(),
        "explain select * from samples".to_owned(),
        "explain analyze select * from samples".to_owned(),
        "select * from information_schema.tables".to_owned(),
        "select * from generate_series(1, 1000000000000)".to_owned(),
        "select repeat('x', 2000000000)".to_owned(),
        "select 1; select 2".to_owned(),
        "select nothing from samples".to_owned(),
        "select".to_owned(),
        String::new(),
        chain,
        deep,
    ] {
        let (status, body) = sql_as(&collector, "a", &statement);
        let short: String = statement.chars().take(60).collect();
        assert_eq!((status, &body["error"]["reason"]), (400, &json!("bad_sql")), "{short}: {body}");
    }
    for statement in [long_chain, long_or, long_list] {
        let (status, body) = sql_as(&collector, "a", &statement);
        assert_eq!(status, 200, "{body}");
    }
    let (status, body) = sql_as(&collector, "a", "select count(*) from samples");
    assert_eq!((status, body["rows"].clone()), (200, json!([[4]])), "it goes on: {body}");
    let untyped = try_post(collector.web, "/api/v1/sql", &[], b"{\"sql\":\"select 1\"}").expect("answers");
    assert_eq!(untyped.status, 415, "{}", untyped.text());
    let cross = "select count(*) from frames a, frames b, frames c, frames d, frames e, frames f, frames g";
    let (status, body) = sql_as(&collector, "a", cross);
    assert_eq!(status, 200, "{body}");
}

#[test]
fn the_command_line_asks_the_files_without_a_server() {
    let home = Home::new("");
    filled(&home, &[("default", 5)]).end();
    let run = |args: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_collector")).arg("sql").args(args).output().expect("runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("is text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let data = home.data().display().to_string();
    let sums = "select type, sum(value) as n from samples group by 1 order by 1";
    let csv = run(&[sums, "--data", &data, "--format", "csv"]);
    assert_eq!((csv.0, csv.1.as_str()), (Some(0), "type,n\r\ncpu,60000000\r\nsamples,6\r\n"), "{csv:?}");
    let table = run(&[sums, "--data", &format!("file://{data}/store")]);
    assert!(table.1.contains("samples         6\n"), "{table:?}");
    let json = run(&[sums, "--data", &data, "--format", "json", "--tenant", "another"]);
    let found: Value = serde_json::from_str(&json.1).unwrap_or_else(|error| panic!("{error}: {json:?}"));
    assert_eq!(found["rows"], json!([]), "{json:?}");
    let wrong = run(&["select nothing", "--data", &data]);
    assert!(wrong.0 == Some(1) && wrong.2.contains("nothing"), "{wrong:?}");
    let nowhere = run(&[sums, "--data", "/nonexistent"]);
    assert!(nowhere.0 == Some(1) && nowhere.2.contains("there is no store"), "{nowhere:?}");
}

#[test]
fn metrics_have_names_points_and_a_verdict() {
    let home = Home::new("");
    let collector = home.start();
    for (n, value) in [(1, 1_000_000), (2, 2_000_000)] {
        let answer = collector.post("/v1/metrics", &[PROTOBUF], &metrics(value));
        assert_eq!(answer.status, 200, "{}", answer.text());
        collector.wait_for("brazier_store_segments_total", n);
    }
    let names = ask(&collector, "/api/v1/metrics/names", &[]);
    assert_eq!(
        names["names"],
        json!([{"name": "process.memory.usage", "unit": "By", "kind": "gauge"}]),
        "{names}"
    );
    let name = ("name", "process.memory.usage");
    let found =
        ask(&collector, "/api/v1/metrics", &[name, ("match", r#"{service="edge",state="resident"}"#)]);
    let series = &found["series"][0];
    assert_eq!(
        series["labels"],
        json!({"host": "edge-1", "service": "edge", "state": "resident"}),
        "{found}"
    );
    let values: Vec<&Value> =
        series["points"].as_array().into_iter().flatten().map(|point| &point[1]).collect();
    assert_eq!(values, [&json!(1e6), &json!(2e6)], "{found}");
    assert_eq!(series["verdict"]["kind"], "unknown", "{found}");
    let none = ask(&collector, "/api/v1/metrics", &[name, ("match", r#"{state="swapped"}"#)]);
    assert_eq!(none["series"], json!([]), "{none}");
}

#[test]
fn two_label_sets_are_compared_and_a_question_is_a_file() {
    let home = Home::new("");
    let collector = filled(&home, &[("default", 5)]);
    let parameters = [("type", "samples:count"), ("baseline_match", r#"{service="none"}"#)];
    let diff = ask(&collector, "/api/v1/diff", &parameters);
    assert_eq!((&diff["total"], &diff["baseline_total"]), (&json!(6), &json!(0)), "{diff}");
    let same = ask(&collector, "/api/v1/diff", &parameters[..1]);
    assert_eq!(same["nodes"]["total"], same["nodes"]["baseline_total"], "{same}");
    assert_eq!(same["nodes"]["self"], same["nodes"]["baseline_self"], "{same}");

    let file = |format: &str| {
        let path = format!("/api/v1/download?type=samples:count&from=now-5h&format={format}");
        let answer = collector.get(&path);
        assert_eq!(answer.status, 200, "{format}: {}", answer.text());
        answer
    };
    let folded = file("folded").text();
    assert!(folded.contains(";main;ngx_worker_process_cycle;ngx_http_read_request_header 5\n"), "{folded}");
    assert!(file("svg").text().contains("ngx_http_read_request_header"));
    for format in ["speedscope", "json"] {
        let json: Value = serde_json::from_str(&file(format).text()).expect("is JSON");
        assert!(json.to_string().contains("ngx_worker_process_cycle"), "{json}");
    }
    let mut plain = Vec::new();
    let bytes = file("pprof").body;
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes.as_slice()), &mut plain)
        .expect("is gzip");
    let pprof = proto::pprof::Profile::decode(plain.as_slice()).expect("is a profile");
    let total: i64 = pprof.sample.iter().flat_map(|sample| &sample.value).sum();
    assert_eq!(total, 6, "{pprof:?}");
    assert!(pprof.string_table.iter().any(|text| *text == "ab".repeat(20)), "has the build ID: {pprof:?}");
    let (status, body) =
        ask_as(&collector, "default", "/api/v1/download", &[("type", "samples:count"), ("format", "png")]);
    assert_eq!((status, &body["error"]["reason"]), (400, &json!("bad_parameter")), "{body}");
}

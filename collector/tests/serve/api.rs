//! What is asked of a collector that has taken profiles.

use std::{collections::BTreeMap, fs};

use collector::{
    api::{ROUTES, Route},
    store::path::{FilePath, Table},
};
use serde_json::Value;

use super::{
    batches::{PERIOD_NS, PROTOBUF, otlp_of_before},
    collector::{Collector, Home},
    read::files,
};

const PROFILES: &str = "/v1development/profiles";
const SEGMENTS: &str = "brazier_store_segments_total";

/// With profiles of another hour, in the store.
pub(crate) fn filled(home: &Home, of_tenants: &[(&str, i64)]) -> Collector {
    let collector = home.start();
    for (n, (tenant, count)) in (1..).zip(of_tenants) {
        let body = otlp_of_before(*count, &format!("{tenant} {count}"));
        let answer = collector.post(PROFILES, &[PROTOBUF, ("X-Scope-OrgID", tenant)], &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        // A segment each.
        collector.wait_for(SEGMENTS, n);
    }
    collector
}

/// A question, its parameters encoded.
fn url(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    format!("{path}?{}", query.finish())
}

pub(crate) fn ask_as(
    collector: &Collector,
    tenant: &str,
    path: &str,
    parameters: &[(&str, &str)],
) -> (u16, Value) {
    let answer = collector.get_with(&url(path, parameters), &[("X-Scope-OrgID", tenant)]);
    let text = answer.text();
    (answer.status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}")))
}

/// The answer to a question about the last hours.
pub(crate) fn ask(collector: &Collector, path: &str, parameters: &[(&str, &str)]) -> Value {
    let parameters = [parameters, &[("from", "now-5h")]].concat();
    let (status, body) = ask_as(collector, "default", path, &parameters);
    assert_eq!(status, 200, "{path} {parameters:?}: {body}");
    body
}

/// `main;cycle self/total` of each node, the root left out.
pub(crate) fn nodes(flamegraph: &Value) -> Vec<String> {
    let column = |name: &str| flamegraph["nodes"][name].as_array().cloned().unwrap_or_default();
    let (parents, names, own, totals) = (column("parent"), column("name"), column("self"), column("total"));
    let mut paths: Vec<String> = Vec::new();
    for at in 0..parents.len() {
        let name =
            &flamegraph["names"][usize::try_from(names[at].as_u64().expect("is a place")).expect("fits")];
        let name = name.as_str().expect("is a name");
        let parent = usize::try_from(parents[at].as_i64().expect("is a place")).ok();
        paths.push(match parent.filter(|parent| *parent > 0) {
            Some(parent) => format!("{};{name}", paths[parent].split(' ').next().unwrap_or_default()),
            None => name.to_owned(),
        });
        let sums = format!(" {}/{}", own[at], totals[at]);
        paths[at].push_str(&sums);
    }
    paths.split_off(1)
}

#[test]
fn profiles_that_were_sent_are_a_flamegraph_a_table_and_a_timeline() {
    let home = Home::new("");
    let collector = filled(&home, &[("default", 5), ("default", 2)]);
    let what = [("type", "samples:count"), ("match", r#"{service="edge",site=~"a.*"}"#)];
    let flamegraph = ask(&collector, "/api/v1/flamegraph", &what);
    let cycle = "main;ngx_worker_process_cycle";
    let expected =
        ["main 0/9".to_owned(), format!("{cycle} 2/9"), format!("{cycle};ngx_http_read_request_header 7/7")];
    assert_eq!(nodes(&flamegraph), expected, "{flamegraph}");
    assert_eq!((&flamegraph["total"], &flamegraph["unit"]), (&Value::from(9), &Value::from("count")));
    assert_eq!(flamegraph["packages"].as_array().map(|it| it.contains(&Value::from("nginx"))), Some(true));
    assert_eq!(flamegraph["warnings"], Value::Array(Vec::new()), "{flamegraph}");

    let top = ask(&collector, "/api/v1/top", &[("type", "cpu:nanoseconds")]);
    assert_eq!(top["functions"][0]["name"], "ngx_http_read_request_header", "{top}");
    assert_eq!(top["functions"][0]["self"], 7 * PERIOD_NS, "{top}");
    assert_eq!(top["functions"][1]["total"], 9 * PERIOD_NS, "{top}");

    let timeline =
        ask(&collector, "/api/v1/timeline", &[what[0], ("by", "host,thread.name"), ("step_ms", "3600000")]);
    let series = &timeline["series"][0];
    assert_eq!(series["labels"], serde_json::json!({"host": "edge-1", "thread.name": "nginx"}), "{timeline}");
    assert_eq!(series["points"][0][1], 9, "{timeline}");

    let types = ask(&collector, "/api/v1/types", &[]);
    let kinds: BTreeMap<&str, &Value> = types["types"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| (it["type"].as_str().unwrap_or_default(), &it["n_rows"]))
        .collect();
    assert_eq!(kinds, BTreeMap::from([("cpu", &Value::from(4)), ("samples", &Value::from(4))]), "{types}");
    let labels = ask(&collector, "/api/v1/labels", &[]);
    let names = labels["labels"].to_string();
    assert!(
        names.contains(r#""host""#) && names.contains(r#""site""#) && names.contains(r#""thread.name""#),
        "{names}"
    );
    for (name, value) in [("service", "edge"), ("site", "ams"), ("thread.name", "nginx"), ("none", "")] {
        let values = ask(&collector, &format!("/api/v1/labels/{name}"), &[]);
        let expected: Vec<&str> = if value.is_empty() { Vec::new() } else { vec![value] };
        assert_eq!(values["values"], serde_json::json!(expected), "{name}");
    }
}

#[test]
fn a_selector_selects_and_nothing_is_an_empty_tree() {
    let home = Home::new("");
    let collector = filled(&home, &[("default", 5)]);
    let total = |selector: &str| {
        let body = ask(&collector, "/api/v1/flamegraph", &[("type", "samples:count"), ("match", selector)]);
        assert_eq!(body["nodes"]["parent"][0], -1, "{selector}: {body}");
        body["total"].clone()
    };
    for (selector, expected) in [
        ("", 6),
        ("{}", 6),
        (r#"{service="edge"}"#, 6),
        (r#"{service!="edge"}"#, 0),
        (r#"{service=~"ed"}"#, 0),
        (r#"{service=~"ed.*",host!~"core.*"}"#, 6),
        (r#"{thread.name="nginx",site="ams"}"#, 6),
        (r#"{thread.name!="nginx"}"#, 0),
        (r#"{nothing=""}"#, 6),
        (r#"{nothing!=""}"#, 0),
    ] {
        assert_eq!(total(selector), expected, "{selector}");
    }
    for what in ["other:count", "samples:nanoseconds"] {
        assert_eq!(ask(&collector, "/api/v1/flamegraph", &[("type", what)])["total"], 0, "{what}");
    }
}

#[test]
fn tenants_of_the_same_names_see_only_what_is_theirs() {
    let home = Home::new("");
    let collector = filled(&home, &[("a", 5), ("A", 2), ("a=41", 11)]);
    let of = |tenant: &str| {
        let parameters = [("type", "samples:count"), ("from", "now-5h")];
        ask_as(&collector, tenant, "/api/v1/flamegraph", &parameters).1["total"].clone()
    };
    assert_eq!(["a", "A", "a=41", "b", "=61"].map(of), [6, 3, 12, 0, 0].map(Value::from));
    let (status, body) = ask_as(&collector, "../a", "/api/v1/types", &[]);
    assert_eq!((status, &body["error"]["reason"]), (403, &Value::from("wrong_tenant")), "{body}");
}

#[test]
fn what_cannot_be_asked_is_said_with_a_reason_and_what_to_do() {
    let home = Home::new("");
    let collector = home.start();
    let is_refused = |path: &str, parameters: &[(&str, &str)], status: u16, reason: &str| {
        let (found, body) = ask_as(&collector, "default", path, parameters);
        let found = (found, body["error"]["reason"].as_str().unwrap_or_default());
        assert_eq!(found, (status, reason), "{path} {parameters:?}: {body}");
        assert!(body["error"]["to_do"].as_str().is_some_and(|it| !it.is_empty()), "{body}");
    };
    let what = ("type", "cpu:nanoseconds");
    is_refused("/api/v1/flamegraph", &[], 400, "bad_parameter");
    is_refused("/api/v1/flamegraph", &[what, ("match", "{service=")], 400, "bad_selector");
    is_refused("/api/v1/flamegraph", &[what, ("match", r#"{a=~"(.{1000}){1000}"}"#)], 400, "bad_selector");
    is_refused("/api/v1/flamegraph", &[what, ("from", "now"), ("until", "now-1h")], 400, "bad_parameter");
    is_refused("/api/v1/flamegraph", &[what, ("max_nodes", "-1")], 400, "bad_parameter");
    is_refused("/api/v1/timeline", &[what, ("step_ms", "0")], 400, "bad_parameter");
    is_refused("/api/v1/timeline", &[what, ("step", "5")], 400, "bad_parameter");
    is_refused("/api/v1/nothing", &[], 404, "no_such_path");
    is_refused("/api/v1/labels/", &[], 404, "no_such_path");
    let from_page = collector.get_with("/api/v1/types", &[("Sec-Fetch-Site", "cross-site")]);
    assert_eq!(from_page.status, 403, "{}", from_page.text());
    // Nothing was ever sent.
    for route in ROUTES.iter().filter(|route| route.method() == http::Method::GET) {
        let parameters: &[(&str, &str)] = match route.parameters() {
            known if known.contains(&"type") => &[what],
            known if known.contains(&"name") => &[("name", "a")],
            _ => &[],
        };
        if matches!(route, Route::Download) {
            continue;
        }
        let (status, body) = ask_as(&collector, "default", &route.path().replace("{name}", "a"), parameters);
        assert_eq!(status, 200, "{route:?}: {body}");
    }
}

#[test]
fn what_the_file_for_programs_says_is_there_and_nothing_else() {
    let home = Home::new("");
    let collector = home.start();
    let (status, file) = ask_as(&collector, "default", "/api/v1/openapi.json", &[]);
    assert_eq!(status, 200, "{file}");
    let said: BTreeMap<String, Vec<String>> = file["paths"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(path, methods)| {
            let parameters = methods["get"]["parameters"].as_array().into_iter().flatten();
            let of_query = parameters.filter(|it| it["in"] == "query");
            let mut names: Vec<String> =
                of_query.map(|it| it["name"].as_str().unwrap_or_default().to_owned()).collect();
            names.sort();
            (path.clone(), names)
        })
        .collect();
    let there = ROUTES.iter().map(|route| {
        let mut names: Vec<String> = route.parameters().iter().map(|name| (*name).to_owned()).collect();
        names.sort();
        (route.path().to_owned(), names)
    });
    assert_eq!(said, there.collect());
}

#[test]
fn with_tokens_the_token_says_whose_profiles_are_seen() {
    let home = Home::new("");
    let token = "0123456789abcdef0123456789abcdef";
    let file = home.path().join("tokens");
    fs::write(&file, token).expect("writes");
    home.configure(&format!("[tenant.a]\ntoken_file = {file:?}"));
    let collector = home.start();
    let authorization = format!("Bearer {token}");
    for (headers, status) in [
        (vec![("Authorization", authorization.as_str())], 200),
        (vec![("Authorization", "Bearer another-0123456789")], 401),
        (vec![], 401),
        (vec![("Authorization", authorization.as_str()), ("X-Scope-OrgID", "b")], 403),
    ] {
        let answer = collector.get_with("/api/v1/types", &headers);
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.text());
    }
}

/// The files of a table, on disk.
fn on_disk(home: &Home, table: Table) -> Vec<std::path::PathBuf> {
    let of_table = |path: &FilePath| path.table == table;
    files(&home.data())
        .iter()
        .filter(|path| of_table(path))
        .map(|path| home.data().join("store").join(path.to_string()))
        .collect()
}

#[test]
fn a_file_that_cannot_be_read_is_left_out_and_told_and_the_rest_is_shown() {
    let home = Home::new("");
    let collector = filled(&home, &[("default", 5), ("default", 2)]);
    let what = [("type", "samples:count")];
    assert_eq!(ask(&collector, "/api/v1/flamegraph", &what)["total"], 9);
    let samples = on_disk(&home, Table::Samples);
    assert_eq!(samples.len(), 2, "{samples:?}");
    let whole = fs::read(&samples[0]).expect("reads");
    let cut = whole.get(..whole.len() / 2).expect("is there").to_vec();
    let bent: Vec<u8> =
        whole.iter().enumerate().map(|(at, byte)| if at > 4 && at < 400 { !byte } else { *byte }).collect();
    for (n, damaged) in [cut, bent, b"no parquet".to_vec(), Vec::new()].into_iter().enumerate() {
        fs::write(&samples[0], damaged).expect("writes");
        let body = ask(&collector, "/api/v1/flamegraph", &what);
        let total = body["total"].as_i64().unwrap_or_default();
        assert!(total == 6 || total == 3, "{n}: {body}");
        let warnings = body["warnings"].to_string();
        assert!(warnings.contains("1 files of samples cannot be read"), "{n}: {warnings}");
    }
    fs::write(&samples[0], whole).expect("writes");
    assert_eq!(ask(&collector, "/api/v1/flamegraph", &what)["total"], 9, "it is whole again");

    // Without their frames, samples are counted all the same.
    for path in on_disk(&home, Table::Frames) {
        fs::write(path, b"no parquet").expect("writes");
    }
    let body = ask(&collector, "/api/v1/flamegraph", &what);
    assert_eq!(body["total"], 9, "{body}");
    assert!(body["warnings"].to_string().contains("frames"), "{body}");
    assert!(nodes(&body)[0].starts_with("[this frame"), "{body}");
}

//! The calls of Grafana's own data source.

use prost::Message;
use proto::querier::{
    LabelNamesRequest, LabelNamesResponse, LabelValuesRequest, LabelValuesResponse, ProfileTypesRequest,
    ProfileTypesResponse, SelectMergeStacktracesRequest, SelectMergeStacktracesResponse, SelectSeriesRequest,
    SelectSeriesResponse, SeriesRequest, SeriesResponse,
};
use serde_json::{Value, json};

use super::{
    api::filled,
    batches::now_ns,
    collector::{Collector, Home, try_post},
};

const ID: &str = "process_cpu:samples:count:cpu:nanoseconds";

fn call<Q: Message, A: Message + Default>(collector: &Collector, method: &str, request: &Q) -> A {
    let path = format!("/querier.v1.QuerierService/{method}");
    let headers = [("Content-Type", "application/proto"), ("Connect-Protocol-Version", "1")];
    let answer = try_post(collector.web, &path, &headers, &request.encode_to_vec()).expect("answers");
    assert_eq!(answer.status, 200, "{method}: {}", answer.text());
    A::decode(answer.body.as_slice()).unwrap_or_else(|error| panic!("{method}: {error}"))
}

fn call_json(collector: &Collector, method: &str, request: &Value) -> (u16, Value) {
    let path = format!("/querier.v1.QuerierService/{method}");
    let headers = [("Content-Type", "application/json")];
    let answer = try_post(collector.web, &path, &headers, request.to_string().as_bytes()).expect("answers");
    let text = answer.text();
    (answer.status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{method}: {error}: {text}")))
}

#[test]
fn grafana_finds_types_labels_series_stacks_and_time_series() {
    let home = Home::new("");
    let collector = filled(&home, &[("default", 5)]);
    let end = i64::try_from(now_ns() / 1_000_000).expect("fits");
    let start = end - 5 * 3_600_000;
    let selector = || r#"{service_name="edge"}"#.to_owned();

    let types: ProfileTypesResponse = call(&collector, "ProfileTypes", &ProfileTypesRequest { start, end });
    let ids: Vec<&str> = types.profile_types.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["process_cpu:cpu:nanoseconds:cpu:nanoseconds", ID]);
    let request = LabelNamesRequest { matchers: vec![format!("{{__profile_type__=\"{ID}\"}}")], start, end };
    let names: LabelNamesResponse = call(&collector, "LabelNames", &request);
    for name in ["__profile_type__", "host", "service_name", "site"] {
        assert!(names.names.iter().any(|it| it == name), "{name}: {names:?}");
    }
    for (name, values) in
        [("service_name", &["edge"][..]), ("site", &["ams"]), ("__profile_type__", ids.as_slice())]
    {
        let request = LabelValuesRequest { name: name.to_owned(), matchers: vec![selector()], start, end };
        let found: LabelValuesResponse = call(&collector, "LabelValues", &request);
        assert_eq!(found.names, values, "{name}");
    }
    let label_names = ["service_name", "__profile_type__"].map(str::to_owned).to_vec();
    let request = SeriesRequest { matchers: vec![selector()], label_names, start, end };
    let series: SeriesResponse = call(&collector, "Series", &request);
    let sets: Vec<String> = series
        .labels_set
        .iter()
        .map(|set| {
            set.labels.iter().map(|it| format!("{}={}", it.name, it.value)).collect::<Vec<_>>().join(" ")
        })
        .collect();
    let expected: Vec<String> =
        ids.iter().map(|id| format!("__profile_type__={id} service_name=edge")).collect();
    assert_eq!(sets, expected);

    let request = SelectMergeStacktracesRequest {
        profile_type_id: ID.to_owned(),
        label_selector: selector(),
        start,
        end,
        max_nodes: Some(1_024),
    };
    let found: SelectMergeStacktracesResponse = call(&collector, "SelectMergeStacktraces", &request);
    let flamegraph = found.flamegraph.expect("is there");
    let names: Vec<(&str, i64, i64)> = flamegraph
        .levels
        .iter()
        .flat_map(|level| level.values.chunks(4))
        .map(|node| (flamegraph.names[usize::try_from(node[3]).expect("fits")].as_str(), node[1], node[2]))
        .collect();
    let expected = [
        ("total", 6, 0),
        ("main", 6, 0),
        ("ngx_worker_process_cycle", 6, 1),
        ("ngx_http_read_request_header", 5, 5),
    ];
    assert_eq!((names.as_slice(), flamegraph.total, flamegraph.max_self), (&expected[..], 6, 5));

    let request = SelectSeriesRequest {
        profile_type_id: ID.to_owned(),
        label_selector: "{}".to_owned(),
        start,
        end,
        group_by: vec!["service_name".to_owned()],
        step: 15.0,
        limit: None,
    };
    let found: SelectSeriesResponse = call(&collector, "SelectSeries", &request);
    let series = &found.series[0];
    assert_eq!((series.labels[0].name.as_str(), series.labels[0].value.as_str()), ("service_name", "edge"));
    assert_eq!(series.points.iter().map(|point| point.value).sum::<f64>(), 6.0, "{found:?}");
    assert_eq!(series.points[0].timestamp % 15_000, 0, "{found:?}");
}

#[test]
fn the_same_is_said_in_json_and_what_is_wrong_with_a_code() {
    let home = Home::new("");
    let collector = filled(&home, &[("default", 5)]);
    let end = now_ns() / 1_000_000;
    let asked = json!({
        "profileTypeID": ID, "labelSelector": "{}", "start": (end - 5 * 3_600_000).to_string(), "end": end,
    });
    let (status, body) = call_json(&collector, "SelectMergeStacktraces", &asked);
    assert_eq!((status, &body["flamegraph"]["total"]), (200, &json!("6")), "{body}");
    let root = body["flamegraph"]["levels"][0]["values"].as_array().cloned().unwrap_or_default();
    assert_eq!(root[..3], [json!("0"), json!("6"), json!("0")], "{body}");
    let (status, body) = call_json(&collector, "ProfileTypes", &json!({}));
    assert_eq!((status, &body["profileTypes"][1]["ID"]), (200, &json!(ID)), "{body}");
    for (method, request, status, code) in [
        ("SelectMergeStacktraces", json!({"profileTypeID": "cpu"}), 400, "invalid_argument"),
        (
            "SelectMergeStacktraces",
            json!({"profileTypeID": ID, "labelSelector": "{"}),
            400,
            "invalid_argument",
        ),
        ("SelectSeries", json!({"profileTypeID": ID, "start": "x"}), 400, "invalid_argument"),
        ("SelectSeries", json!({"profileTypeID": ID, "start": 5, "end": 4}), 400, "invalid_argument"),
        ("SelectSeries", json!([]), 400, "invalid_argument"),
        ("Nothing", json!({}), 501, "unimplemented"),
    ] {
        let (found, body) = call_json(&collector, method, &request);
        assert_eq!((found, &body["code"]), (status, &json!(code)), "{method} {request}: {body}");
    }
    let garbage = try_post(
        collector.web,
        "/querier.v1.QuerierService/Series",
        &[("Content-Type", "application/proto")],
        &[0xff; 100],
    );
    assert_eq!(garbage.expect("answers").status, 400);
    let text = try_post(collector.web, "/querier.v1.QuerierService/Series", &[], b"");
    assert_eq!(text.expect("answers").status, 415);
}

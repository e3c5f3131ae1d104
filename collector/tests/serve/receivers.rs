//! Each way in, to the same rows.

use std::collections::BTreeMap;

use bytes::Bytes;
use collector::store::path::Table;
use http::uri::PathAndQuery;
use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceResponse;
use prost::Message as _;
use proto::push::{LabelPair, PushRequest, RawProfileSeries, RawSample};
use tonic::{
    Code, Request, Status,
    codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

use super::{
    batches::{PERIOD_NS, PROTOBUF, metrics, now_ns, otlp, pprof_file, profile, request},
    collector::{Collector, Home},
    read::{Row, counts, rows},
};

const PROFILES: &str = "/v1development/profiles";

/// All that is known of the samples of one type: the sum by service, host and function of the leaf.
fn by_leaf(home: &Home, name: &str) -> BTreeMap<String, i64> {
    let data = home.data();
    let column = |rows: Vec<Row>, key: &str, value: &str| -> BTreeMap<String, String> {
        rows.into_iter().map(|row| (row[key].clone(), row[value].clone())).collect()
    };
    let frames = column(rows(&data, Table::Frames), "frame", "function");
    let stacks = column(rows(&data, Table::Stacks), "stack", "frames");
    let mut sums = BTreeMap::new();
    for row in rows(&data, Table::Samples).iter().filter(|row| row["type"] == name) {
        let leaf = stacks[&row["stack"]].split(' ').next().expect("has a leaf");
        let key = format!("{} {} {} {}", row["tenant"], row["service"], row["host"], frames[leaf]);
        *sums.entry(key).or_default() += row["value"].parse::<i64>().expect("is a number");
    }
    sums
}

fn expected(of: &[(&str, i64)]) -> BTreeMap<String, i64> {
    of.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect()
}

#[test]
fn a_profile_of_ours_is_in_the_store_as_it_was_measured() {
    let home = Home::new("");
    let collector = home.start();
    let answer = collector.post(PROFILES, &[PROTOBUF], &otlp(5, "one"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let response = ExportProfilesServiceResponse::decode(answer.body.as_slice()).expect("is a response");
    assert_eq!(response.partial_success, None);
    collector.end();

    let of_nginx = |leaf: i64, other: i64| {
        expected(&[
            ("default edge edge-1 ngx_http_read_request_header", leaf),
            ("default edge edge-1 ngx_worker_process_cycle", other),
        ])
    };
    assert_eq!(by_leaf(&home, "samples"), of_nginx(5, 1));
    assert_eq!(by_leaf(&home, "cpu"), of_nginx(5 * PERIOD_NS, PERIOD_NS));
    let samples = rows(&home.data(), Table::Samples);
    assert_eq!(samples.len(), 4, "{samples:#?}");
    let sample = &samples[0];
    assert_eq!(sample["labels"], r#"{"site":"ams"}"#);
    assert!(sample["sample_labels"].contains(r#""thread.name":"nginx""#), "{sample:#?}");
    assert_eq!(
        (sample["period_type"].as_str(), sample["period"].as_str()),
        ("cpu", "10000000"),
        "{sample:#?}"
    );
    assert_eq!(sample["duration_ns"], "10000000000", "{sample:#?}");
    let frames = rows(&home.data(), Table::Frames);
    let main = frames.iter().find(|row| row["function"] == "main").expect("has main");
    assert_eq!(
        (main["mapping"].as_str(), main["address"].as_str()),
        ("/usr/sbin/nginx", "4096"),
        "{main:#?}"
    );
    assert_eq!(main["build_id"], "ab".repeat(20), "{main:#?}");
    assert_eq!(main["kind"], "native", "{main:#?}");
}

#[test]
fn every_way_in_leads_to_the_same_rows() {
    let home = Home::new("");
    let collector = home.start();
    let gzip = |bytes: &[u8]| {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).expect("compresses");
        encoder.finish().expect("compresses")
    };
    let is_taken = |what: &str, answer: super::collector::Answer| {
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    };
    is_taken("plain", collector.post(PROFILES, &[PROTOBUF], &otlp(1, "plain")));
    is_taken(
        "gzip",
        collector.post(PROFILES, &[PROTOBUF, ("Content-Encoding", "gzip")], &gzip(&otlp(2, "gzip"))),
    );
    let zstd = zstd::encode_all(otlp(4, "zstd").as_slice(), 3).expect("compresses");
    is_taken("zstd", collector.post(PROFILES, &[PROTOBUF, ("Content-Encoding", "zstd")], &zstd));
    is_taken("pprof", collector.post("/api/v1/pprof?service=edge&host=edge-1&site=ams", &[], &pprof_file(8)));
    let name = "edge{__name__=process_cpu,host_name=edge-1,site=ams}";
    let ingest = format!("/ingest?name={name}&format=pprof").replace('{', "%7B").replace('}', "%7D");
    is_taken("ingest", collector.post(&ingest, &[], &pprof_file(16)));
    let label = |name: &str, value: &str| LabelPair { name: name.to_owned(), value: value.to_owned() };
    let series = RawProfileSeries {
        labels: vec![
            label("__name__", "process_cpu"),
            label("service_name", "edge"),
            label("host_name", "edge-1"),
            label("site", "ams"),
        ],
        samples: vec![RawSample { raw_profile: pprof_file(32), id: "5a5a".to_owned() }],
    };
    let push = PushRequest { series: vec![series] }.encode_to_vec();
    is_taken(
        "push",
        collector.post("/push.v1.PusherService/Push", &[("Content-Type", "application/proto")], &push),
    );
    let folded = format!("/ingest?name=folded&from={}&sampleRate=100", now_ns() / 1_000_000_000);
    is_taken("folded", collector.post(&folded, &[], b"main;work;leaf 3\nmain 1\n\n"));
    collector.end();

    let sum = 1 + 2 + 4 + 8 + 16 + 32;
    let cpu = by_leaf(&home, "cpu");
    let seen = expected(&[
        ("default edge edge-1 ngx_http_read_request_header", sum * PERIOD_NS),
        ("default edge edge-1 ngx_worker_process_cycle", 6 * PERIOD_NS),
        ("default folded  leaf", 3 * PERIOD_NS),
        ("default folded  main", PERIOD_NS),
    ]);
    assert_eq!(cpu, seen);
    let samples = rows(&home.data(), Table::Samples);
    let of_edge: Vec<Row> = samples.into_iter().filter(|row| row["service"] == "edge").collect();
    assert_eq!(counts(&of_edge, "labels"), BTreeMap::from([(r#"{"site":"ams"}"#.to_owned(), 24)]));
    assert_eq!(counts(&of_edge, "batch").len(), 6);
    // OTLP says what kind of frame it is, and pprof does not: each stack is there twice at most.
    let stacks = counts(&of_edge, "stack");
    assert!((2..=4).contains(&stacks.len()), "{stacks:#?}");
}

#[test]
fn metrics_are_kept_with_their_labels() {
    let home = Home::new("");
    let collector = home.start();
    let answer = collector.post("/v1/metrics", &[PROTOBUF], &metrics(4_096));
    assert_eq!(answer.status, 200, "{}", answer.text());
    collector.end();
    let rows = rows(&home.data(), Table::Metrics);
    assert_eq!(rows.len(), 1, "{rows:#?}");
    let seen = ["service", "host", "name", "unit", "kind", "labels", "value", "start"]
        .map(|name| rows[0][name].as_str());
    let labels = r#"{"state":"resident"}"#;
    assert_eq!(seen, ["edge", "edge-1", "process.memory.usage", "By", "gauge", labels, "4096", "null"]);
}

#[test]
fn the_same_batch_is_stored_once_however_often_and_whichever_way_it_comes() {
    let home = Home::new("");
    let mut collector = home.start();
    let keyless = request(&profile(3, now_ns()), "").encode_to_vec();
    for round in 0..3 {
        for _ in 0..2 {
            assert_eq!(collector.post(PROFILES, &[PROTOBUF], &otlp(5, "5a5a5a5a")).status, 200);
            let ingest = "/ingest?name=other&format=pprof";
            let answer = collector.post(ingest, &[("Idempotency-Key", "5a-5a5a-5a")], &pprof_file(7));
            assert_eq!(answer.status, 200);
            assert_eq!(collector.post(PROFILES, &[PROTOBUF], &keyless).status, 200);
        }
        // Across a kill, a flush, and an ordinary end.
        match round {
            0 => collector.kill(),
            1 => {
                collector.wait_for("brazier_store_segments_total", 1);
                collector.kill();
            }
            _ => collector.end(),
        }
        collector = home.start();
    }
    assert_eq!(collector.post(PROFILES, &[PROTOBUF], &otlp(5, "5a5a5a5a")).status, 200);
    assert_eq!(collector.counted("brazier_log_known_total"), 1);
    collector.end();
    let samples = rows(&home.data(), Table::Samples);
    let batches = counts(&samples, "batch");
    assert_eq!(batches.values().copied().collect::<Vec<_>>(), [4, 4], "{batches:#?}");
    assert_eq!(counts(&samples, "service"), BTreeMap::from([("edge".to_owned(), 8)]));
}

#[test]
fn tenants_with_the_same_names_do_not_meet() {
    let home = Home::new("");
    let collector = home.start();
    for (tenant, n) in [("a", 1), ("B", 2)] {
        let headers = [PROTOBUF, ("X-Scope-OrgID", tenant)];
        assert_eq!(collector.post(PROFILES, &headers, &otlp(n, "the same key")).status, 200);
    }
    collector.end();
    let leaf = "edge edge-1 ngx_http_read_request_header";
    let seen = by_leaf(&home, "samples");
    assert_eq!(
        (seen.get(&format!("a {leaf}")), seen.get(&format!("B {leaf}"))),
        (Some(&1), Some(&2)),
        "{seen:#?}"
    );
    let store = home.data().join("store/samples");
    for directory in ["a", "=42"] {
        assert!(store.join(directory).is_dir(), "{directory} in {}", store.display());
    }
}

#[test]
fn a_client_of_grpc_is_served_and_refused_by_the_table_of_otlp() {
    let home = Home::new("[limits]\nbody_bytes = 100000\nmessage_bytes = 200000\n");
    let collector = home.start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("starts");
    runtime.block_on(async {
        for encoding in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)] {
            let body = otlp(1, &format!("{encoding:?}"));
            let answer = export(&collector, "ProfilesService", body, encoding).await.expect("is taken");
            assert_eq!(ExportProfilesServiceResponse::decode(answer).expect("decodes").partial_success, None);
        }
        let is_refused = async |service: &str, body: Vec<u8>, encoding| {
            let status = export(&collector, service, body, encoding).await.expect_err("is refused");
            (status.code(), status.message().split(':').next().unwrap_or_default().to_owned())
        };
        assert_eq!(
            is_refused("ProfilesService", vec![0xff; 9], None).await,
            (Code::InvalidArgument, "malformed".into())
        );
        let large = is_refused("ProfilesService", vec![0; 100_001], None).await;
        assert_eq!(large, (Code::InvalidArgument, "body_too_large".into()));
        let bomb = is_refused("ProfilesService", vec![0; 300_000], Some(CompressionEncoding::Zstd)).await;
        assert_eq!(bomb, (Code::InvalidArgument, "message_too_large".into()));
        assert_eq!(
            is_refused("NoService", Vec::new(), None).await,
            (Code::Unimplemented, "no_such_path".into())
        );
    });
    drop(runtime);
    collector.end();
    assert_eq!(counts(&rows(&home.data(), Table::Samples), "batch").len(), 3);
}

async fn export(
    collector: &Collector,
    service: &str,
    body: Vec<u8>,
    encoding: Option<CompressionEncoding>,
) -> Result<Bytes, Status> {
    let channel = Channel::from_shared(format!("http://{}", collector.grpc)).expect("is an address");
    let mut client = tonic::client::Grpc::new(channel.connect().await.expect("connects"));
    if let Some(encoding) = encoding {
        client = client.send_compressed(encoding);
    }
    client.ready().await.expect("is ready");
    let path = format!("/opentelemetry.proto.collector.profiles.v1development.{service}/Export");
    let path = PathAndQuery::try_from(path).expect("is a path");
    Ok(client.unary(Request::new(Bytes::from(body)), path, Plain).await?.into_inner())
}

/// Messages as they are.
#[derive(Default)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put(out, message);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        use bytes::Buf as _;
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}

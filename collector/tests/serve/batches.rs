//! What an agent sends, by the project's own encoder.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceRequest;
use profile::{
    BuildId, Frame, Labels, Mapping, Meta, Profile, ValueType,
    encode::{
        otlp::{self, Envelope},
        otlp_metrics::{self, Metric, MetricKind, Number, Point},
        pprof,
    },
};
use prost::Message as _;

pub(crate) const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");
pub(crate) const PERIOD_NS: i64 = 10_000_000;

pub(crate) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("is after 1970");
    u64::try_from(since.as_nanos()).expect("is before 2554")
}

/// Two stacks of nginx, one into the kernel, with `n` samples on the first and one on the second.
pub(crate) fn profile(n: i64, start_unix_ns: u64) -> Profile {
    let meta = Meta {
        start_unix_ns,
        duration_ns: u64::try_from(Duration::from_secs(10).as_nanos()).expect("fits"),
        host: "edge-1".to_owned(),
        period_ns: PERIOD_NS.unsigned_abs(),
        ..Meta::default()
    };
    let mut profile = Profile::new(ValueType::CPU, meta);
    let path = profile.intern("/usr/sbin/nginx");
    let nginx = profile.mapping(Mapping::file(path, BuildId::new(&[0xab; 20])));
    let mut frame = |offset: u64, name: &str| {
        let function = profile.intern(name);
        profile.frame(Frame::native(nginx, offset).named(function))
    };
    let main = frame(0x1000, "main");
    let cycle = frame(0x4a210, "ngx_worker_process_cycle");
    let read = frame(0x5b000, "ngx_http_read_request_header");
    let (first, second) = (profile.stack([main, cycle, read]), profile.stack([main, cycle]));
    let process = profile.process(4711, "nginx");
    let thread = profile.thread(process, 4711, "nginx");
    profile.add(first, thread, &[n, n * PERIOD_NS]).expect("has two values");
    profile.add(second, thread, &[1, PERIOD_NS]).expect("has two values");
    profile
}

/// As it is in a request, with the key of its batch.
pub(crate) fn request(profile: &Profile, key: &str) -> ExportProfilesServiceRequest {
    let resource: Labels =
        [("service.name", "edge"), ("brazier.batch.key", key), ("site", "ams")].into_iter().collect();
    otlp::message(profile, &Envelope { resource, id: Some([7; 16]) })
}

/// The body of a request.
pub(crate) fn otlp(n: i64, key: &str) -> Vec<u8> {
    request(&profile(n, now_ns()), key).encode_to_vec()
}

/// The same, of an hour that is over: no test shall depend on the minute that it runs in.
pub(crate) fn otlp_of_before(n: i64, key: &str) -> Vec<u8> {
    const HOUR_NS: u64 = 3_600_000_000_000;
    let start_unix_ns = (now_ns() / HOUR_NS - 2) * HOUR_NS + HOUR_NS / 2;
    request(&profile(n, start_unix_ns), key).encode_to_vec()
}

/// A gzipped pprof file.
pub(crate) fn pprof_file(n: i64) -> Vec<u8> {
    let mut file = Vec::new();
    pprof::write(&profile(n, now_ns()), &mut file).expect("is written");
    file
}

/// The body of a request of metrics.
pub(crate) fn metrics(value: i64) -> Vec<u8> {
    let attributes = Labels::default().with("state", "resident");
    let metric = Metric {
        name: "process.memory.usage".to_owned(),
        unit: "By".to_owned(),
        description: String::new(),
        kind: MetricKind::Gauge,
        points: vec![Point { attributes, unix_ns: now_ns(), value: Number::Integer(value) }],
    };
    let labels = Labels::default().with("service.name", "edge");
    otlp_metrics::message([(&labels, &[metric][..])], "edge-1").encode_to_vec()
}

//! What is refused, why, and that the rest is not the worse for it.

use collector::store::path::Table;
use opentelemetry_proto::tonic::collector::profiles::v1development::{
    ExportProfilesServiceRequest, ExportProfilesServiceResponse,
};
use prost::Message as _;

use super::{
    batches::{PROTOBUF, now_ns, otlp, otlp_of_before, pprof_file, profile, request},
    collector::Home,
    read::{counts, files, rows},
};

const PROFILES: &str = "/v1development/profiles";
const LIMITS: &str = "[limits]\nbody_bytes = 100000\nmessage_bytes = 1000000\nseries = 4\n";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Path, status, reason, headers, body.
type Case<'a> = (&'a str, u16, &'a str, &'a [(&'a str, &'a str)], &'a [u8]);

/// What makes a request wrong.
type Bend = fn(&mut ExportProfilesServiceRequest);

#[test]
fn a_request_that_is_refused_says_why_and_is_counted() {
    let home = Home::new(LIMITS);
    let collector = home.start();
    let bomb = zstd::encode_all([0; 2_000_000].as_slice(), 3).expect("compresses");
    let zstd = ("Content-Encoding", "zstd");
    let long_key = "k".repeat(300);
    let empty_parts = [0x0a, 0].repeat(40_000);
    let cases: [Case<'_>; 12] = [
        ("/ingest?name=a", 403, "from_page", &[("Origin", "https://evil.example")], b"a 1"),
        ("/nowhere", 404, "no_such_path", &[], b""),
        (PROFILES, 415, "unknown_type", &[("Content-Type", "application/json")], b"{}"),
        (PROFILES, 415, "unknown_encoding", &[PROTOBUF, ("Content-Encoding", "br")], b""),
        (PROFILES, 413, "body_too_large", &[PROTOBUF], &[0; 100_001]),
        (PROFILES, 413, "message_too_large", &[PROTOBUF, zstd], &bomb),
        (PROFILES, 400, "malformed", &[PROTOBUF, zstd], b"garbage"),
        (PROFILES, 400, "malformed", &[PROTOBUF], &[0xff; 99]),
        (PROFILES, 400, "wrong_key", &[PROTOBUF, ("Idempotency-Key", &long_key)], b""),
        ("/ingest?format=jfr&name=a", 415, "unknown_type", &[], b""),
        ("/ingest?name=a", 400, "malformed", &[], b"a;b;c without a count"),
        ("/api/v1/pprof", 400, "no_type", &[], &empty_parts[..0]),
    ];
    for (path, status, reason, headers, body) in cases {
        let answer = collector.post(path, headers, body);
        assert_eq!(answer.status, status, "{path} {reason}: {}", answer.text());
        assert!(answer.text().contains(&format!("{reason}: ")), "{path} {reason}: {}", answer.text());
    }
    let refused = "brazier_receive_refused_total{receiver=\"otlp_profiles\",reason=\"malformed\"}";
    assert_eq!(collector.counted(refused), 2);
    assert_eq!(collector.get("/health").status, 200);
    assert_eq!(collector.post(PROFILES, &[PROTOBUF], &otlp(1, "good")).status, 200);
    collector.end();
    assert_eq!(rows(&home.data(), Table::Samples).len(), 4);
}

/// What is rejected of a request, by the answer.
fn rejected(answer: &super::collector::Answer) -> (i64, String) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let response = ExportProfilesServiceResponse::decode(answer.body.as_slice()).expect("is a response");
    let partial = response.partial_success.unwrap_or_default();
    let reason = partial.error_message.split(':').next().unwrap_or_default();
    (partial.rejected_profiles, reason.to_owned())
}

#[test]
fn what_is_wrong_with_one_profile_costs_that_profile() {
    let home = Home::new(LIMITS);
    let collector = home.start();
    let bends: [(&str, Bend); 7] = [
        ("too_old", |it| first(it).time_unix_nano = 1),
        ("in_future", |it| first(it).time_unix_nano = 4_102_444_800_000_000_000),
        ("duration_too_long", |it| first(it).duration_nano = u64::MAX),
        ("index_out_of_range", |it| first(it).samples[0].stack_index = i32::MAX),
        ("index_out_of_range", |it| first(it).attribute_indices.push(-1)),
        ("no_type", |it| first(it).sample_type = None),
        ("label_too_long", |it| {
            let key_strindex = 1;
            let value =
                opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue("x".repeat(50_000));
            let value = Some(opentelemetry_proto::tonic::common::v1::AnyValue { value: Some(value) });
            let tables = it.dictionary.as_mut().expect("has tables");
            tables.attribute_table.push(
                opentelemetry_proto::tonic::profiles::v1development::KeyValueAndUnit {
                    key_strindex,
                    value,
                    unit_strindex: 0,
                },
            );
            let index = i32::try_from(tables.attribute_table.len() - 1).expect("fits");
            first(it).samples[0].attribute_indices = vec![index];
        }),
    ];
    for (n, (reason, bend)) in (0..).zip(bends) {
        let mut bent = request(&profile(1, now_ns()), &format!("bent {n}"));
        bend(&mut bent);
        let answer = collector.post(PROFILES, &[PROTOBUF], &bent.encode_to_vec());
        assert_eq!(rejected(&answer), (1, reason.to_owned()), "bend {n}");
    }
    let mut broken = request(&profile(1, now_ns()), "broken");
    broken.dictionary.as_mut().expect("has tables").location_table.clear();
    assert_eq!(rejected(&collector.post(PROFILES, &[PROTOBUF], &broken.encode_to_vec())).0, 2);
    collector.end();
    // Of each bent one, the profile that was not: two samples.
    let samples = rows(&home.data(), Table::Samples);
    assert_eq!(counts(&samples, "batch").into_values().collect::<Vec<_>>(), [2; 7]);
}

fn first(
    request: &mut ExportProfilesServiceRequest,
) -> &mut opentelemetry_proto::tonic::profiles::v1development::Profile {
    &mut request.resource_profiles[0].scope_profiles[0].profiles[0]
}

#[test]
fn series_are_limited_and_those_that_are_there_go_on() {
    let home = Home::new(LIMITS);
    let collector = home.start();
    let send = |site: &str, key: &str| {
        let mut request = request(&profile(1, now_ns()), key);
        let resource = request.resource_profiles[0].resource.as_mut().expect("has a resource");
        let attribute = resource.attributes.iter_mut().find(|it| it.key == "site").expect("has a site");
        let value = opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue(site.to_owned());
        attribute.value = Some(opentelemetry_proto::tonic::common::v1::AnyValue { value: Some(value) });
        rejected(&collector.post(PROFILES, &[PROTOBUF], &request.encode_to_vec()))
    };
    let none = || (0, String::new());
    assert_eq!([send("a", "1"), send("b", "2")], [none(), none()], "two series each");
    assert_eq!(send("c", "3"), (2, "too_many_series".to_owned()));
    assert_eq!(send("a", "4"), none());
    assert_eq!(collector.counted("brazier_tenant_series{tenant=\"default\"}"), 4);
    collector.end();
}

#[test]
fn a_rate_is_kept_by_telling_when_to_come_again() {
    let home = Home::new("[limits]\nbytes_per_second = 100\n");
    let collector = home.start();
    let answers: Vec<_> =
        (0..20).map(|n| collector.post("/api/v1/pprof?service=a", &[], &pprof_file(n + 1))).collect();
    let last = answers.last().expect("has answers");
    assert_eq!(last.status, 429, "{answers:?}");
    let seconds: u64 = last.retry_after.as_deref().expect("says when").parse().expect("in seconds");
    assert!((1..=3_600).contains(&seconds), "{seconds}");
    collector.end();
}

#[test]
fn whoever_has_no_token_is_refused() {
    let home = Home::new("");
    let tokens = home.path().join("tokens");
    std::fs::write(&tokens, format!("{TOKEN}\n")).expect("writes");
    home.configure(&format!("[tenant.a]\ntoken_file = {tokens:?}\n"));
    let collector = home.start();
    let bearer = format!("Bearer {TOKEN}");
    let cases: [(u16, &[(&str, &str)]); 5] = [
        (401, &[PROTOBUF]),
        (401, &[PROTOBUF, ("Authorization", "Bearer 0123456789abcdef0123456789abcdee")]),
        (403, &[PROTOBUF, ("Authorization", &bearer), ("X-Scope-OrgID", "b")]),
        (200, &[PROTOBUF, ("Authorization", &bearer)]),
        (200, &[PROTOBUF, ("Authorization", &bearer), ("X-Scope-OrgID", "a")]),
    ];
    for (status, headers) in cases {
        let answer = collector.post(PROFILES, headers, &otlp(1, "key"));
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.text());
    }
    collector.end();
    let samples = rows(&home.data(), Table::Samples);
    assert_eq!(counts(&samples, "tenant").into_iter().collect::<Vec<_>>(), [("a".to_owned(), 4)]);
}

#[test]
fn a_full_log_refuses_and_the_store_gets_what_waited_when_it_answers() {
    // A store that is no directory takes nothing.
    let home = Home::new("[log]\nflush_after_seconds = 1\nmax_bytes = 20000\n");
    let store = home.data().join("store");
    std::fs::create_dir_all(store.join("samples")).expect("makes");
    for table in ["samples", "stacks", "frames"] {
        let path = store.join(table).join("default");
        std::fs::create_dir_all(store.join(table)).expect("makes");
        std::fs::write(&path, "in the way").expect("writes");
    }
    let collector = home.start();
    let mut n_taken = 0;
    let refusal = loop {
        let answer = collector.post(PROFILES, &[PROTOBUF], &otlp(1, &n_taken.to_string()));
        if answer.status != 200 {
            break answer;
        }
        n_taken += 1;
        assert!(n_taken < 1_000, "the log is never full");
    };
    assert_eq!((refusal.status, refusal.retry_after.as_deref()), (503, Some("5")), "{}", refusal.text());
    assert!(n_taken > 3, "{n_taken}");
    collector.wait_for("brazier_store_failed_total", 3);
    let health = collector.get("/health").text();
    assert!(health.contains("store_failing"), "{health}");
    for table in ["samples", "stacks", "frames"] {
        std::fs::remove_file(store.join(table).join("default")).expect("removes");
    }
    collector.wait_for("brazier_store_segments_total", 1);
    collector.end();
    let batches = counts(&rows(&home.data(), Table::Samples), "batch");
    assert_eq!(batches.len(), n_taken);
}

#[test]
fn a_damaged_segment_is_set_aside_and_the_rest_of_it_served() {
    let home = Home::new("[log]\nflush_after_seconds = 600\n");
    let collector = home.start();
    for n in 0..3 {
        assert_eq!(collector.post(PROFILES, &[PROTOBUF], &otlp(n + 1, &n.to_string())).status, 200);
    }
    collector.kill();
    let wal = home.data().join("wal");
    let segment = wal.join("0000000000000001.log");
    let mut bytes = std::fs::read(&segment).expect("is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    bytes.extend_from_slice(b"BRZr and then nothing");
    std::fs::write(&segment, bytes).expect("writes");
    // And one that nobody can read.
    std::fs::write(wal.join("0000000000000002.log"), b"garbage").expect("writes");

    let collector = home.start();
    collector.wait_for("brazier_store_segments_total", 2);
    let health = collector.get("/health");
    assert!(health.text().contains("log_damaged"), "{}", health.text());
    assert_eq!(collector.counted("brazier_log_set_aside_total"), 1);
    assert!(collector.counted("brazier_log_torn_bytes_total") > 0, "{}", collector.get("/metrics").text());
    collector.end();
    assert_eq!(counts(&rows(&home.data(), Table::Samples), "batch").len(), 2);
    assert!(
        wal.join("0000000000000001.damaged").is_file(),
        "{:?}",
        std::fs::read_dir(&wal).expect("lists").count()
    );
}

#[test]
fn a_log_is_of_one_collector() {
    let home = Home::new("");
    let first = home.start();
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_collector"))
        .args(["serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--web", "127.0.0.1:0", "--data"])
        .arg(home.data())
        .output()
        .expect("runs");
    let message = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && message.contains("in use by another collector"), "{message}");
    first.end();
}

#[test]
fn small_files_become_one_and_what_is_too_much_is_removed() {
    let home = Home::new("[log]\nflush_after_seconds = 0\n[upkeep]\nevery_seconds = 1\n");
    let collector = home.start();
    for n in 0..9 {
        assert_eq!(collector.post(PROFILES, &[PROTOBUF], &otlp_of_before(n + 1, &n.to_string())).status, 200);
        collector.wait_for("brazier_store_segments_total", n.unsigned_abs() + 1);
    }
    collector.wait_for("brazier_store_merged_total", 8);
    collector.end();
    let samples = rows(&home.data(), Table::Samples);
    assert_eq!(counts(&samples, "batch").into_values().collect::<Vec<_>>(), [4; 9]);
    let n_files = files(&home.data()).iter().filter(|path| path.table == Table::Samples).count();
    assert!(n_files < 9, "{n_files}");
    let sorted: Vec<_> = samples.iter().map(|row| (row["type"].clone(), row["time"].clone())).collect();
    assert!(n_files > 1 || sorted.is_sorted(), "{sorted:?}");

    // One that cannot be read does not keep the others from becoming one.
    let damaged =
        files(&home.data()).into_iter().find(|path| path.table == Table::Samples).expect("is there");
    std::fs::write(home.data().join("store").join(damaged.to_string()), b"garbage").expect("writes");
    let n_before = samples.len();
    let collector = home.start();
    for n in 20..30 {
        assert_eq!(collector.post(PROFILES, &[PROTOBUF], &otlp_of_before(n, &n.to_string())).status, 200);
        collector.wait_for("brazier_store_segments_total", n.unsigned_abs() - 19);
    }
    collector.wait_for("brazier_store_merged_total", 8);
    assert_eq!(collector.counted("brazier_store_files_damaged_total"), 1);
    assert!(collector.get("/health").text().contains("file_damaged"), "{}", collector.get("/health").text());
    collector.end();
    assert!(home.data().join("store/damaged").join(damaged.to_string()).is_file(), "{damaged}");
    let n_left = counts(&rows(&home.data(), Table::Samples), "batch").len();
    assert!((10..n_before / 4 + 10).contains(&n_left), "{n_left}");

    // What was measured four hours ago, and may be there for three.
    home.configure("[log]\nflush_after_seconds = 0\n[upkeep]\nevery_seconds = 1\nmax_age_seconds = 10800\n");
    let collector = home.start();
    let four_hours_ns = 14_400_000_000_000;
    let old = request(&profile(1, now_ns() - four_hours_ns), "old").encode_to_vec();
    assert_eq!(rejected(&collector.post(PROFILES, &[PROTOBUF], &old)), (0, String::new()));
    collector.wait_for("brazier_store_removed_total", 1);
    collector.end();
    assert_eq!(counts(&rows(&home.data(), Table::Samples), "batch").len(), n_left);
}

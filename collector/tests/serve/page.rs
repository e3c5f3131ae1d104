//! The page, read in Chromium by `page.py`: what is to be seen of profiles that were sent, and after what people do to it.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use profile::{
    BuildId, Frame, Labels, Mapping, Meta, Profile, ValueType,
    encode::otlp_metrics::{self, Metric, MetricKind, Number, Point},
};
use prost::Message as _;
use serde_json::Value;

use super::{
    batches::{PERIOD_NS, PROTOBUF, now_ns, request},
    collector::{Collector, Home},
};

const SECOND_NS: u64 = 1_000_000_000;
const N_WINDOWS: u64 = 20;
/// A window of ten seconds each minute.
const STEP_NS: u64 = 60 * SECOND_NS;
/// Samples in `writev` and in the cycle itself, in each window.
const N_WRITE: i64 = 20;
const N_CYCLE: i64 = 1;

/// The rule that holds by itself, without a wait.
const LEAKS: &str = r#"
[alerts]
every_seconds = 1
[[watch]]
name = "process_memory_leak"
kind = "leak"
metric = "process.memory.usage"
for_seconds = 0
"#;

/// Samples in `longest_match`: four times as many in the second half.
const fn n_deflate(window: u64) -> i64 {
    if window < N_WINDOWS / 2 { 10 } else { 40 }
}

fn window(start_unix_ns: u64, n_deflate: i64) -> Profile {
    let meta = Meta {
        start_unix_ns,
        duration_ns: 10 * SECOND_NS,
        host: "edge-1".to_owned(),
        period_ns: PERIOD_NS.unsigned_abs(),
        ..Meta::default()
    };
    let mut profile = Profile::new(ValueType::CPU, meta);
    let mut mapping = |path: &str, id: u8| {
        let path = profile.intern(path);
        profile.mapping(Mapping::file(path, BuildId::new(&[id; 20])))
    };
    let [nginx, libz, libc] = [("/usr/sbin/nginx", 1), ("/usr/lib/libz.so.1", 2), ("/usr/lib/libc.so.6", 3)]
        .map(|(path, id)| mapping(path, id));
    let mut frame = |mapping, offset: u64, name: &str| {
        let function = profile.intern(name);
        profile.frame(Frame::native(mapping, offset).named(function))
    };
    let main = frame(nginx, 0x1000, "main");
    let cycle = frame(nginx, 0x2000, "ngx_worker_process_cycle");
    let handler = frame(nginx, 0x3000, "ngx_http_handler");
    let deflate = frame(libz, 0x1000, "deflate");
    let longest_match = frame(libz, 0x2000, "longest_match");
    let writev = frame(libc, 0x1000, "writev");
    let process = profile.process(4711, "nginx");
    let thread = profile.thread(process, 4711, "nginx");
    let stacks = [
        (vec![main, cycle, handler, deflate, longest_match], n_deflate),
        (vec![main, cycle, handler, writev], N_WRITE),
        (vec![main, cycle], N_CYCLE),
    ];
    for (frames, n) in stacks {
        let stack = profile.stack(frames);
        profile.add(stack, thread, &[n, n * PERIOD_NS]).expect("has two values");
    }
    profile
}

/// Resident memory that grows by 5 MiB a minute.
fn memory(from_unix_ns: u64) -> Vec<u8> {
    const MIB: i64 = 1 << 20;
    let points = (0..N_WINDOWS).zip(0..).map(|(window, n)| Point {
        attributes: Labels::default().with("state", "resident"),
        unix_ns: from_unix_ns + window * STEP_NS,
        value: Number::Integer((100 + 5 * n) * MIB),
    });
    let metric = Metric {
        name: "process.memory.usage".to_owned(),
        unit: "By".to_owned(),
        description: String::new(),
        kind: MetricKind::Gauge,
        points: points.collect(),
    };
    let labels = Labels::default().with("service.name", "edge");
    otlp_metrics::message([(&labels, &[metric][..])], "edge-1").encode_to_vec()
}

/// Sends all of it.
fn fill(collector: &Collector, from_unix_ns: u64) {
    for n in 0..N_WINDOWS {
        let profile = window(from_unix_ns + n * STEP_NS + 5 * SECOND_NS, n_deflate(n));
        let body = request(&profile, &format!("window {n}")).encode_to_vec();
        let answer = collector.post("/v1development/profiles", &[PROTOBUF], &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let answer = collector.post("/v1/metrics", &[PROTOBUF], &memory(from_unix_ns));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Runs `page.py`, with the packages that stand beside `part`.
fn read(collector: &Collector, part: &Path, search: &str, out: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/serve/page.py");
    let packages = part.parent().and_then(Path::parent).expect("is a file of a package");
    let output = Command::new("python3")
        .arg(script)
        .args([format!("http://{}/", collector.web).as_str(), out.to_str().expect("is UTF-8"), search])
        .env("PYTHONPATH", packages)
        // It imports what stands beside it.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env_remove("http_proxy")
        .output()
        .expect("python3 starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let _ = std::io::stderr().write_all(text.as_bytes());
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

struct Seen(Value);

impl Seen {
    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_else(|| panic!("{name} is {}", self.0[name]))
    }

    fn list(&self, name: &str) -> Vec<&str> {
        let list = self.0[name].as_array().unwrap_or_else(|| panic!("{name} is {}", self.0[name]));
        list.iter().filter_map(Value::as_str).collect()
    }
}

#[test]
fn a_browser_is_sent_the_page_and_its_files() {
    let collector = Home::new("").start();
    for (path, start) in
        [("/", "<!doctype html>"), ("/main.js", "//"), ("/style.css", ":root"), ("/icon.svg", "<svg")]
    {
        let answer = collector.get(path);
        assert!(answer.status == 200 && answer.text().starts_with(start), "{path}: {answer:?}");
    }
    for path in ["/nothing.js", "/tests/tree.test.js", "/package.json", "/%2e%2e/Cargo.toml"] {
        assert_eq!(collector.get(path).status, 404, "{path}");
    }
}

#[test]
fn people_find_on_the_page_what_was_sent() {
    let Some(part) = env::var_os("BRAZIER_PLAYWRIGHT").map(PathBuf::from) else {
        let _ = std::io::stderr().write_all(b"\nskipped: no Playwright (`cargo xtask test` fetches it)\n");
        return;
    };
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    fs::create_dir_all(&out).expect("makes a directory");
    let home = Home::new(LEAKS);
    let collector = home.start();
    let until_unix_ns = now_ns() / SECOND_NS * SECOND_NS;
    let from_unix_ns = until_unix_ns - N_WINDOWS * STEP_NS;
    fill(&collector, from_unix_ns);
    // What is not in the store cannot be seen; at its end, a collector has all of it there.
    collector.end();
    let collector = home.start();
    let search = format!("?from={}&until={}", from_unix_ns / 1_000_000, until_unix_ns / 1_000_000);
    let seen = Seen(read(&collector, &part, &search, &out));

    // An alert, and where it leads.
    assert_eq!(seen.text("alerts"), "1 alert");
    let alert = seen.text("alert");
    assert!(
        alert.starts_with("process.memory.usage leaks: grew") && alert.contains("host=edge-1"),
        "{alert}"
    );
    assert!(seen.text("alert_search").contains("tab=memory"), "{}", seen.text("alert_search"));
    let leads_to = seen.list("alert_leads_to");
    assert!(leads_to.len() == 1 && leads_to[0].contains("leak"), "{leads_to:?}");

    // 310 samples of 10 ms in the first half, 610 in the second one.
    assert_eq!(seen.text("whole"), "All of it: 9.2 s");
    assert!(seen.text("timeline").contains("CPU on average"), "{}", seen.text("timeline"));
    assert_eq!(seen.list("services"), ["all services", "edge"]);
    let functions = seen.list("functions");
    assert_eq!(functions.len(), 6, "{functions:?}");
    assert_eq!(functions[0], "longest_match libz.so.1 5 s 54.35 % 5 s 54.35 %");
    assert_eq!(functions[1], "writev libc.so.6 4 s 43.48 % 4 s 43.48 %");

    // A part that was dragged over: nine of the windows of the second half. And back.
    assert_eq!(seen.text("part"), "All of it: 5.49 s");
    let part_search = seen.text("part_search");
    assert!(part_search.contains("&a=") && part_search.contains("&b="), "{part_search}");
    assert_eq!(seen.text("after_back"), "All of it: 9.2 s");

    // Keys, the words for those who listen, and the link.
    let announced = seen.text("announced");
    assert_eq!(announced, "ngx_worker_process_cycle, nginx, 100.00 %, 9.2 s, self 2.17 %, depth 2, 1 child");
    let zoomed = "All › main › ngx_worker_process_cycle";
    assert_eq!(seen.text("crumbs"), zoomed);
    assert!(seen.text("zoomed_search").contains("at="), "{}", seen.text("zoomed_search"));
    assert_eq!(seen.text("crumbs_of_link"), zoomed);
    assert_eq!(seen.text("after_escape"), "All of it: 9.2 s");
    assert_eq!(seen.text("clicked"), zoomed);
    assert!(seen.text("tip").contains("In nginx Total 9.2 s"), "{}", seen.text("tip"));

    assert_eq!(seen.text("found"), "54.35 %");
    assert_eq!(seen.list("found_functions"), [functions[0]]);
    assert!(seen.text("sandwich").contains("longest_match"), "{}", seen.text("sandwich"));
    assert_eq!(seen.list("sandwich_heads"), ["Callers", "Callees"]);
    assert!(!seen.text("end_search").contains("q="), "{}", seen.text("end_search"));
    assert_eq!(seen.text("help"), "Keys");
    downloaded(&out, &seen.list("downloads"));

    // The first half against the second one: 100 of 310 samples, then 400 of 610.
    assert_eq!(seen.text("compared"), "All of it: 6.1 s against 3.1 s");
    let changes = seen.list("changes");
    assert_eq!(changes[0], "longest_match libz.so.1 32.26 % 65.57 % +33.32 +33.32");
    assert_eq!(changes[1], "writev libc.so.6 64.52 % 32.79 % −31.73 −31.73");
    assert_eq!(seen.text("compared_with_part"), "All of it: 6.1 s against 1.55 s");
    let memory = seen.list("memory");
    assert!(
        memory.len() == 1 && memory[0].contains("host=edge-1") && memory[0].contains("195 MiB"),
        "{memory:?}"
    );

    assert!(seen.text("nobody").contains("Nothing matches the selector"), "{}", seen.text("nobody"));
    assert!(seen.text("wrong_selector").contains("is missing"), "{}", seen.text("wrong_selector"));
    assert_eq!(seen.list("errors"), Vec::<&str>::new(), "what the browser complains of");
    assert_eq!(seen.list("hosts"), [collector.web.to_string()], "where it asked");
    assert_eq!(seen.0["frames"]["n_nodes"], 100_000);
}

/// The files are what they are called.
fn downloaded(out: &Path, names: &[&str]) {
    assert_eq!(names.len(), 4, "{names:?}");
    let files: Vec<Vec<u8>> = names.iter().map(|name| fs::read(out.join(name)).expect("was saved")).collect();
    let text = |n: usize| String::from_utf8_lossy(&files[n]);
    assert!(
        files[0].starts_with(&[0x1f, 0x8b]),
        "pprof is gzipped: {:?}",
        &files[0][..files[0].len().min(16)]
    );
    assert!(text(1).contains("<svg"), "{}", text(1));
    assert!(text(2).lines().any(|line| line.contains("deflate;longest_match ")), "{}", text(2));
    assert!(text(3).contains("speedscope"), "{}", text(3));
}

//! A bucket instead of a directory: a server on loopback that keeps objects as S3 does, and fails when told to.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use collector::store::path::{FilePath, Table};

use serde_json::json;

use super::{
    api::ask_as,
    batches::{PROTOBUF, otlp_of_before},
    collector::Home,
    read::{counts, rows_of},
};

pub(crate) const NAME: &str = "profiles";

/// The bucket; its server ends with the test.
#[derive(Clone, Default)]
pub(crate) struct Bucket {
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    is_failing: Arc<AtomicBool>,
    /// How far away it is: each request waits so long.
    delay_ms: Arc<AtomicU64>,
    n_requests: Arc<AtomicU64>,
    n_bytes: Arc<AtomicU64>,
}

impl Bucket {
    pub(crate) fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let address = listener.local_addr().expect("has an address");
        let it = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let it = it.clone();
                // A connection that ends in the middle is one that the collector has ended.
                thread::spawn(move || it.serve(&stream));
            }
        });
        address
    }

    /// Moves it, and begins to count anew.
    pub(crate) fn set_delay(&self, delay_ms: u64) {
        self.delay_ms.store(delay_ms, Ordering::Relaxed);
        self.counts();
    }

    /// Requests since this was asked the last time, and bytes of answers to them.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.n_requests.swap(0, Ordering::Relaxed), self.n_bytes.swap(0, Ordering::Relaxed))
    }

    /// Cuts the first object of a table in two.
    pub(crate) fn cut(&self, table: &str) {
        let mut objects = self.objects.lock().expect("is whole");
        let object = objects.iter_mut().find(|(key, _)| key.contains(&format!("/{table}/")));
        let (_, object) = object.expect("there is one");
        object.truncate(object.len() / 2);
    }

    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
            let mut words = line.split(' ');
            let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
            let (mut n_bytes, mut range) = (0, None);
            loop {
                let mut header = String::new();
                reader.read_line(&mut header).ok().filter(|n| *n > 0)?;
                let Some((name, value)) = header.trim_end().split_once(':') else { break };
                if name.eq_ignore_ascii_case("content-length") {
                    n_bytes = value.trim().parse().ok()?;
                } else if name.eq_ignore_ascii_case("range") {
                    range = Some(value.trim().to_owned());
                }
            }
            let mut body = vec![0; n_bytes];
            reader.read_exact(&mut body).ok()?;
            let (status, body) = self.answer(&method, &target, body);
            let (status, more, body) = match range.filter(|_| status == 200) {
                Some(range) => {
                    let (from, until) = part(&range, body.len())?;
                    let more = format!("Content-Range: bytes {from}-{}/{}\r\n", until - 1, body.len());
                    (206, more, body.get(from..until)?.to_vec())
                }
                None => (status, String::new(), body),
            };
            let head = format!(
                "HTTP/1.1 {status} X\r\n{more}Content-Length: {}\r\nETag: \"x\"\r\nLast-Modified: Sat, 21 Nov 2026 17:00:00 GMT\r\n\r\n",
                body.len()
            );
            thread::sleep(Duration::from_millis(self.delay_ms.load(Ordering::Relaxed)));
            self.n_requests.fetch_add(1, Ordering::Relaxed);
            self.n_bytes.fetch_add(u64::try_from(body.len()).ok()?, Ordering::Relaxed);
            let mut stream = stream;
            stream.write_all(&[head.as_bytes(), &body].concat()).ok()?;
        }
    }

    fn answer(&self, method: &str, target: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
        if self.is_failing.load(Ordering::Relaxed) {
            return (403, b"<Error><Code>AccessDenied</Code></Error>".to_vec());
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let key =
            path.trim_start_matches('/').trim_start_matches(NAME).trim_start_matches('/').replace("%3D", "=");
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        match method {
            "GET" if query.contains("list-type") => {
                let entry = |(key, object): (&String, &Vec<u8>)| {
                    format!(
                        "<Contents><Key>{key}</Key><LastModified>2026-11-21T17:00:00.000Z</LastModified>\
                         <ETag>x</ETag><Size>{}</Size></Contents>",
                        object.len()
                    )
                };
                let entries: String = objects.iter().map(entry).collect();
                (200, format!("<ListBucketResult>{entries}</ListBucketResult>").into_bytes())
            }
            "GET" => objects.get(&key).map_or((404, Vec::new()), |object| (200, object.clone())),
            "PUT" => {
                objects.insert(key, body);
                (200, Vec::new())
            }
            "DELETE" => {
                objects.remove(&key);
                (204, Vec::new())
            }
            // Several at once.
            "POST" if query.contains("delete") => {
                let text = String::from_utf8_lossy(&body).into_owned();
                let keys = text.split("<Key>").skip(1).filter_map(|part| part.split("</Key>").next());
                let mut deleted = String::new();
                for key in keys {
                    objects.remove(key);
                    deleted += &format!("<Deleted><Key>{key}</Key></Deleted>");
                }
                (200, format!("<DeleteResult>{deleted}</DeleteResult>").into_bytes())
            }
            _ => (501, Vec::new()),
        }
    }

    fn files(&self) -> Vec<(FilePath, bytes::Bytes)> {
        let objects = self.objects.lock().expect("is whole");
        let named = |(key, object): (&String, &Vec<u8>)| {
            let path = FilePath::parse(key.strip_prefix("prod/")?)?;
            Some((path, bytes::Bytes::from(object.clone())))
        };
        objects.iter().filter_map(named).collect()
    }
}

/// `bytes=2-5`, `bytes=2-` or `bytes=-4` of so many: from, and the first behind it.
fn part(range: &str, n_bytes: usize) -> Option<(usize, usize)> {
    let (from, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    Some(match (from, last) {
        ("", last) => (n_bytes.saturating_sub(last.parse().ok()?), n_bytes),
        (from, "") => (from.parse().ok()?, n_bytes),
        (from, last) => (from.parse().ok()?, (last.parse::<usize>().ok()? + 1).min(n_bytes)),
    })
}

/// What programs know a bucket by.
pub(crate) fn variables(address: SocketAddr) -> [(&'static str, String); 5] {
    [
        ("AWS_ENDPOINT", format!("http://{address}")),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_ACCESS_KEY_ID", "key".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
    ]
}

#[test]
fn a_bucket_holds_what_a_directory_would_and_gets_what_waited_while_it_failed() {
    let bucket = Bucket::default();
    let address = bucket.start();
    let home = Home::new(&format!(
        "store = \"s3://{NAME}/prod\"\n[log]\nflush_after_seconds = 0\n[upkeep]\nevery_seconds = 1\n"
    ));
    let variables = variables(address);
    let collector = home.start_with(&variables);
    let send = |n: i64| {
        let answer =
            collector.post("/v1development/profiles", &[PROTOBUF], &otlp_of_before(n, &n.to_string()));
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    for n in 1..=9 {
        send(n);
        collector.wait_for("brazier_store_segments_total", n.unsigned_abs());
    }
    collector.wait_for("brazier_store_merged_total", 8);
    let what = [("type", "samples:count"), ("match", r#"{host="edge-1"}"#), ("from", "now-5h")];
    let (status, asked) = ask_as(&collector, "default", "/api/v1/flamegraph", &what);
    assert_eq!((status, &asked["total"], &asked["warnings"]), (200, &json!(45 + 9), &json!([])), "{asked}");
    bucket.is_failing.store(true, Ordering::Relaxed);
    send(10);
    collector.wait_for("brazier_store_failed_total", 3);
    let health = collector.get("/health").text();
    assert!(health.contains("store_failing"), "{health}");
    let (status, asked) = ask_as(&collector, "default", "/api/v1/flamegraph", &what);
    assert_eq!((status, &asked["error"]["reason"]), (503, &json!("store_failed")), "{asked}");
    bucket.is_failing.store(false, Ordering::Relaxed);
    collector.wait_for("brazier_store_segments_total", 10);
    let (status, asked) = ask_as(&collector, "default", "/api/v1/flamegraph", &what);
    assert_eq!((status, &asked["total"]), (200, &json!(55 + 10)), "{asked}");
    collector.end();

    let files = bucket.files();
    let samples = rows_of(files.clone(), Table::Samples);
    assert_eq!(counts(&samples, "batch").into_values().collect::<Vec<_>>(), [4; 10], "{samples:#?}");
    let n_files = files.iter().filter(|(path, _)| path.table == Table::Samples).count();
    assert!(n_files < 10, "{n_files}");
    assert!(!home.data().join("store").exists(), "something is in a directory");
}

//! What windows of many services become on disk. Also prints how much is taken in a second, and what a row costs.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use collector::store::path::Table;
use profile::{
    BuildId, Frame, Labels, Mapping, Meta, Profile, ValueType,
    encode::otlp::{self, Envelope},
};
use prost::Message as _;

use super::{
    batches::{PERIOD_NS, PROTOBUF, now_ns},
    collector::{Home, try_post},
    read::sizes,
};

const N_HOSTS: usize = 4;
const N_TARGETS: usize = 25;
const N_STACKS: usize = 300;
const N_FRAMES: usize = 25;
/// Unless `BRAZIER_WINDOWS` says otherwise.
const N_WINDOWS: usize = 1;
const WINDOW_NS: u64 = 10_000_000_000;
const N_SENDERS: usize = 4;

/// Numbers that look like chance, the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// A window of a target: 300 of the 1,200 stacks that its service has, the first ones more often.
fn window(host: usize, target: usize, window: usize, start_unix_ns: u64) -> Vec<u8> {
    let meta = Meta {
        start_unix_ns,
        duration_ns: WINDOW_NS,
        host: format!("host-{host}"),
        period_ns: PERIOD_NS.unsigned_abs(),
        ..Meta::default()
    };
    let mut profile = Profile::new(ValueType::CPU, meta);
    let path = profile.intern(&format!("/usr/bin/service-{target}"));
    let build_id = u8::try_from(target).expect("is small");
    let mapping = profile.mapping(Mapping::file(path, BuildId::new(&[build_id; 20])));
    let pid = u32::try_from(1_000 + target).expect("fits");
    let process = profile.process(pid, &format!("service-{target}"));
    let thread = profile.thread(process, pid, "worker");
    let seed = host * 1_000_003 + target * 7_919 + window;
    let mut chance = Chance(u64::try_from(seed).expect("fits"));
    for _ in 0..N_STACKS {
        // Squared: most samples are on few stacks.
        let draw = chance.below(1_200) * chance.below(1_200) / 1_200;
        let mut shape = Chance(draw * 31 + u64::try_from(target).expect("fits"));
        let frames: Vec<_> = (0..u64::try_from(N_FRAMES).expect("fits"))
            .map(|depth| {
                // Shared towards the root, many leaves.
                let number = depth * 64 + shape.below(1 + depth * 2);
                let name = profile.intern(&format!("service_{target}::module_{depth}::function_{number}"));
                profile.frame(Frame::native(mapping, 0x1000 + number * 0x40).named(name))
            })
            .collect();
        let stack = profile.stack(frames);
        let n = i64::try_from(1 + chance.below(5)).expect("fits");
        profile.add(stack, thread, &[n, n * PERIOD_NS]).expect("has two values");
    }
    let resource: Labels = [
        ("service.name".to_owned(), format!("service-{target}")),
        ("brazier.batch.key".to_owned(), format!("{host} {target} {window}")),
        ("deployment.environment".to_owned(), "production".to_owned()),
        ("container.id".to_owned(), format!("{:064x}", host * 1_000 + target)),
    ]
    .into_iter()
    .collect();
    otlp::message(&profile, &Envelope { resource, id: Some([1; 16]) }).encode_to_vec()
}

#[test]
fn figures_of_a_realistic_mix() {
    let home = Home::new("[log]\n[limits]\nbytes_per_second = 1000000000\n");
    let n_windows = std::env::var("BRAZIER_WINDOWS").map_or(N_WINDOWS, |n| n.parse().expect("is a number"));
    let start_unix_ns = now_ns() - WINDOW_NS * u64::try_from(n_windows).expect("fits");
    let mut bodies = Vec::new();
    for n in 0..n_windows {
        let at = start_unix_ns + WINDOW_NS * u64::try_from(n).expect("fits");
        for host in 0..N_HOSTS {
            bodies.extend((0..N_TARGETS).map(|target| {
                let body = window(host, target, n, at);
                (body.len(), zstd::encode_all(body.as_slice(), 3).expect("compresses"))
            }));
        }
    }
    let n_bytes: usize = bodies.iter().map(|(plain, _)| plain).sum();
    let n_packed: usize = bodies.iter().map(|(_, packed)| packed.len()).sum();
    let collector = home.start();
    let (to, next) = (collector.http, AtomicUsize::new(0));
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..N_SENDERS {
            scope.spawn(|| {
                while let Some((_, body)) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let headers = [PROTOBUF, ("Content-Encoding", "zstd")];
                    let answer = try_post(to, "/v1development/profiles", &headers, body).expect("answers");
                    assert_eq!(answer.status, 200, "{}", answer.text());
                }
            });
        }
    });
    let taken = start.elapsed();
    let n_writes = collector.counted("brazier_log_writes_total");
    let log_bytes = collector.counted("brazier_log_written_bytes_total");
    collector.end();
    let flushed = start.elapsed();
    let n_batches = bodies.len();
    println!("{n_batches} requests of {} bytes, {} with zstd", n_bytes / n_batches, n_packed / n_batches);
    println!(
        "acknowledged: {:.0} a second, {:.1} in each write of the log, {log_bytes} bytes there; in the store after {:.1} s",
        n_batches as f64 / taken.as_secs_f64(),
        n_batches as f64 / n_writes as f64,
        flushed.as_secs_f64(),
    );
    let sizes = sizes(&home.data());
    for (table, (n_files, n_rows, n_bytes)) in &sizes {
        let per_row = *n_bytes as f64 / *n_rows as f64;
        println!("{table:?}: {n_files} files, {n_rows} rows, {n_bytes} bytes, {per_row:.1} a row");
    }
    let all: usize = sizes.values().map(|(_, _, n_bytes)| n_bytes).sum();
    let n_samples = sizes[&Table::Samples].1;
    // A window has a stack more than once, and each time a number and CPU time.
    let n_most = 2 * N_STACKS * n_batches;
    assert!(n_samples > n_most / 2 && n_samples <= n_most, "{n_samples} rows of at most {n_most}");
    println!(
        "{:.1} bytes for each row of samples, stacks and frames included",
        all as f64 / n_samples as f64
    );
    if let Some(to) = std::env::var_os("COLLECTOR_FIGURES_DIR").map(PathBuf::from) {
        std::fs::rename(home.data(), &to).expect("is on the same file system");
    }
}

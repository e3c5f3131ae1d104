//! A disk that fills up under the log: what is refused, that nothing acknowledged is lost, and that it goes on when there is room again.
//! The log is on a file system of its own, in memory, which only the collector sees.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Write as _},
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use collector::store::path::Table;

use super::{
    collector::{Collector, Home, try_post},
    read::rows,
};

const TIMEOUT: Duration = Duration::from_secs(60);
/// Of the file system.
const DISK: &str = "3m";
/// What cannot be compressed, of one request.
const BODY_BYTES: usize = 150 << 10;
const FAILED: &str = "brazier_receive_refused_total{receiver=\"ingest\",reason=\"log_failed\"}";
const SEGMENTS: &str = "brazier_store_segments_total";

/// Makes a file system, and becomes the collector.
const SCRIPT: &str = "mount -t tmpfs -o size=$DISK,mode=700 brazier \"$ON\" && exec \"$COLLECTOR\" \"$@\"";

/// With the store where the test sees it. None, and a word why, where nobody may mount anything.
fn start(home: &Home) -> Option<Collector> {
    fs::create_dir_all(home.data()).expect("makes a directory");
    let by = |program: &[&str]| {
        let mut command = Command::new("unshare");
        // As somebody who is root nowhere else, unless it is root that runs this.
        let user: &[&str] = if is_root() { &[] } else { &["--user", "--map-root-user"] };
        command.args(user).arg("--mount").args(program);
        command
    };
    let may = by(&["true"]).output();
    if !may.as_ref().is_ok_and(|output| output.status.success()) {
        let _ = writeln!(io::stderr(), "\nskipped: no file system of its own for a process: {may:?}");
        return None;
    }
    let variables = [
        ("DISK", DISK.to_owned()),
        ("ON", home.data().display().to_string()),
        ("COLLECTOR", env!("CARGO_BIN_EXE_collector").to_owned()),
    ];
    Some(home.start_by(&mut by(&["sh", "-c", SCRIPT, "sh"]), &variables))
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

/// The store beside the log, on the disk that is not full.
fn home(flush_after_seconds: u64) -> Home {
    let home = Home::new("");
    let store = home.path().join("kept/store");
    home.configure(&format!("store = {store:?}\n[log]\nflush_after_seconds = {flush_after_seconds}\n"));
    home
}

/// One stack with a name of its own, and much that cannot be compressed.
fn body(n: u32) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&n.to_le_bytes());
    let mut noise = vec![0; BODY_BYTES / 2];
    hasher.finalize_xof().fill(&mut noise);
    let noise: String = noise.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut text = String::new();
    // Names are cut at 4 KiB.
    for part in noise.as_bytes().chunks(2_000) {
        text.push(';');
        text.push_str(std::str::from_utf8(part).unwrap_or_default());
    }
    format!("request-{n}{text} 1\n").into_bytes()
}

/// Sends one; whether it was acknowledged. A refusal says that the disk is the reason, and when to come again.
fn is_taken(collector: &Collector, n: u32) -> bool {
    let answer =
        try_post(collector.http, &format!("/ingest?name=request-{n}"), &[], &body(n)).expect("answers");
    if answer.status == 200 {
        return true;
    }
    let said = answer.text();
    assert_eq!((answer.status, answer.retry_after.as_deref()), (503, Some("5")), "{said}");
    assert!(said.starts_with("log_failed: ") && said.contains("No space left"), "{said}");
    false
}

/// Sends until one is refused; the last number, and those that were taken.
fn fill(collector: &Collector) -> (u32, BTreeSet<String>) {
    let mut taken = BTreeSet::new();
    for n in 1..200 {
        if !is_taken(collector, n) {
            return (n, taken);
        }
        taken.insert(format!("request-{n}"));
    }
    panic!("the disk does not fill up: {}", collector.get("/metrics").text());
}

/// Sends the same until it is taken.
fn insist(collector: &Collector, n: u32) {
    let start = Instant::now();
    while !is_taken(collector, n) {
        assert!(start.elapsed() < TIMEOUT, "{}", collector.get("/health").text());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Services in the store, each as often as it has rows.
fn services(home: &Home) -> Vec<String> {
    let mut found: Vec<String> = rows(&home.path().join("kept"), Table::Samples)
        .into_iter()
        .map(|row| row["service"].clone())
        .collect();
    found.sort();
    found
}

#[test]
fn a_log_that_has_filled_its_disk_refuses_goes_to_the_store_and_goes_on() {
    let home = home(3_600);
    let Some(collector) = start(&home) else { return };
    let (n, mut taken) = fill(&collector);
    assert!(taken.len() > 3, "{taken:?}");
    assert!(collector.counted(FAILED) >= 1, "{}", collector.get("/metrics").text());
    let health = collector.get("/health").text();
    assert!(health.contains("log_failed"), "{health}");
    // What had been acknowledged goes to the store without being asked, and leaves room.
    collector.wait_for(SEGMENTS, 1);
    insist(&collector, n);
    taken.insert(format!("request-{n}"));
    collector.end();
    assert_eq!(services(&home), taken.into_iter().collect::<Vec<_>>(), "what was acknowledged, once");
}

#[test]
fn a_disk_that_others_have_filled_costs_nothing_that_was_acknowledged() {
    let home = home(1);
    let Some(collector) = start(&home) else { return };
    assert!(is_taken(&collector, 1));
    // Its segment leaves room when it goes.
    collector.wait_for(SEGMENTS, 1);
    // Of the file system that only the collector sees.
    let seen = PathBuf::from(format!("/proc/{}/root", collector.pid()));
    let filler = seen.join(home.data().strip_prefix("/").expect("is absolute")).join("filler");
    let mut file = File::create(&filler).expect("makes a file");
    let full = loop {
        if let Err(error) = file.write_all(&[1; 4_096]) {
            break error;
        }
    };
    assert_eq!(full.kind(), io::ErrorKind::StorageFull, "{full}");
    for n in 2..20 {
        assert!(!is_taken(&collector, n), "{n}");
    }
    assert!(collector.counted(FAILED) >= 18, "{}", collector.get("/metrics").text());
    let log = filler.with_file_name("wal");
    let n_files = fs::read_dir(&log).expect("lists").count();
    assert!(n_files < 8, "no file is left of each that was refused: {n_files}");
    drop(file);
    fs::remove_file(&filler).expect("removes");
    for n in 2..20 {
        insist(&collector, n);
    }
    collector.end();
    let mut expected: Vec<String> = (1..20).map(|n| format!("request-{n}")).collect();
    expected.sort();
    assert_eq!(services(&home), expected, "what was acknowledged, once");
}

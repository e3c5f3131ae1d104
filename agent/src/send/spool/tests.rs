//! The spool, killed at any byte and filled with anything.

use std::{fs, path::Path};

use profile::Labels;
use proptest::{collection::vec, prelude::*};
use tempfile::TempDir;

use super::*;
use crate::send::batch::{Form, Keys, Signal};

const NOW: u64 = 1_700_000_000_000_000_000;
const MINUTE_NS: u64 = 60_000_000_000;

fn batch(keys: &mut Keys, n_bytes: usize) -> Batch {
    Batch {
        key: keys.next_key(),
        signal: Signal::Profiles,
        start_unix_ns: NOW - MINUTE_NS,
        end_unix_ns: NOW,
        labels: Labels::default().with("service.name", "edge"),
        parts: vec![(Form::Otlp, vec![7; n_bytes]), (Form::Pprof, vec![8; 3])],
    }
}

fn directory() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("spool");
    (dir, path)
}

fn open(path: &Path, limits: Limits, sinks: &[&str], now: u64) -> Spool {
    let sinks: Vec<String> = sinks.iter().map(|&sink| sink.to_owned()).collect();
    Spool::open(path, limits, &sinks, now).expect("opens")
}

/// All that a sink has not got yet, as it gets it.
fn take_all(spool: &mut Spool, sink: &str) -> Vec<Batch> {
    let mut all = Vec::new();
    while let Some((number, batch)) = spool.next(sink, NOW) {
        spool.done(sink, number);
        all.push(batch);
    }
    all
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).expect("lists");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("lists").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn what_was_spooled_is_there_after_a_restart_whole_and_under_its_key() {
    let (_dir, path) = directory();
    let mut keys = Keys::of_seed([1; 32]);
    let batches: Vec<Batch> = (0..3).map(|i| batch(&mut keys, i * 5000)).collect();
    let mut spool = open(&path, Limits::default(), &["a"], NOW);
    for batch in &batches {
        assert_eq!(spool.append(batch.clone(), NOW).expect("spooled"), batch.key);
    }
    drop(spool);
    let mut spool = open(&path, Limits::default(), &["a"], NOW);
    assert_eq!(take_all(&mut spool, "a"), batches);
    assert_eq!((spool.bytes(), spool.oldest_age(NOW)), (0, None), "{:?}", names(&path));
    // Numbers go on: what was delivered is not taken for what comes.
    drop(spool);
    let mut spool = open(&path, Limits::default(), &["a"], NOW);
    let next = batch(&mut keys, 1);
    spool.append(next.clone(), NOW).expect("spooled");
    assert_eq!(take_all(&mut spool, "a"), [next]);
}

#[test]
fn a_batch_stays_until_the_slowest_sink_has_it_and_nobody_waits_for_one_that_is_gone() {
    let (_dir, path) = directory();
    let mut keys = Keys::of_seed([2; 32]);
    let mut spool = open(&path, Limits::default(), &["fast", "slow"], NOW);
    for _ in 0..3 {
        spool.append(batch(&mut keys, 10), NOW).expect("spooled");
    }
    assert_eq!(take_all(&mut spool, "fast").len(), 3);
    assert_eq!((spool.n_waiting("fast"), spool.n_waiting("slow"), spool.bytes()), (0, 3, 3 * 4096));
    let (number, _) = spool.next("slow", NOW).expect("one");
    spool.done("slow", number);
    drop(spool);

    let mut spool = open(&path, Limits::default(), &["fast", "slow", "new"], NOW);
    let waiting = ["fast", "slow", "new"].map(|sink| spool.n_waiting(sink));
    assert_eq!(waiting, [0, 2, 2]);
    assert_eq!(take_all(&mut spool, "new").len(), 2);
    drop(spool);
    let spool = open(&path, Limits::default(), &["fast", "new"], NOW);
    assert_eq!(spool.bytes(), 0, "{:?}", names(&path));
}

#[test]
fn when_it_is_full_or_too_old_the_oldest_go_and_each_sink_knows_how_many_it_missed() {
    let (_dir, path) = directory();
    let mut keys = Keys::of_seed([3; 32]);
    let limits = Limits { max_bytes: 3 * 4096, max_age: Duration::from_secs(600) };
    let mut spool = open(&path, limits, &["a", "b"], NOW);
    let batches: Vec<Batch> = (0..5).map(|_| batch(&mut keys, 10)).collect();
    for (i, batch) in batches.iter().enumerate() {
        spool.append(batch.clone(), NOW + i as u64 * MINUTE_NS).expect("spooled");
        if i == 0 {
            assert_eq!(take_all(&mut spool, "a").len(), 1);
        }
        assert!(spool.bytes() <= limits.max_bytes);
    }
    let dropped = |spool: &Spool, sink| spool.figures().dropped.get(sink).copied().unwrap_or_default();
    assert_eq!(dropped(&spool, "a"), Dropped { full: 1, old: 0 });
    assert_eq!(dropped(&spool, "b"), Dropped { full: 2, old: 0 });
    // The third is 13 minutes old then, the fourth 12, the fifth 11.
    assert!(spool.next("a", NOW + 15 * MINUTE_NS).is_none());
    assert_eq!(dropped(&spool, "a"), Dropped { full: 1, old: 3 });

    let too_large = spool.append(batch(&mut keys, 3 * 4096), NOW).expect_err("too large");
    assert!(matches!(too_large, SpoolError::TooLarge { .. }), "{too_large}");
    assert_eq!((spool.figures().spooled, spool.figures().unspooled), (5, 1));
}

#[test]
fn a_directory_that_cannot_be_written_is_a_counted_failure() {
    let (_dir, path) = directory();
    let mut keys = Keys::of_seed([4; 32]);
    let mut spool = open(&path, Limits::default(), &["a"], NOW);
    // The place of the file is taken.
    fs::create_dir(path.join("0000000000000001.batch.unfinished")).expect("makes");
    let error = spool.append(batch(&mut keys, 10), NOW).expect_err("not written");
    assert!(matches!(error, SpoolError::Write { .. }), "{error}");
    assert_eq!((spool.figures().unspooled, spool.bytes(), spool.n_waiting("a")), (1, 0, 0));
    spool.append(batch(&mut keys, 10), NOW).expect("the next one is written");
    assert_eq!(take_all(&mut spool, "a").len(), 1);
}

#[test]
fn a_spool_in_use_and_one_that_is_open_to_others_are_refused() {
    let (_dir, path) = directory();
    let spool = open(&path, Limits::default(), &["a"], NOW);
    let second = Spool::open(&path, Limits::default(), &[], NOW).expect_err("in use");
    assert!(matches!(second, SpoolError::InUse { .. }), "{second}");
    drop(spool);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&path, mode).expect("changes its mode");
    let open = Spool::open(&path, Limits::default(), &[], NOW).expect_err("open to others");
    assert!(matches!(open, SpoolError::Directory { .. }), "{open}");
}

#[test]
fn another_version_and_garbage_are_set_aside_with_their_reason_and_only_so_many_are_kept() {
    let (_dir, path) = directory();
    let mut keys = Keys::of_seed([5; 32]);
    drop(open(&path, Limits::default(), &[], NOW));
    let message = batch(&mut keys, 10).into_message().encode_to_vec();
    let mut later = format::encode(Content::Batch, NOW, &message);
    later[8] = 2;
    fs::write(path.join("0000000000000007.batch"), &later).expect("writes");
    fs::write(path.join("notes.txt"), "of somebody").expect("writes");
    fs::write(path.join("places"), "garbage").expect("writes");
    fs::write(path.join("ffffffffffffffff.batch"), &later).expect("writes");
    for i in 0..30 {
        fs::write(path.join(format!("{i:016x}.batch")), [i; 99]).expect("writes");
    }
    fs::write(path.join("0000000000000007.batch"), &later).expect("writes");
    let spool = open(&path, Limits::default(), &["a"], NOW);
    let refused: Vec<_> = spool.figures().refused.clone().into_iter().collect();
    let expected = [(Refusal::NotOurs, 31), (Refusal::Version { version: 2 }, 1)];
    assert_eq!(refused, expected);
    assert_eq!(spool.figures().refused_removed, 15);
    let left = names(&path);
    let n_refused = left.iter().filter(|name| name.ends_with(".refused")).count();
    assert!(n_refused == 16 && left.contains(&"notes.txt".to_owned()), "{left:?}");
    drop(spool);
    assert_eq!(open(&path, Limits::default(), &["a"], NOW).figures().refused_removed, 0);
}

/// What becomes of a file when the machine dies while it is written, or when a disk lies.
#[derive(Clone, Debug)]
enum Harm {
    /// Begun, and not renamed: so many bytes of it.
    Unfinished(usize),
    /// Under its name, but cut: the disk had not written what it said that it had.
    Cut(usize),
    /// A byte is another.
    Flipped(usize, u8),
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        any::<usize>().prop_map(Harm::Unfinished),
        any::<usize>().prop_map(Harm::Cut),
        (any::<usize>(), 1..=u8::MAX).prop_map(|(at, bits)| Harm::Flipped(at, bits)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Two sinks take some of what is there, the process ends, one file is harmed: all others are read, once each,
    /// under their keys, and the harm is counted.
    #[test]
    fn whatever_happens_to_one_file_all_others_are_read(
        sizes in vec(0..9000_usize, 1..6),
        taken in (0..6_usize, 0..6_usize),
        harm in harm(),
        which in any::<usize>(),
    ) {
        let (_dir, path) = directory();
        let mut keys = Keys::of_seed([6; 32]);
        let mut spool = open(&path, Limits::default(), &["a", "b"], NOW);
        let mut expected = Vec::new();
        for &size in &sizes {
            expected.push(spool.append(batch(&mut keys, size), NOW).expect("spooled"));
        }
        for (sink, n) in [("a", taken.0), ("b", taken.1)] {
            for _ in 0..n {
                if let Some((number, _)) = spool.next(sink, NOW) {
                    spool.done(sink, number);
                }
            }
        }
        drop(spool);
        let mut left: Vec<String> = names(&path).into_iter().filter(|name| name.ends_with(".batch")).collect();
        let mut harmed = None;
        if let Harm::Unfinished(n_bytes) = harm {
            let file = format::encode(Content::Batch, NOW, &batch(&mut keys, 777).into_message().encode_to_vec());
            let part = &file[..n_bytes % (file.len() + 1)];
            fs::write(path.join("00000000000000ff.batch.unfinished"), part).expect("writes");
        } else if !left.is_empty() {
            let name = left.swap_remove(which % left.len());
            let mut bytes = fs::read(path.join(&name)).expect("reads");
            match harm {
                Harm::Cut(at) => bytes.truncate(at % bytes.len()),
                Harm::Flipped(at, bits) => {
                    let at = at % bytes.len();
                    bytes[at] ^= bits;
                }
                Harm::Unfinished(_) => {}
            }
            fs::write(path.join(&name), bytes).expect("writes");
            let number = u64::from_str_radix(&name[..16], 16).expect("a number");
            harmed = usize::try_from(number - 1).ok();
        }
        // Flipped bytes of the time of writing make a batch old or young, and are found when it is read.
        let mut spool = open(&path, Limits { max_age: Duration::MAX, ..Limits::default() }, &["a", "b"], NOW);
        for (sink, n_taken) in [("a", taken.0), ("b", taken.1)] {
            let seen: Vec<Key> = take_all(&mut spool, sink).into_iter().map(|batch| batch.key).collect();
            let mut rest: Vec<Key> = expected.clone();
            if let Some(harmed) = harmed {
                rest[harmed] = Key([0; 16]);
            }
            let rest: Vec<Key> = rest.into_iter().skip(n_taken).filter(|key| *key != Key([0; 16])).collect();
            prop_assert_eq!(seen, rest, "{}", sink);
        }
        let figures = spool.figures();
        let n_refused: u64 = figures.refused.values().sum();
        prop_assert_eq!(figures.unfinished, u64::from(matches!(harm, Harm::Unfinished(_))));
        prop_assert_eq!(n_refused, u64::from(harmed.is_some()), "{:?}", figures);
        prop_assert_eq!(spool.bytes(), 0);
    }
}

//! Any bytes as the files of a spool: one file, and a directory of them that was left by a crash, another program, or
//! somebody who means harm.

use std::{fs, path::Path, time::Duration};

use agent::send::{
    batch::{Batch, Form, Key, Signal},
    spool::{
        Limits, Spool,
        format::{self, Content},
    },
};
use arbitrary::Unstructured;
use profile::Labels;
use prost::Message as _;
use proto::spool as message;

const NOW_NS: u64 = 1_700_000_000_000_000_000;
const SINKS: [&str; 2] = ["a", "b"];
const MAX_FILES: u64 = 12;
const KEY: Key = Key([0xfe; 16]);

/// How the bytes of a file come to be.
const SEALED_BATCH: u8 = 0;
const SEALED_PLACES: u8 = 1;
const RAW_BATCH: u8 = 2;
const RAW_PLACES: u8 = 3;
const UNFINISHED: u8 = 4;
const REFUSED: u8 = 5;
const HIGH_NUMBER: u8 = 6;
const N_KINDS: u8 = 7;

pub(crate) fn body(bytes: &[u8]) {
    for content in [Content::Batch, Content::Positions] {
        let whole = format::decode::<message::Batch>(content, bytes);
        let header = format::header(content, bytes, bytes.len() as u64);
        assert!(header.is_ok() || whole.is_err(), "a file without a header that holds a message");
    }
    let Ok(dir) = tempfile::tempdir() else { return };
    let path = dir.path().join("spool");
    let limits = Limits { max_bytes: 1 << 20, max_age: Duration::from_secs(3600) };
    let sinks = SINKS.map(str::to_owned);
    // Makes the directory as it must be.
    drop(Spool::open(&path, limits, &sinks, NOW_NS));
    let Some(n_files) = write_files(&path, bytes) else { return };

    let Ok(mut spool) = Spool::open(&path, limits, &sinks, NOW_NS) else {
        unreachable!("a directory that is ours is refused")
    };
    assert!(spool.bytes() <= limits.max_bytes, "{} bytes", spool.bytes());
    let batch = Batch {
        key: KEY,
        signal: Signal::Metrics,
        start_unix_ns: 0,
        end_unix_ns: 0,
        labels: Labels::default(),
        parts: vec![(Form::Otlp, vec![1])],
    };
    spool.append(batch, NOW_NS).unwrap_or_else(|error| unreachable!("{error}"));
    for sink in SINKS {
        let mut last = None;
        let mut n_read = 0;
        while let Some((number, batch)) = spool.next(sink, NOW_NS) {
            assert!(last.is_none_or(|(before, _)| before < number), "{number} after {last:?}");
            n_read += 1;
            assert!(n_read <= n_files + 1, "more batches than files");
            last = Some((number, batch.key));
            spool.done(sink, number);
        }
        assert_eq!(last.map(|(_, key)| key), Some(KEY), "what was spooled last is not read last");
    }
    assert_eq!(spool.bytes(), 0, "{:?}", spool.figures());
}

/// As many files as the bytes make.
fn write_files(path: &Path, bytes: &[u8]) -> Option<u64> {
    let u = &mut Unstructured::new(bytes);
    let mut n_files = 0;
    while !u.is_empty() && n_files < MAX_FILES {
        let kind = u.arbitrary::<u8>().ok()? % N_KINDS;
        let n_bytes = usize::from(u.arbitrary::<u16>().ok()?).min(u.len());
        let content = u.bytes(n_bytes).ok()?;
        let name = match kind {
            SEALED_BATCH | RAW_BATCH => format!("{n_files:016x}.batch"),
            SEALED_PLACES | RAW_PLACES => "places".to_owned(),
            UNFINISHED => format!("{n_files:016x}.batch.unfinished"),
            REFUSED => format!("{n_files:016x}.refused"),
            HIGH_NUMBER => format!("{:016x}.batch", u64::MAX - n_files),
            _ => return None,
        };
        let file = match kind {
            SEALED_BATCH | HIGH_NUMBER => format::encode(Content::Batch, NOW_NS, content),
            SEALED_PLACES => format::encode(Content::Positions, 0, content),
            _ => content.to_vec(),
        };
        fs::write(path.join(name), file).ok()?;
        n_files += 1;
    }
    Some(n_files)
}

/// What leads somewhere: batches and places as they should be, and all that is nearly so.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let batch = message::Batch {
        key: vec![7; 16],
        signal: message::Signal::Profiles.into(),
        start_unix_ns: 1,
        end_unix_ns: 2,
        labels: vec![message::Label { name: "service.name".into(), value: "edge".into() }],
        parts: vec![message::Part { form: message::Form::Otlp.into(), content: vec![1, 2, 3] }],
    };
    let position = |sink: &str, next| message::Position { sink: sink.into(), next };
    let places = |next| message::Positions { positions: vec![position("a", next), position("c", 1)] };
    let whole = format::encode(Content::Batch, NOW_NS, &batch.encode_to_vec());
    let batch = batch.encode_to_vec();
    let other = |change: fn(&mut message::Batch)| {
        let mut other = message::Batch::decode(batch.as_slice()).unwrap_or_default();
        change(&mut other);
        other.encode_to_vec()
    };
    let file = |kind: u8, content: &[u8]| {
        let n_bytes = u16::try_from(content.len()).unwrap_or(u16::MAX);
        [&[kind][..], &n_bytes.to_le_bytes(), content].concat()
    };
    let mut seeds = vec![
        ("file".to_owned(), whole.clone()),
        ("batches".to_owned(), file(SEALED_BATCH, &batch).repeat(3)),
        ("short_key".to_owned(), file(SEALED_BATCH, &other(|it| it.key.truncate(3)))),
        ("no_signal".to_owned(), file(SEALED_BATCH, &other(|it| it.signal = 0))),
        ("later_form".to_owned(), file(SEALED_BATCH, &other(|it| it.parts[0].form = 77))),
        ("no_message".to_owned(), file(SEALED_BATCH, &[0xff; 9])),
        ("high_number".to_owned(), file(HIGH_NUMBER, &batch)),
        ("left_over".to_owned(), [file(UNFINISHED, &whole[..70]), file(REFUSED, b"x")].concat()),
        ("garbage_places".to_owned(), file(RAW_PLACES, b"garbage")),
    ];
    for (name, next) in [("behind", 1), ("ahead", 1 << 40), ("far_ahead", u64::MAX)] {
        let places = file(SEALED_PLACES, &places(next).encode_to_vec());
        seeds.push((format!("places_{name}"), [places, file(SEALED_BATCH, &batch).repeat(2)].concat()));
    }
    for cut in [0, 7, 8, 12, 31, 64, whole.len() - 1] {
        let part = whole.get(..cut).unwrap_or_default();
        seeds.push((format!("cut_{cut}"), [file(RAW_BATCH, part), file(RAW_BATCH, &whole)].concat()));
    }
    for at in [0, 8, 12, 16, 24, 31, 32, 70] {
        let mut bent = whole.clone();
        bent[at] ^= 1;
        seeds.push((format!("bent_{at}"), file(RAW_BATCH, &bent)));
    }
    seeds
}

//! Any bytes as a segment of the collector's log: as they are, and as records whose checksums are right.

use std::collections::HashSet;

use arbitrary::Unstructured;
use collector::{
    model::Key,
    store::{Written, files_of},
    wal::{Sealed, format},
};
use prost::Message as _;
use proto::log;

const NUMBER: u64 = 3;
const COLLECTOR: &str = "0123456789abcdef";
const MAX_RECORDS: usize = 8;

/// What becomes of a record after it was made.
const WHOLE: u8 = 0;
const NOT_COMPRESSED: u8 = 1;
const BENT: u8 = 2;
const N_KINDS: u8 = 3;

pub(crate) fn body(bytes: &[u8]) {
    holds(bytes);
    if let Some(segment) = sealed(bytes) {
        holds(&segment);
    }
    let keys = format::read_keys(NUMBER, bytes);
    assert!(keys.is_none_or(|keys| format::keys(NUMBER, &keys) == bytes), "keys of other bytes");
}

fn holds(bytes: &[u8]) {
    let Ok(read) = format::read(NUMBER, bytes) else { return };
    let mut end = 0;
    for record in &read.records {
        assert!(record.offset >= end, "records that overlap: {} before {end}", record.offset);
        let written = format::record(NUMBER, record.offset as u64, record.key, record.n_rows, record.content);
        let written = written.unwrap_or_default();
        end = record.offset + written.len();
        // Four bytes of the header say nothing, and are covered by its hash.
        assert_eq!(
            bytes.get(record.offset..record.offset + 28),
            written.get(..28),
            "a record of other bytes"
        );
    }
    // Without a record, what is left is all but a header that is whole.
    let n_left = bytes.len() - end;
    let is_header = read.records.is_empty() && n_left - read.n_torn_bytes == format::SEGMENT_HEADER_BYTES;
    assert!(n_left == read.n_torn_bytes || is_header, "{n_left} bytes left, of {}", read.n_torn_bytes);
    let whole = Sealed { number: NUMBER, bytes: bytes.len() as u64, skipped: HashSet::new(), since_ns: 0 };
    let flushed = files_of(bytes, &whole, COLLECTOR, &Written::default());
    let flushed =
        flushed.unwrap_or_else(|error| unreachable!("{error}: {:?}", std::error::Error::source(&error)));
    assert!(flushed.keys.len() <= read.records.len(), "{} keys", flushed.keys.len());
    let names: HashSet<String> = flushed.files.iter().map(|file| file.path.to_string()).collect();
    assert_eq!(names.len(), flushed.files.len(), "two files of one name: {names:?}");
}

/// A segment of the records that the bytes make.
fn sealed(bytes: &[u8]) -> Option<Vec<u8>> {
    let u = &mut Unstructured::new(bytes);
    let mut segment = format::segment_header(NUMBER).to_vec();
    for n in 0..MAX_RECORDS {
        if u.is_empty() {
            break;
        }
        let kind = u.arbitrary::<u8>().ok()? % N_KINDS;
        let n_bytes = usize::from(u.arbitrary::<u16>().ok()?).min(u.len());
        let message = u.bytes(n_bytes).ok()?;
        let content = match kind {
            NOT_COMPRESSED => message.to_vec(),
            _ => zstd::encode_all(message, 1).ok()?,
        };
        let key = Key([u8::try_from(n).ok()?; 16]);
        let mut record = format::record(NUMBER, segment.len() as u64, key, 1, &content)?;
        if kind == BENT {
            let last = record.len() - 1;
            record[last] ^= 1;
        }
        segment.extend(record);
    }
    Some(segment)
}

/// What leads somewhere: batches as they should be, and all that is nearly so.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let batch = log::Batch {
        tenant: "a/../b".into(),
        received_unix_ns: 1_700_000_000_000_000_000,
        strings: ["", "edge", "cpu", "main", "\"\\"].map(str::to_owned).to_vec(),
        frames: vec![
            log::Frame { function: 3, address: u64::MAX, line: u32::MAX, ..log::Frame::default() };
            2
        ],
        stacks: vec![log::Stack::default(), log::Stack { frames: vec![0, 1, 0] }],
        labels: vec![log::Labels::default(), log::Labels { pairs: vec![4, 4, 1, 2] }],
        sources: vec![log::Source { service: 1, host: 0, labels: 1 }],
        profiles: vec![log::Profile {
            r#type: 2,
            time_unix_ns: u64::MAX,
            duration_ns: u64::MAX,
            period: i64::MIN,
            samples: vec![log::Sample { stack: 1, labels: 1, value: i64::MIN }; 3],
            ..log::Profile::default()
        }],
        metrics: vec![log::Metric {
            name: 3,
            kind: 99,
            points: vec![log::Point { start_unix_ns: u64::MAX, time_unix_ns: 0, value: f64::NAN }; 2],
            ..log::Metric::default()
        }],
    };
    let record = |kind: u8, message: &[u8]| {
        let n_bytes = u16::try_from(message.len()).unwrap_or(u16::MAX);
        [&[kind][..], &n_bytes.to_le_bytes(), message].concat()
    };
    let message = batch.encode_to_vec();
    let whole = record(WHOLE, &message);
    let changed = |change: fn(&mut log::Batch)| {
        let mut other = batch.clone();
        change(&mut other);
        record(WHOLE, &other.encode_to_vec())
    };
    let mut seeds = vec![
        ("records".to_owned(), whole.repeat(3)),
        ("bent".to_owned(), [whole.clone(), record(BENT, &message), whole.clone()].concat()),
        ("not_compressed".to_owned(), record(NOT_COMPRESSED, &message)),
        ("bomb".to_owned(), record(WHOLE, &[0x0a, 0].repeat(30_000))),
        ("no_tables".to_owned(), changed(|it| it.strings.clear())),
        ("early".to_owned(), changed(|it| it.profiles[0].time_unix_ns = 0)),
        ("no_frame".to_owned(), changed(|it| it.frames.clear())),
        ("no_stack".to_owned(), changed(|it| it.profiles[0].samples[0].stack = 2)),
        ("odd_labels".to_owned(), changed(|it| it.labels[1].pairs.truncate(3))),
        ("no_tenant".to_owned(), changed(|it| it.tenant.clear())),
        ("keys".to_owned(), format::keys(NUMBER, &[Key([1; 16]), Key([2; 16])])),
        ("nothing".to_owned(), Vec::new()),
    ];
    let segment = sealed(&whole.repeat(2)).unwrap_or_default();
    for cut in [31, 32, 60, 96, 100, segment.len() - 1, segment.len()] {
        seeds.push((format!("segment_{cut}"), segment.get(..cut).unwrap_or_default().to_vec()));
    }
    for at in [0, 8, 16, 24, 32, 36, 40, 56, 64, 80, 96] {
        let mut bent = segment.clone();
        bent[at] ^= 1;
        seeds.push((format!("segment_bent_{at}"), bent));
    }
    seeds
}

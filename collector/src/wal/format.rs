//! The files of the log. Pure.
//!
//! A segment is a header of 32 bytes, and records. Numbers are little-endian.
//!
//! | bytes of the header | hold |
//! |---|---|
//! | 0-7 | `BRZSEGMT` |
//! | 8-11 | version, 1 |
//! | 12-15 | 0 |
//! | 16-23 | the number of the segment |
//! | 24-31 | BLAKE3 of all that stands before it, cut |
//!
//! | bytes of a record | hold |
//! |---|---|
//! | 0-3 | `BRZr` |
//! | 4-7 | bytes of the content |
//! | 8-23 | key |
//! | 24-27 | rows in the content |
//! | 28-31 | 0 |
//! | 32-47 | BLAKE3 of all that stands before it, cut |
//! | 48-63 | BLAKE3 of the content, cut |
//! | 64- | content |
//!
//! Both hashes of a record also cover the segment's number and the record's place: what an earlier file has left on the disk, or
//! somebody has copied, is no record here.
//!
//! The keys of a segment that has left for the store are a file of the same header, with `BRZKEYS1` for a start and the number of
//! keys instead of 0, then the keys, then BLAKE3 of all that stands before it.

use thiserror::Error;

use crate::model::{Id, Key};

/// Bytes of a segment before its records.
pub const SEGMENT_HEADER_BYTES: usize = 32;
/// Bytes of a record before its content.
pub const RECORD_HEADER_BYTES: usize = 64;
const SEGMENT_MAGIC: &[u8; 8] = b"BRZSEGMT";
const KEYS_MAGIC: &[u8; 8] = b"BRZKEYS1";
const RECORD_MAGIC: &[u8; 4] = b"BRZr";
/// Goes up when an older program could not read what is written.
const VERSION: u32 = 1;
const KEY_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// A record as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it begins.
    pub offset: usize,
    /// Of the batch.
    pub key: Key,
    /// Samples and points in the content, as the writer says.
    pub n_rows: u32,
    /// The batch, compressed.
    pub content: &'a [u8],
}

/// What a segment holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment<'a> {
    /// What is whole, in order.
    pub records: Vec<Record<'a>>,
    /// Places, before the last whole record, where something else stands.
    pub n_damaged: u64,
    /// Bytes behind the last whole record: a write that did not come to its end.
    pub n_torn_bytes: usize,
}

/// Written by another version of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "it is of version {version}, and this program knows version {VERSION}; start the program that wrote it once more"
)]
pub struct OtherVersion {
    /// As it says.
    pub version: u32,
}

/// The beginning of a segment.
#[must_use]
pub fn segment_header(number: u64) -> [u8; SEGMENT_HEADER_BYTES] {
    header(*SEGMENT_MAGIC, 0, number)
}

/// A record that will stand at `offset` of its segment. None if its content is larger than a record can hold.
#[must_use]
pub fn record(number: u64, offset: u64, key: Key, n_rows: u32, content: &[u8]) -> Option<Vec<u8>> {
    let content_bytes = u32::try_from(content.len()).ok()?;
    let mut bytes = Vec::with_capacity(RECORD_HEADER_BYTES.saturating_add(content.len()));
    bytes.extend_from_slice(RECORD_MAGIC);
    bytes.extend_from_slice(&content_bytes.to_le_bytes());
    bytes.extend_from_slice(&key.0);
    bytes.extend_from_slice(&n_rows.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&hash(number, offset, &bytes));
    bytes.extend_from_slice(&hash(number, offset, content));
    bytes.extend_from_slice(content);
    Some(bytes)
}

/// Whatever can be read of a segment. Total: any bytes are a segment, if only one that holds nothing.
///
/// # Errors
/// If it is whole, and of another version.
pub fn read(number: u64, bytes: &[u8]) -> Result<Segment<'_>, OtherVersion> {
    let mut segment = Segment::default();
    // All before here is accounted for.
    let mut end = match check_header(*SEGMENT_MAGIC, number, bytes)? {
        Some(_) => SEGMENT_HEADER_BYTES,
        None => 0,
    };
    let mut at = end;
    while let Some(found) = next_magic(bytes, at) {
        let Some((record, content_end)) = record_at(number, bytes, found) else {
            at = found.saturating_add(1);
            continue;
        };
        if let Some(record) = record {
            if found != end {
                segment.n_damaged = segment.n_damaged.saturating_add(1);
            }
            segment.records.push(record);
            end = content_end;
        }
        // The header is as it was written, so that is where the next one begins.
        at = content_end;
    }
    segment.n_torn_bytes = bytes.len().saturating_sub(end);
    Ok(segment)
}

/// A record whose header is whole, and where it ends; no record if its content is not.
fn record_at(number: u64, bytes: &[u8], at: usize) -> Option<(Option<Record<'_>>, usize)> {
    let content_at = at.checked_add(RECORD_HEADER_BYTES)?;
    let header = bytes.get(at..content_at)?;
    let offset = u64::try_from(at).ok()?;
    if hash(number, offset, header.get(..32)?) != field::<KEY_BYTES>(header, 32)? {
        return None;
    }
    let content_bytes = usize::try_from(u32::from_le_bytes(field(header, 4)?)).ok()?;
    let content_end = content_at.checked_add(content_bytes)?;
    let content = bytes.get(content_at..content_end)?;
    let is_whole = hash(number, offset, content) == field::<KEY_BYTES>(header, 48)?;
    let record = Record {
        offset: at,
        key: Key(field(header, 8)?),
        n_rows: u32::from_le_bytes(field(header, 24)?),
        content,
    };
    Some((is_whole.then_some(record), content_end))
}

fn next_magic(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    // What comes next is nearly always a record.
    if rest.starts_with(RECORD_MAGIC) {
        return Some(from);
    }
    let found = rest.windows(RECORD_MAGIC.len()).position(|window| window == RECORD_MAGIC)?;
    from.checked_add(found)
}

/// The file that keeps the keys of a segment.
#[must_use]
pub fn keys(number: u64, keys: &[Key]) -> Vec<u8> {
    let mut bytes = header(*KEYS_MAGIC, u32::try_from(keys.len()).unwrap_or(u32::MAX), number).to_vec();
    bytes.extend(keys.iter().flat_map(|key| key.0));
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    bytes
}

/// The keys of such a file; none if it is not as it was written.
#[must_use]
pub fn read_keys(number: u64, bytes: &[u8]) -> Option<Vec<Key>> {
    let n_keys = usize::try_from(check_header(*KEYS_MAGIC, number, bytes).ok()??).ok()?;
    let (content, written) = bytes.split_at_checked(bytes.len().checked_sub(HASH_BYTES)?)?;
    if blake3::hash(content).as_bytes() != written {
        return None;
    }
    let keys = content.get(SEGMENT_HEADER_BYTES..)?;
    let keys: Vec<Key> = keys.chunks_exact(KEY_BYTES).filter_map(|key| field(key, 0)).map(Key).collect();
    (keys.len() == n_keys).then_some(keys)
}

fn header(magic: [u8; 8], n: u32, number: u64) -> [u8; SEGMENT_HEADER_BYTES] {
    let [n, version] = [n, VERSION].map(u32::to_le_bytes);
    let start = [&magic[..], &version, &n, &number.to_le_bytes()].concat();
    let hash = blake3::hash(&start);
    let whole = [&start[..], hash.as_bytes()].concat();
    whole.first_chunk().copied().unwrap_or_default()
}

/// What stands beside the version, if the header is as it was written.
fn check_header(magic: [u8; 8], number: u64, bytes: &[u8]) -> Result<Option<u32>, OtherVersion> {
    let fields = || {
        let start = bytes.get(..SEGMENT_HEADER_BYTES.saturating_sub(8))?;
        let is_whole = blake3::hash(start).as_bytes().first_chunk::<8>() == Some(&field::<8>(bytes, 24)?);
        let is_this =
            is_whole && field(bytes, 0)? == magic && u64::from_le_bytes(field(bytes, 16)?) == number;
        is_this.then_some((u32::from_le_bytes(field(bytes, 8)?), u32::from_le_bytes(field(bytes, 12)?)))
    };
    match fields() {
        Some((VERSION, n)) => Ok(Some(n)),
        Some((version, _)) => Err(OtherVersion { version }),
        None => Ok(None),
    }
}

fn hash(number: u64, offset: u64, bytes: &[u8]) -> Id {
    let mut hash = blake3::Hasher::new();
    hash.update(&number.to_le_bytes());
    hash.update(&offset.to_le_bytes());
    hash.update(bytes);
    hash.finalize().as_bytes().first_chunk().copied().unwrap_or_default()
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NUMBER: u64 = 7;

    fn segment(contents: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = segment_header(NUMBER).to_vec();
        for (n, content) in (0..).zip(contents) {
            let offset = bytes.len() as u64;
            bytes.extend(record(NUMBER, offset, Key([n; 16]), n.into(), content).expect("fits"));
        }
        bytes
    }

    fn contents(segment: &Segment<'_>) -> Vec<Vec<u8>> {
        segment.records.iter().map(|record| record.content.to_vec()).collect()
    }

    fn some_contents() -> impl Strategy<Value = Vec<Vec<u8>>> {
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 1..6)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(given in some_contents()) {
            let bytes = segment(&given);
            let read = read(NUMBER, &bytes).expect("is of this version");
            prop_assert_eq!(contents(&read), given);
            prop_assert_eq!((read.n_damaged, read.n_torn_bytes), (0, 0));
        }

        #[test]
        fn a_segment_that_is_cut_holds_all_records_before_the_cut(given in some_contents(), cut in any::<prop::sample::Index>()) {
            let bytes = segment(&given);
            let cut = cut.index(bytes.len());
            let read = read(NUMBER, &bytes[..cut]).expect("is of this version");
            let n = read.records.len();
            prop_assert_eq!(contents(&read), &given[..n]);
            prop_assert!(segment(&given[..n]).len() <= cut.max(SEGMENT_HEADER_BYTES));
            let next = n + 1;
            prop_assert!(next > given.len() || segment(&given[..next]).len() > cut);
            prop_assert_eq!(read.n_damaged, 0);
        }

        #[test]
        fn a_changed_byte_costs_one_record_at_most(given in some_contents(), at in any::<prop::sample::Index>(), bit in 0..8_u32) {
            let mut bytes = segment(&given);
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            let read = read(NUMBER, &bytes).expect("a changed version is no version");
            for record in &read.records {
                prop_assert_eq!(record.content, &given[usize::from(record.key.0[0])]);
            }
            prop_assert!(read.records.is_sorted_by_key(|record| record.key), "{read:?}");
            prop_assert!(read.records.len() + 1 >= given.len(), "{} of {} records", read.records.len(), given.len());
            let is_told = read.n_damaged == 1 || read.n_torn_bytes > 0;
            prop_assert!(is_told, "{read:?}");
        }

        #[test]
        fn keys_come_back_or_not_at_all(given in proptest::collection::vec(any::<Id>(), 0..9), at in any::<prop::sample::Index>()) {
            let given: Vec<Key> = given.into_iter().map(Key).collect();
            let mut bytes = keys(NUMBER, &given);
            prop_assert_eq!(read_keys(NUMBER, &bytes), Some(given));
            let at = at.index(bytes.len());
            bytes[at] ^= 1;
            prop_assert_eq!(read_keys(NUMBER, &bytes), None);
            prop_assert_eq!(read_keys(NUMBER, &bytes[..at]), None);
        }
    }

    #[test]
    fn records_of_another_segment_or_place_are_none() {
        let bytes = segment(&[b"a".to_vec(), b"b".to_vec()]);
        let other = read(NUMBER + 1, &bytes).expect("a header of another number is none");
        assert_eq!((other.records.len(), other.n_torn_bytes), (0, bytes.len()), "{other:?}");
        let moved = [&bytes[..32], &bytes[32 + 65..], &bytes[32..32 + 65]].concat();
        let moved = read(NUMBER, &moved).expect("is of this version");
        assert_eq!(moved.records, [], "two records that changed places");
    }

    #[test]
    fn a_later_version_is_refused_and_not_taken_for_damage() {
        let mut start = segment_header(NUMBER)[..24].to_vec();
        start[8] = 2;
        let bytes = [&start[..], &blake3::hash(&start).as_bytes()[..8]].concat();
        assert_eq!(read(NUMBER, &bytes), Err(OtherVersion { version: 2 }));
    }
}

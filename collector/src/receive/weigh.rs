//! How many parts a protobuf message has, before it is decoded: an empty part is two bytes of a message, and a hundred of
//! memory.

use crate::refusal::{Reason, Refusal};

/// Parts of one message: messages in it, texts, lists of numbers. Each takes 200 bytes at most, once decoded.
const MAX_PARTS: usize = 2 << 20;
/// As deep as prost decodes.
const MAX_DEPTH: usize = 100;

/// Which fields of a message are messages.
pub(super) struct Shape(&'static [(u32, &'static Shape)]);

static LEAF: Shape = Shape(&[]);
static VALUE: Shape = Shape(&[(5, &VALUES), (6, &PAIRS)]);
static VALUES: Shape = Shape(&[(1, &VALUE)]);
static PAIRS: Shape = Shape(&[(1, &PAIR)]);
static PAIR: Shape = Shape(&[(2, &VALUE)]);
static RESOURCE: Shape = Shape(&[(1, &PAIR)]);
static SCOPE: Shape = Shape(&[(3, &PAIR)]);

static PROFILE: Shape = Shape(&[(1, &LEAF), (2, &LEAF), (5, &LEAF)]);
static SCOPE_PROFILES: Shape = Shape(&[(1, &SCOPE), (2, &PROFILE)]);
static RESOURCE_PROFILES: Shape = Shape(&[(1, &RESOURCE), (2, &SCOPE_PROFILES)]);
static LOCATION: Shape = Shape(&[(3, &LEAF)]);
static DICTIONARY: Shape =
    Shape(&[(1, &LEAF), (2, &LOCATION), (3, &LEAF), (4, &LEAF), (6, &PAIR), (7, &LEAF)]);
/// `ExportProfilesServiceRequest`.
pub(super) static PROFILES: Shape = Shape(&[(1, &RESOURCE_PROFILES), (2, &DICTIONARY)]);

static EXEMPLAR: Shape = Shape(&[(7, &PAIR)]);
static POINT: Shape =
    Shape(&[(5, &EXEMPLAR), (7, &PAIR), (1, &PAIR), (9, &PAIR), (11, &EXEMPLAR), (6, &LEAF), (8, &EXEMPLAR)]);
static POINTS: Shape = Shape(&[(1, &POINT)]);
static METRIC: Shape =
    Shape(&[(12, &PAIR), (5, &POINTS), (7, &POINTS), (9, &POINTS), (10, &POINTS), (11, &POINTS)]);
static SCOPE_METRICS: Shape = Shape(&[(1, &SCOPE), (2, &METRIC)]);
static RESOURCE_METRICS: Shape = Shape(&[(1, &RESOURCE), (2, &SCOPE_METRICS)]);
/// `ExportMetricsServiceRequest`.
pub(super) static METRICS: Shape = Shape(&[(1, &RESOURCE_METRICS)]);

static PPROF_SAMPLE: Shape = Shape(&[(3, &LEAF)]);
static PPROF_LOCATION: Shape = Shape(&[(4, &LEAF)]);
/// `perftools.profiles.Profile`.
pub(super) static PPROF: Shape =
    Shape(&[(1, &LEAF), (2, &PPROF_SAMPLE), (3, &LEAF), (4, &PPROF_LOCATION), (5, &LEAF), (11, &LEAF)]);

static SERIES: Shape = Shape(&[(1, &LEAF), (2, &LEAF)]);
/// `push.v1.PushRequest`.
pub(super) static PUSH: Shape = Shape(&[(1, &SERIES)]);

/// Looks whether a message has few enough parts to be decoded.
///
/// # Errors
/// If it has too many, or is none.
pub(super) fn weigh(message: &[u8], shape: &Shape) -> Result<(), Refusal> {
    let mut left = MAX_PARTS;
    parts(message, shape, &mut left, MAX_DEPTH)
}

fn parts(mut bytes: &[u8], shape: &Shape, left: &mut usize, depth: usize) -> Result<(), Refusal> {
    let malformed = || Refusal::new(Reason::Malformed, "it is no protobuf message");
    while !bytes.is_empty() {
        let tag = varint(&mut bytes).ok_or_else(malformed)?;
        let n_bytes = match tag & 7 {
            0 => {
                varint(&mut bytes).ok_or_else(malformed)?;
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes).ok_or_else(malformed)?).map_err(|_| malformed())?,
            5 => 4,
            _ => return Err(malformed()),
        };
        let (part, rest) = bytes.split_at_checked(n_bytes).ok_or_else(malformed)?;
        bytes = rest;
        if tag & 7 != 2 {
            continue;
        }
        let what = || Refusal::new(Reason::TooMany, format!("more than {MAX_PARTS} parts in one message"));
        *left = left.checked_sub(1).ok_or_else(what)?;
        let field = u32::try_from(tag >> 3).map_err(|_| malformed())?;
        if let Some((_, inner)) = shape.0.iter().find(|(known, _)| *known == field) {
            let depth = depth.checked_sub(1).ok_or_else(malformed)?;
            parts(part, inner, left, depth)?;
        }
    }
    Ok(())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_empty_parts_is_refused_before_it_is_decoded() {
        let bomb = [0x0a, 0].repeat(MAX_PARTS + 1);
        assert_eq!(weigh(&bomb, &PROFILES).expect_err("is refused").reason, Reason::TooMany);
        assert_eq!(weigh(&bomb[2..], &PROFILES), Ok(()));
        // The same, in a dictionary.
        let mut inner = vec![0x12];
        prost::encoding::encode_varint(bomb.len() as u64, &mut inner);
        assert_eq!(
            weigh(&[inner, bomb].concat(), &PROFILES).expect_err("is refused").reason,
            Reason::TooMany
        );
    }

    #[test]
    fn what_is_cut_or_nested_without_end_is_malformed() {
        for bytes in [&[0x0a][..], &[0x0a, 5, 1], &[0x0b], &[0xff; 11], &[0x09, 1, 2]] {
            assert_eq!(
                weigh(bytes, &PROFILES).expect_err("is refused").reason,
                Reason::Malformed,
                "{bytes:?}"
            );
        }
        let mut nested = Vec::new();
        for _ in 0..200 {
            let mut outer = vec![0x2a];
            prost::encoding::encode_varint(nested.len() as u64 + 2, &mut outer);
            // A value with an array of one value.
            outer.push(0x0a);
            prost::encoding::encode_varint(nested.len() as u64, &mut outer);
            nested = [outer, nested].concat();
        }
        let seen = weigh(&nested, &VALUE);
        assert_eq!(seen.expect_err("is refused").reason, Reason::Malformed);
    }
}

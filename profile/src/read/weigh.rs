//! How many parts a protobuf message has, before it is decoded: an empty part is two bytes of a message, and a hundred of
//! memory.

/// Parts of one message: messages in it, texts, lists of numbers. Each takes 200 bytes at most, once decoded.
pub const MAX_PARTS: usize = 2 << 20;
/// As deep as prost decodes.
const MAX_DEPTH: usize = 100;

/// Which fields of a message are messages, by their numbers.
#[derive(Debug)]
pub struct Shape(pub &'static [(u32, &'static Shape)]);

/// A message without messages in it.
pub static LEAF: Shape = Shape(&[]);
static VALUE: Shape = Shape(&[(5, &VALUES), (6, &PAIRS)]);
static VALUES: Shape = Shape(&[(1, &VALUE)]);
static PAIRS: Shape = Shape(&[(1, &PAIR)]);
/// `KeyValue` of OTLP.
pub static PAIR: Shape = Shape(&[(2, &VALUE)]);
/// `Resource` of OTLP.
pub static RESOURCE: Shape = Shape(&[(1, &PAIR)]);
/// `InstrumentationScope` of OTLP.
pub static SCOPE: Shape = Shape(&[(3, &PAIR)]);

static PROFILE: Shape = Shape(&[(1, &LEAF), (2, &LEAF), (5, &LEAF)]);
static SCOPE_PROFILES: Shape = Shape(&[(1, &SCOPE), (2, &PROFILE)]);
static RESOURCE_PROFILES: Shape = Shape(&[(1, &RESOURCE), (2, &SCOPE_PROFILES)]);
static LOCATION: Shape = Shape(&[(3, &LEAF)]);
static DICTIONARY: Shape =
    Shape(&[(1, &LEAF), (2, &LOCATION), (3, &LEAF), (4, &LEAF), (6, &PAIR), (7, &LEAF)]);
/// `ExportProfilesServiceRequest`.
pub static PROFILES: Shape = Shape(&[(1, &RESOURCE_PROFILES), (2, &DICTIONARY)]);

static PPROF_SAMPLE: Shape = Shape(&[(3, &LEAF)]);
static PPROF_LOCATION: Shape = Shape(&[(4, &LEAF)]);
/// `perftools.profiles.Profile`.
pub static PPROF: Shape =
    Shape(&[(1, &LEAF), (2, &PPROF_SAMPLE), (3, &LEAF), (4, &PPROF_LOCATION), (5, &LEAF), (11, &LEAF)]);

/// Why a message must not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeighError {
    /// It ends in the middle, or is nested without end.
    #[error("it is no protobuf message")]
    Malformed,
    /// It would take too much memory.
    #[error("more than {MAX_PARTS} parts in one message")]
    TooMany,
}

/// Looks whether a message has few enough parts to be decoded.
///
/// # Errors
/// If it has too many, or is none.
pub fn weigh(message: &[u8], shape: &Shape) -> Result<(), WeighError> {
    let mut left = MAX_PARTS;
    parts(message, shape, &mut left, MAX_DEPTH)
}

fn parts(mut bytes: &[u8], shape: &Shape, left: &mut usize, depth: usize) -> Result<(), WeighError> {
    let malformed = WeighError::Malformed;
    while !bytes.is_empty() {
        let tag = varint(&mut bytes).ok_or(malformed)?;
        let n_bytes = match tag & 7 {
            0 => {
                varint(&mut bytes).ok_or(malformed)?;
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes).ok_or(malformed)?).map_err(|_| malformed)?,
            5 => 4,
            _ => return Err(malformed),
        };
        let (part, rest) = bytes.split_at_checked(n_bytes).ok_or(malformed)?;
        bytes = rest;
        if tag & 7 != 2 {
            continue;
        }
        *left = left.checked_sub(1).ok_or(WeighError::TooMany)?;
        let field = u32::try_from(tag >> 3).map_err(|_| malformed)?;
        if let Some((_, inner)) = shape.0.iter().find(|(known, _)| *known == field) {
            let depth = depth.checked_sub(1).ok_or(malformed)?;
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
        assert_eq!(weigh(&bomb, &PROFILES), Err(WeighError::TooMany));
        assert_eq!(weigh(&bomb[2..], &PROFILES), Ok(()));
        // The same, in a dictionary.
        let mut inner = vec![0x12];
        prost::encoding::encode_varint(bomb.len() as u64, &mut inner);
        assert_eq!(weigh(&[inner, bomb].concat(), &PROFILES), Err(WeighError::TooMany));
    }

    #[test]
    fn what_is_cut_or_nested_without_end_is_malformed() {
        for bytes in [&[0x0a][..], &[0x0a, 5, 1], &[0x0b], &[0xff; 11], &[0x09, 1, 2]] {
            assert_eq!(weigh(bytes, &PROFILES), Err(WeighError::Malformed), "{bytes:?}");
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
        assert_eq!(weigh(&nested, &VALUE), Err(WeighError::Malformed));
    }
}

//! Decompresses, up to a limit.

use std::io::Read;

use crate::refusal::{Reason, Refusal};

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// It is not.
    Identity,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

/// A window of zstd may take so much memory: what any compressor takes unless told to take more.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

impl Encoding {
    /// By its name in a header.
    ///
    /// # Errors
    /// If it is not known here.
    pub fn of(name: &str) -> Result<Self, Refusal> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            other => {
                Err(Refusal::new(Reason::UnknownEncoding, format!("the body is compressed with {other}")))
            }
        }
    }
}

/// The body as it was before it was compressed.
///
/// # Errors
/// If it is more than `limit_bytes` then, or was never compressed that way. Nothing beyond the limit is decompressed.
pub fn unpack(body: &[u8], encoding: Encoding, limit_bytes: u64) -> Result<Vec<u8>, Refusal> {
    let malformed = |error: &std::io::Error| {
        Refusal::new(Reason::Malformed, format!("the body cannot be decompressed: {error}"))
    };
    match encoding {
        Encoding::Identity => read(body, limit_bytes, malformed),
        Encoding::Gzip => read(flate2::read::MultiGzDecoder::new(body), limit_bytes, malformed),
        Encoding::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(body).map_err(|error| malformed(&error))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|error| malformed(&error))?;
            read(decoder, limit_bytes, malformed)
        }
    }
}

/// A file of pprof, which is compressed with gzip, or not.
pub(super) fn unpack_pprof(file: &[u8], limit_bytes: u64) -> Result<Vec<u8>, Refusal> {
    let is_gzip = file.starts_with(&[0x1f, 0x8b]);
    unpack(file, if is_gzip { Encoding::Gzip } else { Encoding::Identity }, limit_bytes)
}

fn read(
    reader: impl Read,
    limit_bytes: u64,
    malformed: impl Fn(&std::io::Error) -> Refusal,
) -> Result<Vec<u8>, Refusal> {
    let mut message = Vec::new();
    reader
        .take(limit_bytes.saturating_add(1))
        .read_to_end(&mut message)
        .map_err(|error| malformed(&error))?;
    if u64::try_from(message.len()).unwrap_or(u64::MAX) > limit_bytes {
        let what = format!("more than {limit_bytes} bytes once decompressed");
        return Err(Refusal::new(Reason::MessageTooLarge, what));
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn packed(bytes: &[u8], encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Identity => bytes.to_vec(),
            Encoding::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
                encoder.write_all(bytes).expect("compresses");
                encoder.finish().expect("compresses")
            }
            Encoding::Zstd => zstd::encode_all(bytes, 19).expect("compresses"),
        }
    }

    #[test]
    fn what_was_packed_comes_back_and_a_bomb_does_not() {
        for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd] {
            let small = packed(b"hello", encoding);
            assert_eq!(unpack(&small, encoding, 5), Ok(b"hello".to_vec()), "{encoding:?}");
            let bomb = packed(&vec![0; 32 << 20], encoding);
            let seen = unpack(&bomb, encoding, 1 << 20).expect_err("is refused");
            assert_eq!(seen.reason, Reason::MessageTooLarge, "{encoding:?}, {} bytes", bomb.len());
        }
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let cut = &packed(b"hello hello", encoding)[..12];
            for bytes in [&b"garbage"[..], cut] {
                let seen = unpack(bytes, encoding, 99).expect_err("is refused");
                assert_eq!(seen.reason, Reason::Malformed, "{encoding:?} {bytes:?}");
            }
        }
        assert_eq!(Encoding::of("br").expect_err("is refused").reason, Reason::UnknownEncoding);
    }
}

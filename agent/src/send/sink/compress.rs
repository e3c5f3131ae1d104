//! Bodies made smaller.

use std::io::{self, Write as _};

use flate2::write::GzEncoder;

use super::Compression;

/// Profiles are sent once a minute and kept by others: the usual trade of time for size.
const ZSTD_LEVEL: i32 = 3;

impl Compression {
    /// What HTTP calls it.
    pub(super) fn content_encoding(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    pub(super) fn compress(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::None => Ok(bytes.to_vec()),
            Self::Gzip => {
                let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::default());
                gzip.write_all(bytes)?;
                gzip.finish()
            }
            Self::Zstd => zstd::bulk::compress(bytes, ZSTD_LEVEL),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_was_made_smaller_is_the_same_again() {
        let bytes = b"ngx_http_process_request_line".repeat(100);
        let unpacked = |compression: Compression, packed: &[u8]| -> Vec<u8> {
            match compression {
                Compression::None => packed.to_vec(),
                Compression::Zstd => zstd::bulk::decompress(packed, bytes.len()).expect("zstd"),
                Compression::Gzip => {
                    let mut unpacked = Vec::new();
                    flate2::read::GzDecoder::new(packed).read_to_end(&mut unpacked).expect("gzip");
                    unpacked
                }
            }
        };
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let packed = compression.compress(&bytes).expect("compresses");
            assert_eq!(unpacked(compression, &packed), bytes, "{compression:?}");
            assert_eq!(packed.len() < bytes.len(), compression != Compression::None, "{compression:?}");
        }
    }
}

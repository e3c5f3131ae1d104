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

//! Ties the committed eBPF object to the sources it was built from.
//!
//! `cargo xtask build-ebpf` writes a stamp beside the object; the agent's build script recomputes it and
//! refuses a stale object, so that an old kernel program can never ship. Few dependencies, because every
//! build of the agent waits for this crate.

mod error;
mod lock;
mod sources;

use std::{fmt, fs, path::Path, str::FromStr};

pub use error::StampError;
use sha2::{Digest, Sha256};
pub use sources::source_hash;

/// The committed object, relative to the workspace root.
pub const OBJECT_PATH: &str = "ebpf/brazier.bpf.o";
/// The stamp of that object, relative to the workspace root.
pub const STAMP_PATH: &str = "ebpf/brazier.bpf.stamp";

const HEADER: &str =
    "# What brazier.bpf.o was built from. Written by `cargo xtask build-ebpf`, checked by agent/build.rs.";

/// What an object was built from, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// [`source_hash`] of the sources.
    pub sources: String,
    /// [`object_hash`] of the object.
    pub object: String,
    /// Compiler and linker versions; only the same ones give the same bytes.
    pub toolchain: String,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sources, object, toolchain } = self;
        writeln!(f, "{HEADER}\nsources {sources}\nobject {object}\ntoolchain {toolchain}")
    }
}

impl FromStr for Stamp {
    type Err = StampError;

    fn from_str(text: &str) -> Result<Self, StampError> {
        let field = |name: &'static str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
                .ok_or(StampError::MissingField { field: name })
        };
        Ok(Self { sources: field("sources")?, object: field("object")?, toolchain: field("toolchain")? })
    }
}

/// Reads the stamp that stands beside the committed object.
pub fn read_stamp(workspace_root: &Path) -> Result<Stamp, StampError> {
    let path = workspace_root.join(STAMP_PATH);
    fs::read_to_string(&path).map_err(|source| StampError::Read { path: STAMP_PATH.into(), source })?.parse()
}

/// Succeeds only when the committed object is the one its stamp names, built from the sources as they are.
pub fn check(workspace_root: &Path) -> Result<Stamp, StampError> {
    let stamp = read_stamp(workspace_root)?;
    let path = workspace_root.join(OBJECT_PATH);
    let object = fs::read(&path).map_err(|source| StampError::Read { path: OBJECT_PATH.into(), source })?;
    let found = object_hash(&object);
    if found != stamp.object {
        return Err(StampError::ObjectChanged { recorded: stamp.object, found });
    }
    let found = source_hash(workspace_root)?;
    if found != stamp.sources {
        return Err(StampError::SourcesChanged { recorded: stamp.sources, found });
    }
    Ok(stamp)
}

/// The hash by which a stamp names an object.
pub fn object_hash(object: &[u8]) -> String {
    hex(Sha256::new_with_prefix(object))
}

fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_survives_being_written_and_read() {
        let stamp = Stamp {
            sources: "ab12".into(),
            object: object_hash(b"object"),
            toolchain: "rustc 1.96.0 (LLVM 22.1.8), bpf-linker 0.13.0".into(),
        };
        assert_eq!(stamp.to_string().parse::<Stamp>().unwrap(), stamp, "text was {stamp}");
    }

    #[test]
    fn a_stamp_without_a_field_is_refused_by_name() {
        let error = "sources ab\ntoolchain x\n".parse::<Stamp>().unwrap_err();
        assert_eq!(error.to_string(), "stamp has no `object` line");
    }

    #[test]
    fn object_hash_is_plain_sha256() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(object_hash(b"abc"), known);
    }
}

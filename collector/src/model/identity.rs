//! Names that follow from what they name: of frames, stacks, series and batches.

use std::fmt;

use proto::log;

use super::{labels, place, text};

/// What identifies something by its content: a cut BLAKE3. 64 bits would be too few for all stacks of a fleet.
pub type Id = [u8; 16];

/// Identifies a batch, however often it is sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub Id);

impl Key {
    /// Of what the sender gave. Tenants cannot meet each other's keys.
    #[must_use]
    pub fn of(tenant: &str, given: &[&[u8]]) -> Self {
        let mut hash = Hash::new("key");
        hash.part(tenant.as_bytes());
        for part in given {
            hash.part(part);
        }
        Self(hash.finish())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// Of a frame, by all that it says.
#[must_use]
pub fn frame_id(batch: &log::Batch, frame: &log::Frame) -> Id {
    let mut hash = Hash::new("frame");
    for index in [frame.function, frame.file, frame.mapping, frame.build_id, frame.kind] {
        hash.part(text(batch, index).as_bytes());
    }
    hash.part(&frame.line.to_le_bytes());
    hash.part(&frame.address.to_le_bytes());
    hash.part(&[u8::from(frame.is_inlined)]);
    hash.finish()
}

/// Of a stack, by its frames; `frame_ids` are those of the batch.
#[must_use]
pub fn stack_id(stack: &log::Stack, frame_ids: &[Id]) -> Id {
    let mut hash = Hash::new("stack");
    for frame in stack.frames.iter().filter_map(|&frame| frame_ids.get(place(frame))) {
        hash.part(frame);
    }
    hash.finish()
}

/// Of what is measured, and on whom.
#[must_use]
pub fn series_id(batch: &log::Batch, source: u32, name: u32, unit: u32) -> Id {
    let mut hash = Hash::new("series");
    if let Some(source) = batch.sources.get(place(source)) {
        hash.part(text(batch, source.service).as_bytes());
        hash.part(text(batch, source.host).as_bytes());
        for (name, value) in labels(batch, source.labels) {
            hash.part(name.as_bytes());
            hash.part(value.as_bytes());
        }
    }
    hash.part(text(batch, name).as_bytes());
    hash.part(text(batch, unit).as_bytes());
    hash.finish()
}

/// BLAKE3 of parts that cannot run into each other.
struct Hash(blake3::Hasher);

impl Hash {
    fn new(what: &str) -> Self {
        let mut it = Self(blake3::Hasher::new());
        it.part(what.as_bytes());
        it
    }

    fn part(&mut self, bytes: &[u8]) {
        self.0.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
        self.0.update(bytes);
    }

    fn finish(&self) -> Id {
        self.0.finalize().as_bytes().first_chunk().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn parts_of_a_key_do_not_run_into_each_other_and_tenants_have_their_own() {
        let keys = [
            Key::of("a", &[b"bc"]),
            Key::of("ab", &[b"c"]),
            Key::of("a", &[b"b", b"c"]),
            Key::of("b", &[b"bc"]),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(key), "{keys:?}");
        }
        assert_eq!(keys[0], Key::of("a", &[b"bc"]));
    }
}

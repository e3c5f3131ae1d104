//! What is delivered as one.

use std::{fmt, fs::File, io, io::Read as _};

use profile::Labels;
use proto::spool;

/// The label that says which event a profile is of: `cpu`, `alloc`, `faults`.
pub const EVENT_LABEL: &str = "brazier.event";
/// The attribute of the resource that holds the key of its batch, for receivers that see no headers.
pub const KEY_ATTRIBUTE: &str = "brazier.batch.key";

/// Where the kernel gives random bytes.
const RANDOM: &str = "/dev/urandom";

/// Identifies a batch wherever it is sent, however often. It is kept with the batch, so that it is the same after a
/// restart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub [u8; 16]);

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

/// Gives keys that no other run and no other host gives.
#[derive(Debug)]
pub struct Keys {
    seed: [u8; 32],
    n_given: u64,
}

impl Keys {
    /// Keys of a seed; one seed, one row of keys.
    #[must_use]
    pub fn of_seed(seed: [u8; 32]) -> Self {
        Self { seed, n_given: 0 }
    }

    /// Keys of a random seed.
    ///
    /// # Errors
    /// If the kernel gives none.
    pub fn random() -> io::Result<Self> {
        let mut seed = [0; 32];
        File::open(RANDOM)?.read_exact(&mut seed)?;
        Ok(Self::of_seed(seed))
    }

    /// The next one.
    pub fn next_key(&mut self) -> Key {
        let hash = blake3::keyed_hash(&self.seed, &self.n_given.to_le_bytes());
        self.n_given = self.n_given.wrapping_add(1);
        let mut key = [0; 16];
        key.copy_from_slice(hash.as_bytes().first_chunk::<16>().unwrap_or(&[0; 16]));
        Key(key)
    }
}

/// What a batch tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signal {
    /// One profile or more.
    Profiles,
    /// Gauges and sums.
    Metrics,
}

/// How a content is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// The request of the signal's export service, without compression.
    Otlp,
    /// One pprof file, gzipped.
    Pprof,
}

/// What is delivered as one: a receiver gets all of it or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Identifies it.
    pub key: Key,
    /// What it tells of.
    pub signal: Signal,
    /// The beginning of the time that it tells of, in nanoseconds since the Unix epoch.
    pub start_unix_ns: u64,
    /// The end.
    pub end_unix_ns: u64,
    /// Of the resource, such as `service.name`.
    pub labels: Labels,
    /// The same content in each form that some sink takes.
    pub parts: Vec<(Form, Vec<u8>)>,
}

impl Batch {
    /// The content in a form.
    #[must_use]
    pub fn part(&self, form: Form) -> Option<&[u8]> {
        self.parts.iter().find(|(known, _)| *known == form).map(|(_, content)| content.as_slice())
    }

    /// As it is written to disk.
    #[must_use]
    pub(super) fn into_message(self) -> spool::Batch {
        let label =
            |(name, value): (&str, &str)| spool::Label { name: name.to_owned(), value: value.to_owned() };
        let part =
            |(form, content): (Form, Vec<u8>)| spool::Part { form: spool::Form::from(form).into(), content };
        spool::Batch {
            key: self.key.0.to_vec(),
            signal: spool::Signal::from(self.signal).into(),
            start_unix_ns: self.start_unix_ns,
            end_unix_ns: self.end_unix_ns,
            labels: self.labels.iter().map(label).collect(),
            parts: self.parts.into_iter().map(part).collect(),
        }
    }

    /// None if it is no batch of ours. A form that is not known here is left out: a later version may know more.
    pub(super) fn of_message(message: spool::Batch) -> Option<Self> {
        let part = |part: spool::Part| Some((Form::of(part.form())?, part.content));
        Some(Self {
            key: Key(<[u8; 16]>::try_from(message.key.as_slice()).ok()?),
            signal: Signal::of(message.signal())?,
            start_unix_ns: message.start_unix_ns,
            end_unix_ns: message.end_unix_ns,
            labels: message.labels.into_iter().map(|label| (label.name, label.value)).collect(),
            parts: message.parts.into_iter().filter_map(part).collect(),
        })
    }
}

impl Signal {
    fn of(signal: spool::Signal) -> Option<Self> {
        match signal {
            spool::Signal::Unspecified => None,
            spool::Signal::Profiles => Some(Self::Profiles),
            spool::Signal::Metrics => Some(Self::Metrics),
        }
    }
}

impl From<Signal> for spool::Signal {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Profiles => Self::Profiles,
            Signal::Metrics => Self::Metrics,
        }
    }
}

impl Form {
    fn of(form: spool::Form) -> Option<Self> {
        match form {
            spool::Form::Unspecified => None,
            spool::Form::Otlp => Some(Self::Otlp),
            spool::Form::Pprof => Some(Self::Pprof),
        }
    }
}

impl From<Form> for spool::Form {
    fn from(form: Form) -> Self {
        match form {
            Form::Otlp => Self::Otlp,
            Form::Pprof => Self::Pprof,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Keys;

    #[test]
    fn keys_of_one_seed_are_the_same_row_and_those_of_another_are_others() {
        let row = |seed| {
            let mut keys = Keys::of_seed([seed; 32]);
            [keys.next_key(), keys.next_key(), keys.next_key()]
        };
        assert_eq!(row(1), row(1));
        let mut all = [row(1), row(2)].concat();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 6, "{all:?}");
    }
}

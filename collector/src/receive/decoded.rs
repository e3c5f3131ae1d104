//! What decoders are given, and what they give.

use crate::{
    limits::{Limits, MAX_BATCHES},
    model::{Batch, Builder, Key},
    refusal::{Reason, Refusal, Rejected},
};

/// What is known of a request beside its body.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Who sends.
    pub tenant: &'a str,
    /// When it came, in nanoseconds since the Unix epoch.
    pub received_unix_ns: u64,
    /// What the sender may.
    pub limits: &'a Limits,
    /// The query of the address, as it came.
    pub query: &'a str,
    /// The key that the sender has set for the request.
    pub given: Option<Key>,
    /// The key of path, query and body.
    pub content: Key,
    /// A key that no other request has.
    pub random: Key,
}

impl<'a> Envelope<'a> {
    /// An empty batch.
    #[must_use]
    pub fn builder(&self) -> Builder<'a> {
        Builder::new(self.tenant, self.received_unix_ns, self.limits)
    }

    /// That of the request as a whole; `says_when` tells whether the body says the time that it speaks of.
    #[must_use]
    pub fn key(&self, says_when: bool) -> Key {
        self.given.unwrap_or(if says_when { self.content } else { self.random })
    }

    /// The key that a part of the request has of its own.
    #[must_use]
    pub fn key_of(&self, given: &str) -> Key {
        given_key(self.tenant, given.as_bytes())
    }
}

/// A key that the sender has given, in whichever way: hexadecimal digits are the same with dashes between them.
#[must_use]
pub(super) fn given_key(tenant: &str, given: &[u8]) -> Key {
    let plain: Vec<u8> = given.iter().copied().filter(|c| *c != b'-').collect();
    Key::of(tenant, &[b"given", &plain])
}

/// A batch and its key.
#[derive(Clone, Debug, PartialEq)]
pub struct Keyed {
    /// Identifies it.
    pub key: Key,
    /// The batch.
    pub batch: Batch,
}

/// What a request holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    /// What can be taken.
    pub batches: Vec<Keyed>,
    /// What cannot.
    pub rejected: Rejected,
}

/// Batches being filled, by key.
pub(super) struct Builders<'a> {
    envelope: Envelope<'a>,
    builders: Vec<(Key, Builder<'a>)>,
}

impl<'a> Builders<'a> {
    pub(super) fn new(envelope: &Envelope<'a>) -> Self {
        Self { envelope: *envelope, builders: Vec::new() }
    }

    /// The place of the batch with a key.
    pub(super) fn place(&mut self, key: Key) -> Result<usize, Refusal> {
        if let Some(known) = self.builders.iter().position(|(known, _)| *known == key) {
            return Ok(known);
        }
        if self.builders.len() >= MAX_BATCHES {
            let what = format!("more than {MAX_BATCHES} batches in one request");
            return Err(Refusal::new(Reason::TooMany, what));
        }
        self.builders.push((key, self.envelope.builder()));
        Ok(self.builders.len().saturating_sub(1))
    }

    pub(super) fn at(&mut self, place: usize) -> Option<&mut Builder<'a>> {
        self.builders.get_mut(place).map(|(_, builder)| builder)
    }

    pub(super) fn finish(self, rejected: Rejected) -> Decoded {
        let batches = self.builders.into_iter().map(|(key, builder)| Keyed { key, batch: builder.finish() });
        Decoded { batches: batches.filter(|keyed| !keyed.batch.is_empty()).collect(), rejected }
    }
}

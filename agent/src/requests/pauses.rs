//! How long a client takes from an answer to its next request, and whether it waited for the end of that answer meanwhile.

use std::ops::RangeInclusive;

use super::open::OpenRequest;

/// A peer acknowledges what it cannot answer after 40 ms (`TCP_DELACK_MIN` of Linux, and as long elsewhere). Until then the last write
/// is held back, and what comes next takes a little longer.
const HELD_BACK_NS: RangeInclusive<u64> = 38_000_000..=60_000_000;

/// The pauses of a connection.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    /// The last answer, if nothing else is waiting.
    last: Option<Last>,
    /// Answers in several writes of which some were small, after which the next request came when an end that was held back from the
    /// write of the head on would have arrived.
    pub(super) n_held_back: u64,
    /// From the write of their ends to the next requests.
    pub(super) held_back_ns: u64,
    /// Pauses after other answers.
    pub(super) n_others: u64,
    /// Those together.
    pub(super) others_ns: u64,
}

#[derive(Debug)]
struct Last {
    head_ns: u64,
    end_ns: u64,
    has_small_writes: bool,
}

impl Pauses {
    /// An answer is written whole, and no other request is known.
    pub(super) fn begin(&mut self, request: &OpenRequest) {
        self.last = Some(Last {
            head_ns: request.first_byte_ns.unwrap_or(request.end_ns),
            end_ns: request.end_ns,
            has_small_writes: request.has_small_writes(),
        });
    }

    /// A request is read.
    pub(super) fn end(&mut self, time_ns: u64) {
        let Some(last) = self.last.take() else { return };
        let pause_ns = time_ns.saturating_sub(last.end_ns);
        if !last.has_small_writes {
            self.n_others += 1;
            self.others_ns += pause_ns;
        } else if HELD_BACK_NS.contains(&time_ns.saturating_sub(last.head_ns)) {
            self.n_held_back += 1;
            self.held_back_ns += pause_ns;
        }
    }
}

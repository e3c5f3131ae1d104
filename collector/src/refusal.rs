//! Why something is not taken: one table of reasons, each with a name for programs, what the sender is answered, and whether it
//! is worth another try.

use std::{collections::BTreeMap, fmt, time::Duration};

use tonic::Code;

/// Longest text that is said about a refusal: it may quote what was sent.
const MAX_WHAT_CHARS: usize = 300;

/// Why something is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Tokens are needed here, and the request has none.
    NoToken,
    /// The request has a token that nobody has.
    WrongToken,
    /// The request names a tenant that is none, or that its token is not for.
    WrongTenant,
    /// The path is asked for in a way that is not known there.
    WrongMethod,
    /// A browser sends it for a page.
    FromPage,
    /// There is nothing at that path.
    NoSuchPath,
    /// The body is larger than the tenant may send.
    BodyTooLarge,
    /// The body is, once decompressed.
    MessageTooLarge,
    /// The body did not come whole, or not in time.
    BodyCut,
    /// The body is compressed in a way that is not known here.
    UnknownEncoding,
    /// The body is not of a type that is taken at this path.
    UnknownType,
    /// The body is not what the path is for.
    Malformed,
    /// The key of the request is too long.
    WrongKey,
    /// The tenant sends more than it may.
    RateExceeded,
    /// As many requests as there is room for are being worked on.
    Busy,
    /// The log has no room: the store does not take what waits in it.
    LogFull,
    /// The log could not be written.
    LogFailed,
    /// The collector ends.
    Ending,
    /// The collector has failed on it.
    Internal,
    /// An index leads to nothing.
    IndexOutOfRange,
    /// What is measured is not said.
    NoType,
    /// More labels than there may be.
    TooManyLabels,
    /// A name or a value of a label that is too long.
    LabelTooLong,
    /// Measured too long ago.
    TooOld,
    /// Measured in the future.
    InFuture,
    /// Measured for too long.
    DurationTooLong,
    /// More series than the tenant may have.
    TooManySeries,
    /// Stacks that are more, together, than a request may bring.
    TooManyFrames,
    /// More batches, samples or points than a request may bring.
    TooMany,
    /// A kind of metric that is not kept.
    UnknownMetric,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 30] = [
        Self::NoToken,
        Self::WrongToken,
        Self::WrongTenant,
        Self::WrongMethod,
        Self::FromPage,
        Self::NoSuchPath,
        Self::BodyTooLarge,
        Self::MessageTooLarge,
        Self::BodyCut,
        Self::UnknownEncoding,
        Self::UnknownType,
        Self::Malformed,
        Self::WrongKey,
        Self::RateExceeded,
        Self::Busy,
        Self::LogFull,
        Self::LogFailed,
        Self::Ending,
        Self::Internal,
        Self::IndexOutOfRange,
        Self::NoType,
        Self::TooManyLabels,
        Self::LabelTooLong,
        Self::TooOld,
        Self::InFuture,
        Self::DurationTooLong,
        Self::TooManySeries,
        Self::TooManyFrames,
        Self::TooMany,
        Self::UnknownMetric,
    ];

    /// Its name, for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// The status of an HTTP answer.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().1
    }

    /// The status of a gRPC answer.
    #[must_use]
    pub const fn code(self) -> Code {
        self.row().2
    }

    /// Whether the same may be taken later.
    #[must_use]
    pub const fn is_worth_a_try(self) -> bool {
        matches!(self.status(), 429 | 503)
    }

    /// What the sender, or who runs this, can do.
    #[must_use]
    pub const fn to_do(self) -> &'static str {
        self.row().3
    }

    const fn row(self) -> (&'static str, u16, Code, &'static str) {
        match self {
            Self::NoToken => ("no_token", 401, Code::Unauthenticated, "send `Authorization: Bearer TOKEN`"),
            Self::WrongToken => {
                ("wrong_token", 401, Code::Unauthenticated, "send a token of this collector's configuration")
            }
            Self::WrongTenant => (
                "wrong_tenant",
                403,
                Code::PermissionDenied,
                "leave out X-Scope-OrgID, or name the tenant of the token",
            ),
            Self::WrongMethod => ("wrong_method", 405, Code::Unimplemented, "POST it"),
            Self::FromPage => (
                "from_page",
                403,
                Code::PermissionDenied,
                "send it from a program, without the header Origin",
            ),
            Self::NoSuchPath => {
                ("no_such_path", 404, Code::Unimplemented, "see docs/collector.md for what is taken where")
            }
            Self::BodyTooLarge => (
                "body_too_large",
                413,
                Code::InvalidArgument,
                "send less at once, or raise limits.body_bytes",
            ),
            Self::MessageTooLarge => (
                "message_too_large",
                413,
                Code::InvalidArgument,
                "send less at once, or raise limits.message_bytes",
            ),
            Self::BodyCut => ("body_cut", 400, Code::Cancelled, "send it again"),
            Self::UnknownEncoding => {
                ("unknown_encoding", 415, Code::Unimplemented, "send gzip, zstd or neither")
            }
            Self::UnknownType => (
                "unknown_type",
                415,
                Code::InvalidArgument,
                "send protobuf: `Content-Type: application/x-protobuf`",
            ),
            Self::Malformed => (
                "malformed",
                400,
                Code::InvalidArgument,
                "check that sender and path are for the same protocol",
            ),
            Self::WrongKey => {
                ("wrong_key", 400, Code::InvalidArgument, "send an Idempotency-Key of 256 bytes at most")
            }
            Self::RateExceeded => {
                ("rate_exceeded", 429, Code::ResourceExhausted, "send less, or raise limits.bytes_per_second")
            }
            Self::Busy => (
                "busy",
                503,
                Code::Unavailable,
                "send it again; if that goes on, this collector needs more CPU time, or another beside it",
            ),
            Self::LogFull => ("log_full", 503, Code::Unavailable, "see to the store, or raise log.max_bytes"),
            Self::LogFailed => ("log_failed", 503, Code::Unavailable, "see to the disk of the log"),
            Self::Ending => ("ending", 503, Code::Unavailable, "send it again"),
            Self::Internal => ("internal", 500, Code::Internal, "report it, with what was sent"),
            Self::IndexOutOfRange => (
                "index_out_of_range",
                400,
                Code::InvalidArgument,
                "the sender makes broken messages: update it",
            ),
            Self::NoType => {
                ("no_type", 400, Code::InvalidArgument, "the sender makes messages without types: update it")
            }
            Self::TooManyLabels => (
                "too_many_labels",
                400,
                Code::InvalidArgument,
                "send fewer attributes, or raise limits.labels",
            ),
            Self::LabelTooLong => (
                "label_too_long",
                400,
                Code::InvalidArgument,
                "send shorter attributes, or raise limits.label_bytes",
            ),
            Self::TooOld => (
                "too_old",
                400,
                Code::InvalidArgument,
                "check the sender's clock, or raise limits.max_age_seconds",
            ),
            Self::InFuture => {
                ("in_future", 400, Code::InvalidArgument, "check the sender's clock, and the collector's")
            }
            Self::DurationTooLong => {
                ("duration_too_long", 400, Code::InvalidArgument, "measure for shorter times")
            }
            Self::TooManySeries => (
                "too_many_series",
                429,
                Code::ResourceExhausted,
                "take attributes away that differ from request to request, or raise limits.series",
            ),
            Self::TooManyFrames => ("too_many_frames", 413, Code::InvalidArgument, "send less at once"),
            Self::TooMany => ("too_many", 413, Code::InvalidArgument, "send less at once"),
            Self::UnknownMetric => {
                ("unknown_metric", 400, Code::InvalidArgument, "only gauges and sums are kept")
            }
        }
    }
}

/// A reason, with what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which.
    pub reason: Reason,
    /// What is wrong, in this case.
    pub what: String,
    /// When it may be taken, if that is known.
    pub after: Option<Duration>,
}

impl Refusal {
    /// With one line about the case.
    #[must_use]
    pub fn new(reason: Reason, what: impl AsRef<str>) -> Self {
        let plain = what.as_ref().chars().map(|c| if c.is_control() { ' ' } else { c });
        Self { reason, what: plain.take(MAX_WHAT_CHARS).collect(), after: None }
    }

    /// With a time to come again.
    #[must_use]
    pub const fn after(mut self, after: Duration) -> Self {
        self.after = Some(after);
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.reason.name(), self.what, self.reason.to_do())
    }
}

impl std::error::Error for Refusal {}

/// What of a request was not taken, while the rest was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    by_reason: BTreeMap<Reason, u64>,
    first: Option<Refusal>,
}

impl Rejected {
    /// One more, or several at once.
    pub fn add(&mut self, refusal: Refusal, n: u64) {
        let count = self.by_reason.entry(refusal.reason).or_default();
        *count = count.saturating_add(n);
        self.first.get_or_insert(refusal);
    }

    /// How many, by reason.
    #[must_use]
    pub const fn by_reason(&self) -> &BTreeMap<Reason, u64> {
        &self.by_reason
    }

    /// How many.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_reason.values().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// The one that was met first.
    #[must_use]
    pub const fn first(&self) -> Option<&Refusal> {
        self.first.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn reasons_have_names_of_their_own_and_one_opinion_on_another_try() {
        let names: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len(), "{names:?}");
        for reason in Reason::ALL {
            let by_code =
                matches!(reason.code(), Code::Unavailable | Code::ResourceExhausted | Code::Cancelled);
            // A body that was cut is nobody's answer.
            let expected = reason.is_worth_a_try() || reason == Reason::BodyCut;
            assert_eq!(by_code, expected, "{reason:?}");
        }
    }

    #[test]
    fn what_is_said_is_one_short_line() {
        let refusal = Refusal::new(Reason::Malformed, format!("a\nb{}", "x".repeat(10_000)));
        assert!(
            refusal.what.starts_with("a bx") && refusal.what.chars().count() == MAX_WHAT_CHARS,
            "{refusal}"
        );
    }
}

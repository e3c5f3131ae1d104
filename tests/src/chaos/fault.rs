//! What can go wrong, and in which order it does.

use std::fmt;

use fastrand::Rng;

/// Which of the receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// The one that is sent gRPC.
    Grpc,
    /// The one that is sent HTTP.
    Http,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A receiver is killed, and started again.
    Killed(At),
    /// A receiver is stopped, and goes on.
    Stopped(At),
    /// A receiver answers something else: a mode of `tests/receivers/otlp.py`.
    Answers(At, &'static str),
    /// No packet arrives, and none comes back.
    Cut,
    /// The spool's file system has no room left.
    DiskFull,
    /// The agent is killed, and started again.
    AgentKilled,
}

/// All of them.
pub const ALL: [Fault; 17] = [
    Fault::Killed(At::Grpc),
    Fault::Killed(At::Http),
    Fault::Stopped(At::Grpc),
    Fault::Stopped(At::Http),
    Fault::Answers(At::Grpc, "429"),
    Fault::Answers(At::Http, "429"),
    Fault::Answers(At::Grpc, "500"),
    Fault::Answers(At::Http, "500"),
    Fault::Answers(At::Grpc, "garbage"),
    Fault::Answers(At::Http, "garbage"),
    Fault::Answers(At::Grpc, "freeze"),
    Fault::Answers(At::Http, "freeze"),
    Fault::Answers(At::Grpc, "close"),
    Fault::Answers(At::Http, "close"),
    Fault::Cut,
    Fault::DiskFull,
    Fault::AgentKilled,
];

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed(at) => write!(f, "{at} receiver killed"),
            Self::Stopped(at) => write!(f, "{at} receiver stopped"),
            Self::Answers(at, mode) => write!(f, "{at} receiver answers: {mode}"),
            Self::Cut => f.write_str("network cut"),
            Self::DiskFull => f.write_str("disk full"),
            Self::AgentKilled => f.write_str("agent killed"),
        }
    }
}

/// Faults in an order that the seed decides, each once before any comes again.
pub struct Deck {
    left: Vec<Fault>,
}

impl Deck {
    /// A full one.
    #[must_use]
    pub fn new() -> Self {
        Self { left: Vec::new() }
    }

    /// The next one.
    pub fn draw(&mut self, rng: &mut Rng) -> Fault {
        if self.left.is_empty() {
            self.left = ALL.to_vec();
            rng.shuffle(&mut self.left);
        }
        self.left.pop().unwrap_or(Fault::AgentKilled)
    }
}

impl Default for Deck {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use fastrand::Rng;

    use super::{ALL, Deck};

    #[test]
    fn a_seed_decides_the_order_and_each_comes_once_before_any_comes_again() {
        let drawn = |seed| {
            let (mut deck, mut rng) = (Deck::new(), Rng::with_seed(seed));
            (0..2 * ALL.len()).map(|_| deck.draw(&mut rng)).collect::<Vec<_>>()
        };
        let first = drawn(1);
        assert_eq!(first, drawn(1));
        assert_ne!(first, drawn(2));
        for half in first.chunks(ALL.len()) {
            assert_eq!(half.iter().collect::<BTreeSet<_>>().len(), ALL.len(), "{half:?}");
        }
    }
}

//! Rules, checked. Pure.

use query::{Matcher, Selector, TypeUnit};

use super::settings::KindName;

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What it is called.
    pub name: String,
    /// Whose data; everybody's if nobody is named.
    pub tenant: Option<String>,
    /// Which series.
    pub selector: Selector,
    /// How much of the past is looked at.
    pub window_ns: u64,
    /// How long it has to hold.
    pub for_ns: u64,
    /// A word for whoever is told.
    pub severity: String,
    /// What is looked at.
    pub kind: Kind,
}

/// What is looked at.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Whether memory leaks.
    Leak {
        /// Of what.
        metric: String,
    },
    /// What grows towards a limit.
    Growth(Growth),
    /// What a function takes.
    Share(Share),
    /// Samples that agents lose.
    Lost {
        /// More than so much of all that were due.
        over_percent: f64,
    },
}

/// What grows towards a limit.
#[derive(Clone, Debug)]
pub struct Growth {
    /// Of what.
    pub metric: String,
    /// What must not be reached.
    pub limit: Limit,
    /// Reached sooner than this.
    pub within_seconds: Option<u64>,
    /// More than so much of the limit is in use.
    pub over_percent: Option<f64>,
}

/// What must not be reached.
#[derive(Clone, Debug, PartialEq)]
pub enum Limit {
    /// In the unit of the metric.
    Value(f64),
    /// The last value of another metric.
    Metric(String),
}

/// What a function takes.
#[derive(Clone, Debug)]
pub struct Share {
    /// What values count.
    pub what: TypeUnit,
    /// Which function.
    pub function: Matcher,
    /// Only what the function itself takes.
    pub only_self: bool,
    /// More than so much of all.
    pub over_percent: Option<f64>,
    /// Or more than before.
    pub grown: Option<Grown>,
}

/// More than before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grown {
    /// What it is compared with.
    pub baseline: Baseline,
    /// By so much of it.
    pub percent: f64,
}

/// What a share is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// The same window, a day before.
    PreviousDay,
    /// So many windows before this one.
    WindowsBefore(u64),
}

impl Kind {
    /// As it is written.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Leak { .. } => KindName::Leak.name(),
            Self::Growth(_) => KindName::Growth.name(),
            Self::Share(_) => KindName::Share.name(),
            Self::Lost { .. } => KindName::Lost.name(),
        }
    }
}

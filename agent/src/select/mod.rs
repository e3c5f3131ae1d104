//! Which processes are targets, by the rules of the configuration, and what their profiles are called.
//!
//! [`Facts`] of a process are read when a rule asks for them: a rule on the executable costs every process of the host
//! one `readlink`, and no more.

mod facts;
mod group;
mod interner;
mod labels;
mod rules;
mod users;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use profile::Labels;

pub use facts::Facts;
pub use group::Group;
pub use rules::SelectError;
pub use users::Users;

use crate::config::{Config, ExtraEvent};
use interner::Interner;
use rules::Rules;

/// A process that is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What its profiles are called. Equal labels are one: processes whose labels are one share a profile.
    pub labels: Arc<Labels>,
    /// What is measured of it beside what is always measured.
    pub events: BTreeSet<ExtraEvent>,
    /// The target that it is, by its number in the configuration; none for one that is measured because all are.
    pub rule: Option<usize>,
}

/// What was judged so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SelectFigures {
    /// Processes.
    pub n_judged: u64,
    /// Of those, the ones that are measured.
    pub n_targets: u64,
    /// Those that had gone before they were looked at.
    pub n_gone: u64,
    /// Those whose executable the agent may not see: no rule on it matches them.
    pub n_exe_hidden: u64,
    /// Sets of labels that are kept to be shared.
    pub n_labels: usize,
    /// Sets of labels for which there was no room: these are not shared.
    pub n_labels_unshared: u64,
}

/// Judges processes.
#[derive(Debug)]
pub struct Selector {
    all: bool,
    host: String,
    rules: Rules,
    interner: Mutex<Interner>,
    n_judged: AtomicU64,
    n_targets: AtomicU64,
    n_gone: AtomicU64,
    n_exe_hidden: AtomicU64,
}

impl Selector {
    /// Judges by this configuration; `host` is the name of this host.
    ///
    /// # Errors
    /// If all patterns together are too large.
    pub fn new(config: &Config, host: &str, users: &Users) -> Result<Self, SelectError> {
        Ok(Self {
            all: config.all,
            host: host.to_owned(),
            rules: Rules::new(config, users)?,
            interner: Mutex::default(),
            n_judged: AtomicU64::default(),
            n_targets: AtomicU64::default(),
            n_gone: AtomicU64::default(),
            n_exe_hidden: AtomicU64::default(),
        })
    }

    /// What a live process is; none if it is no target, or has gone.
    #[must_use]
    pub fn judge(&self, pid: u32) -> Option<Judged> {
        self.judge_by(&Facts::of(pid))
    }

    /// The same by what is known of a process.
    #[must_use]
    pub fn judge_by(&self, facts: &Facts) -> Option<Judged> {
        let count = |counter: &AtomicU64| {
            counter.fetch_add(1, Ordering::Relaxed);
        };
        count(&self.n_judged);
        let rule = self.rules.first_match(facts);
        if facts.is_exe_hidden() {
            count(&self.n_exe_hidden);
        }
        if rule.is_none() && !self.all {
            return None;
        }
        // A process always is in some control group, be it the root of all.
        let Some(group) = facts.group() else {
            count(&self.n_gone);
            return None;
        };
        count(&self.n_targets);
        let labels = labels::of(&self.host, facts, group, rule.map(|idx| self.rules.naming(idx)));
        let labels = self.rules.with_own(rule, labels);
        let mut interner = self.interner.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Judged { labels: interner.intern(labels), events: self.rules.events(rule), rule })
    }

    /// What was judged so far.
    #[must_use]
    pub fn figures(&self) -> SelectFigures {
        let interner = self.interner.lock().unwrap_or_else(PoisonError::into_inner);
        SelectFigures {
            n_judged: self.n_judged.load(Ordering::Relaxed),
            n_targets: self.n_targets.load(Ordering::Relaxed),
            n_gone: self.n_gone.load(Ordering::Relaxed),
            n_exe_hidden: self.n_exe_hidden.load(Ordering::Relaxed),
            n_labels: interner.len(),
            n_labels_unshared: interner.n_unshared(),
        }
    }
}

#[cfg(test)]
mod tests;

//! What is known of rules and alerts: written by the watcher, read by whoever asks.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

use super::{
    finding::Finding,
    outbox::{Job, Outbox},
    rule::Rule,
    state::{Alert, AlertState, Alerts},
};

/// A rule has to fail so many times in a row to be told of: one failure is a question too many at the same time.
const N_FAILURES: u64 = 3;

/// Counts, for as long as the collector runs.
#[derive(Debug, Default)]
pub struct WatchFigures {
    /// Rules that were looked at, once for each tenant.
    pub looked: AtomicU64,
    /// Times that there was no answer.
    pub failed: AtomicU64,
    /// Times that there was no time.
    pub skipped: AtomicU64,
    /// Messages that were taken.
    pub delivered: AtomicU64,
    /// Attempts that failed, and were made again.
    pub retried: AtomicU64,
    /// Messages that the receiver does not take.
    pub refused: AtomicU64,
    /// Messages that nobody took in time, and alerts that were over and had no room to wait.
    pub given_up: AtomicU64,
}

/// How a rule did when it was last looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// When there was an answer.
    pub answered_unix_ns: Option<u64>,
    /// Failures in a row.
    pub n_failures: u64,
    /// The last one.
    pub error: Option<String>,
    /// What the answer was without.
    pub notes: Vec<String>,
}

/// How watching stands, for those who ask whether all is well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Rules that have failed several times in a row, and why the first of them did.
    pub n_failing: usize,
    /// Rule and reason.
    pub failing: Option<String>,
    /// Rules and tenants that the last round had no time for.
    pub n_unreached: usize,
    /// Messages that failed in a row.
    pub n_unsent: u64,
    /// Why the last one did.
    pub unsent: Option<String>,
}

/// All of it.
#[derive(Debug)]
pub struct Board {
    rules: Vec<Rule>,
    has_webhook: bool,
    figures: WatchFigures,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    alerts: Alerts,
    /// By tenant and rule.
    looks: BTreeMap<(String, String), Look>,
    n_unreached: usize,
    outbox: Outbox,
    n_unsent: u64,
    unsent: Option<String>,
}

impl Board {
    /// Of rules; whether somebody is told.
    #[must_use]
    pub fn new(rules: Vec<Rule>, has_webhook: bool) -> Self {
        let (figures, state, changed) = (WatchFigures::default(), Mutex::default(), Notify::new());
        Self { rules, has_webhook, figures, state, changed }
    }

    /// All rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What was counted.
    #[must_use]
    pub const fn figures(&self) -> &WatchFigures {
        &self.figures
    }

    /// The alerts of a tenant.
    #[must_use]
    pub fn alerts(&self, tenant: &str) -> Vec<Alert> {
        self.state().alerts.of_tenant(tenant)
    }

    /// The rules that look at a tenant's data, and how they did.
    #[must_use]
    pub fn looks(&self, tenant: &str) -> Vec<(&Rule, Look)> {
        let state = self.state();
        let is_of_tenant = |rule: &&Rule| rule.tenant.as_deref().is_none_or(|of| of == tenant);
        let look = |rule: &Rule| state.looks.get(&(tenant.to_owned(), rule.name.clone())).cloned();
        self.rules.iter().filter(is_of_tenant).map(|rule| (rule, look(rule).unwrap_or_default())).collect()
    }

    /// How many alerts of each rule fire, and how many may.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, [u64; 2]> {
        let mut counts: BTreeMap<String, [u64; 2]> =
            self.rules.iter().map(|rule| (rule.name.clone(), [0, 0])).collect();
        for alert in self.state().alerts.all() {
            let [firing, pending] = counts.entry(alert.rule.clone()).or_default();
            match alert.state {
                AlertState::Firing => *firing = firing.saturating_add(1),
                AlertState::Pending => *pending = pending.saturating_add(1),
                AlertState::Resolved => {}
            }
        }
        counts
    }

    /// Findings that there was no room for.
    #[must_use]
    pub fn n_left_out(&self) -> u64 {
        self.state().alerts.n_left_out()
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let state = self.state();
        let failing: Vec<_> = state.looks.iter().filter(|(_, look)| look.n_failures >= N_FAILURES).collect();
        let first = failing.first().map(|((tenant, rule), look)| {
            let why = look.error.as_deref().unwrap_or("no reason is known");
            format!("{rule} of tenant {tenant}: {why}")
        });
        Standing {
            n_failing: failing.len(),
            failing: first,
            n_unreached: state.n_unreached,
            n_unsent: state.n_unsent,
            unsent: state.unsent.clone(),
        }
    }

    /// A rule has found this.
    pub(super) fn found(
        &self,
        tenant: &str,
        rule: &Rule,
        found: Vec<Finding>,
        notes: Vec<String>,
        now_unix_ns: u64,
    ) {
        add(&self.figures.looked, 1);
        let mut state = self.state();
        let changes = state.alerts.update(tenant, rule, found, now_unix_ns);
        let look = Look { answered_unix_ns: Some(now_unix_ns), n_failures: 0, error: None, notes };
        state.looks.insert((tenant.to_owned(), rule.name.clone()), look);
        for alert in &changes.fired {
            tracing::warn!(tenant, rule = alert.rule, what = alert.finding.sentence, "an alert fires");
        }
        if self.has_webhook {
            let group = (tenant.to_owned(), rule.name.clone());
            add(&self.figures.given_up, state.outbox.add(group, &changes, now_unix_ns));
            drop(state);
            self.changed.notify_one();
        }
    }

    /// There was no answer for a rule. Its alerts stay as they are.
    pub(super) fn failed(&self, tenant: &str, rule: &Rule, error: String) {
        add(&self.figures.failed, 1);
        let mut state = self.state();
        let look = state.looks.entry((tenant.to_owned(), rule.name.clone())).or_default();
        look.n_failures = look.n_failures.saturating_add(1);
        if look.n_failures == N_FAILURES {
            tracing::warn!(tenant, rule = rule.name, error, "a rule cannot be looked at");
        }
        look.error = Some(error);
    }

    /// A round is over, and so many rules were not reached.
    pub(super) fn round_ended(&self, n_unreached: usize) {
        add(&self.figures.skipped, u64::try_from(n_unreached).unwrap_or(u64::MAX));
        self.state().n_unreached = n_unreached;
    }

    /// What is to be told next, after what is too old was given up.
    pub(super) fn next(&self, now_unix_ns: u64) -> Option<Job> {
        let mut state = self.state();
        let n_given_up = state.outbox.expire(now_unix_ns);
        add(&self.figures.given_up, n_given_up);
        let State { outbox, alerts, .. } = &mut *state;
        outbox.next(alerts)
    }

    /// Until there may be something to tell.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// A message was taken, or will never be.
    pub(super) fn told(&self, job: &Job, refused: Option<String>) {
        let counter = if refused.is_some() { &self.figures.refused } else { &self.figures.delivered };
        add(counter, 1);
        let mut state = self.state();
        state.outbox.done(job);
        state.n_unsent = if refused.is_some() { state.n_unsent.saturating_add(1) } else { 0 };
        state.unsent = refused;
    }

    /// A message was not taken yet; how many failures that makes in a row.
    pub(super) fn not_told(&self, error: String) -> u64 {
        add(&self.figures.retried, 1);
        let mut state = self.state();
        state.n_unsent = state.n_unsent.saturating_add(1);
        state.unsent = Some(error);
        state.n_unsent
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

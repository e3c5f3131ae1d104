//! Looks at all rules on a timer, and tells the webhook.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use query::{
    Engine, Error, MetricSeries, Metrics, MetricsQuestion, Question, Selector, ShareQuestion, TimeRange,
};

use super::{
    board::Board,
    finding::Finding,
    judge, message,
    rule::{Kind, Limit, Rule, Share},
    shares,
    webhook::{self, SendError, Webhook},
};
use crate::{clock, receive::Intake};

/// Of one metric: more are not watched, and it is said.
const MAX_SERIES: usize = 1_000;

/// When it looks, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From one look at all rules to the next.
    pub every: Duration,
    /// Of one rule and one tenant, at most.
    pub timeout: Duration,
}

/// Looks.
#[derive(Debug)]
pub struct Watcher {
    board: Arc<Board>,
    engine: Arc<Engine>,
    intake: Arc<Intake>,
    pace: Pace,
}

/// What a rule finds, and what the answer was without.
#[derive(Debug, Default)]
struct Found {
    findings: Vec<Finding>,
    notes: Vec<String>,
}

impl Watcher {
    /// Over what tenants have sent.
    #[must_use]
    pub const fn new(board: Arc<Board>, engine: Arc<Engine>, intake: Arc<Intake>, pace: Pace) -> Self {
        Self { board, engine, intake, pace }
    }

    /// For ever.
    pub async fn run(self) {
        let mut ticks = tokio::time::interval(self.pace.every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut first = 0;
        loop {
            ticks.tick().await;
            first = self.round(first).await;
        }
    }

    /// All rules and tenants, from the one that the round before did not reach; where the next round begins.
    async fn round(&self, first: usize) -> usize {
        let start = Instant::now();
        let tenants: Vec<String> =
            self.intake.tenants().all().iter().map(|tenant| tenant.name().to_owned()).collect();
        let jobs: Vec<(&str, &Rule)> = tenants
            .iter()
            .flat_map(|tenant| self.board.rules().iter().map(move |rule| (tenant.as_str(), rule)))
            .filter(|(tenant, rule)| rule.tenant.as_deref().is_none_or(|of| of == *tenant))
            .collect();
        let first = first.checked_rem(jobs.len()).unwrap_or(0);
        let mut n_done = 0;
        for (tenant, rule) in jobs.iter().cycle().skip(first).take(jobs.len()) {
            if start.elapsed() >= self.pace.every && n_done > 0 {
                break;
            }
            self.look(tenant, rule).await;
            n_done += 1;
        }
        self.board.round_ended(jobs.len().saturating_sub(n_done));
        first.saturating_add(n_done)
    }

    async fn look(&self, tenant: &str, rule: &Rule) {
        let now_unix_ns = clock::unix_ns();
        match tokio::time::timeout(self.pace.timeout, self.found(tenant, rule, now_unix_ns)).await {
            Ok(Ok(Found { findings, notes })) => self.board.found(tenant, rule, findings, notes, now_unix_ns),
            Ok(Err(error)) => {
                let what = format!("{error}; {}", error.to_do());
                self.board.failed(tenant, rule, what);
            }
            Err(_) => {
                let what = format!("there is no answer after {} s", self.pace.timeout.as_secs());
                self.board.failed(tenant, rule, what);
            }
        }
    }

    async fn found(&self, tenant: &str, rule: &Rule, now_unix_ns: u64) -> Result<Found, Error> {
        let from_unix_ns = now_unix_ns.saturating_sub(rule.window_ns);
        let range = TimeRange { from_unix_ns, until_unix_ns: now_unix_ns };
        let mut found = Found::default();
        match &rule.kind {
            Kind::Leak { metric } => {
                let Metrics { unit, series, .. } =
                    self.metric(&mut found, tenant, metric, &rule.selector, range).await?;
                found.findings = judge::leaks(metric, &unit, range, &series);
            }
            Kind::Growth(growth) => {
                let Metrics { unit, series, .. } =
                    self.metric(&mut found, tenant, &growth.metric, &rule.selector, range).await?;
                let limits = match &growth.limit {
                    Limit::Value(_) => Vec::new(),
                    // Limits have other labels than what is limited.
                    Limit::Metric(name) => {
                        self.series(&mut found, tenant, name, &Selector::default(), range).await?
                    }
                };
                found.findings = judge::growth(growth, &unit, range, &series, &limits);
            }
            Kind::Share(share) => self.share(&mut found, tenant, rule, share, now_unix_ns).await?,
            Kind::Lost { over_percent } => {
                let taken = self.series(&mut found, tenant, judge::SAMPLES, &rule.selector, range).await?;
                let lost = self.series(&mut found, tenant, judge::LOST, &rule.selector, range).await?;
                found.findings = judge::lost(*over_percent, range, &taken, &lost);
            }
        }
        Ok(found)
    }

    async fn series(
        &self,
        found: &mut Found,
        tenant: &str,
        name: &str,
        selector: &Selector,
        range: TimeRange,
    ) -> Result<Vec<MetricSeries>, Error> {
        Ok(self.metric(found, tenant, name, selector, range).await?.series)
    }

    async fn metric(
        &self,
        found: &mut Found,
        tenant: &str,
        name: &str,
        selector: &Selector,
        range: TimeRange,
    ) -> Result<Metrics, Error> {
        let question = MetricsQuestion {
            tenant: tenant.to_owned(),
            name: name.to_owned(),
            selector: selector.clone(),
            range,
            max_series: Some(MAX_SERIES),
        };
        let answer = self.engine.metrics(&question).await?;
        found.notes.extend(answer.warnings);
        if answer.value.truncated {
            found
                .notes
                .push(format!("{name} has more than {MAX_SERIES} series: the smallest are not watched"));
        }
        Ok(answer.value)
    }

    async fn share(
        &self,
        found: &mut Found,
        tenant: &str,
        rule: &Rule,
        share: &Share,
        now_unix_ns: u64,
    ) -> Result<(), Error> {
        let ranges = shares::ranges(rule, share.grown.map(|grown| grown.baseline), now_unix_ns);
        let mut answers = Vec::new();
        for range in [Some(ranges.now), ranges.before].into_iter().flatten() {
            let of = Question {
                tenant: tenant.to_owned(),
                what: share.what.clone(),
                selector: rule.selector.clone(),
                range,
            };
            let step_ns = shares::step_ns(rule.window_ns);
            let question =
                ShareQuestion { of, function: share.function.clone(), is_self: share.only_self, step_ns };
            let answer = self.engine.shares(&question).await?;
            found.notes.extend(answer.warnings);
            answers.push(answer.value);
        }
        let Some((now, before)) = answers.split_first() else { return Ok(()) };
        let (finding, note) = shares::share(rule, share, ranges, now, before.first());
        found.findings.extend(finding);
        found.notes.extend(note.map(str::to_owned));
        Ok(())
    }
}

impl Webhook {
    /// Tells what has changed, for ever. Links begin with `page_url`.
    pub async fn run(self, board: Arc<Board>, page_url: String) {
        loop {
            let Some(job) = board.next(clock::unix_ns()) else {
                board.changed().await;
                continue;
            };
            let (tenant, rule) = &job.group;
            let body = message::body(tenant, rule, &job.alerts, &page_url);
            let it = self.clone();
            let sent = tokio::task::spawn_blocking(move || it.send(&body)).await;
            let failed = |_| Err(SendError::Again { what: "the client failed".to_owned(), after: None });
            match sent.unwrap_or_else(failed) {
                Ok(()) => board.told(&job, None),
                Err(SendError::Refused { what }) => {
                    tracing::warn!(tenant, rule, what, "the webhook refuses a message");
                    board.told(&job, Some(what));
                }
                Err(SendError::Again { what, after }) => {
                    tracing::warn!(tenant, rule, what, "the webhook did not take a message");
                    let n_failures = board.not_told(what);
                    tokio::time::sleep(webhook::wait(n_failures, after)).await;
                }
            }
        }
    }
}

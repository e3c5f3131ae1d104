//! Whether the daemon does what it is there for. Pure: figures, those of a minute ago, and the time.

use std::collections::BTreeMap;

use exposition::health::{Health, Reason};

use super::figures::{Figures, SessionState, SpoolState, sum};
use crate::send::figures::{ShipperFigures, SinkState};

/// Nothing was read from the kernel for so long: the ring is full long before.
const PUMP_STALLED_NS: u64 = 10_000_000_000;
/// Figures are taken once a second; older ones say that whoever takes them does not.
const FIGURES_STALE_NS: u64 = 10_000_000_000;
/// Of the samples of a minute.
const LOST_SHARE: f64 = 0.01;
/// Fewer samples than this say nothing about a share.
const FEW_SAMPLES: u64 = 100;
/// Of the spool's limit.
const SPOOL_NEARLY_FULL: f64 = 0.8;
/// A sink has to fail so many times in a row: one failure is the network.
const N_FAILURES: u64 = 3;

/// What was counted by an earlier time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// When, in the time of [`crate::clock::monotonic_ns`].
    pub taken_ns: u64,
    n_samples: u64,
    lost: BTreeMap<&'static str, u64>,
}

impl From<&Figures> for Counted {
    fn from(figures: &Figures) -> Self {
        let lost = figures.lost.samples.clone();
        Self { taken_ns: figures.taken_ns, n_samples: figures.n_samples(), lost }
    }
}

/// Judges `figures` by the time of `now_ns` ([`crate::clock::monotonic_ns`]). `before` is what was
/// counted by a minute ago, or by the first time there is.
#[must_use]
pub fn judge(figures: &Figures, before: &Counted, now_ns: u64) -> Health {
    let mut reasons = Vec::new();
    reasons.extend(stall(figures, now_ns));
    reasons.extend(sessions(figures));
    reasons.extend(losses(figures, before));
    reasons.extend(budget(figures));
    reasons.extend(spool(&figures.spool, figures.shipper.as_ref()));
    reasons.extend(figures.shipper.iter().flat_map(|shipper| shipper.sinks.iter().flat_map(sink)));
    if let Some(refusal) = &figures.config.last_refusal {
        let path = figures.config.path.display();
        reasons.push(Reason::degraded(
            "config_refused",
            format!("the last reload of {path} was refused: {refusal}"),
            format!("correct it (`agent daemon --check --config {path}` tells all), then `agent ctl reload`"),
        ));
    }
    if figures.kill_switch.is_on {
        let path = figures.kill_switch.path.display();
        reasons.push(Reason::degraded(
            "kill_switch",
            format!("{path} exists: nothing is attached and nothing is sampled"),
            format!("`rm {path}` to go on"),
        ));
    }
    reasons.into()
}

fn stall(figures: &Figures, now_ns: u64) -> Option<Reason> {
    const TO_DO: &str = "restart the agent; `systemctl restart brazier`, if it was started that way";
    let old_ns = now_ns.saturating_sub(figures.taken_ns);
    if old_ns > FIGURES_STALE_NS {
        let what = format!("the agent has not looked at itself for {} s", old_ns / 1_000_000_000);
        return Some(Reason::unhealthy("figures_stale", what, TO_DO));
    }
    let stalled_ns = now_ns.saturating_sub(figures.pumped_ns?);
    (stalled_ns > PUMP_STALLED_NS && !figures.kill_switch.is_on).then(|| {
        let what = format!("nothing was read from the kernel for {} s", stalled_ns / 1_000_000_000);
        Reason::unhealthy("pump_stalled", what, TO_DO)
    })
}

fn sessions(figures: &Figures) -> Vec<Reason> {
    if figures.kill_switch.is_on {
        return Vec::new();
    }
    let is_attached = |state: &SessionState| matches!(state, SessionState::Attached { .. });
    let is_any_attached = figures.sessions.iter().any(|session| is_attached(&session.state));
    let mut reasons = Vec::new();
    if !is_any_attached {
        let what = "no session is attached: nothing is sampled".to_owned();
        reasons.push(Reason::unhealthy("no_session", what, "`agent doctor --daemon` tells what is missing"));
    }
    for session in &figures.sessions {
        if let SessionState::Failed { reason } = &session.state {
            let what = format!("{} is not attached: {reason}", session.event);
            reasons.push(Reason::degraded(
                "session_failed",
                what,
                "`agent doctor --daemon` tells what is missing; it is tried again",
            ));
        }
    }
    reasons
}

fn losses(figures: &Figures, before: &Counted) -> Option<Reason> {
    let since = |(cause, n): (&&'static str, &u64)| {
        (*cause, n.saturating_sub(before.lost.get(*cause).copied().unwrap_or_default()))
    };
    let lost: BTreeMap<_, _> = figures.lost.samples.iter().map(since).collect();
    let n_lost = sum(lost.values());
    let n_samples = figures.n_samples().saturating_sub(before.n_samples);
    let n_due = n_samples.saturating_add(n_lost);
    let share = n_lost as f64 / n_due.max(1) as f64;
    if n_due < FEW_SAMPLES || share <= LOST_SHARE {
        return None;
    }
    let causes: Vec<String> =
        lost.iter().filter(|(_, n)| **n > 0).map(|(cause, n)| format!("{cause} {n}")).collect();
    let what =
        format!("{:.1} % of the samples of the last minute were lost ({})", 100.0 * share, causes.join(", "));
    Some(Reason::degraded(
        "samples_lost",
        what,
        "lower `events.cpu.frequency`, or give the agent more CPU time (it is read ten times a second)",
    ))
}

fn budget(figures: &Figures) -> Option<Reason> {
    let budget = &figures.budget;
    if budget.frequency_hz >= budget.configured_hz {
        return None;
    }
    let why = budget.last_step.map(|reason| format!(": {reason}")).unwrap_or_default();
    let what = format!(
        "the rate is {} samples a second, and {} is configured{why}",
        budget.frequency_hz, budget.configured_hz
    );
    Some(Reason::degraded(
        "rate_lowered",
        what,
        "nothing, if that is enough: it rises when there is less to do; else raise `overhead_budget`, or lower \
         `events.cpu.frequency`",
    ))
}

fn spool(state: &SpoolState, shipper: Option<&ShipperFigures>) -> Option<Reason> {
    if let Some(error) = &state.write_error {
        let to_do = "make room on its disk, or have `spool.dir` point to another";
        return Some(Reason::unhealthy(
            "spool_unwritable",
            format!("profiles cannot be kept: {error}"),
            to_do,
        ));
    }
    let bytes = shipper?.spool_bytes;
    let share = bytes as f64 / state.limit_bytes.max(1) as f64;
    (share > SPOOL_NEARLY_FULL).then(|| {
        let what = format!("the spool is {:.0} % full; the oldest profiles go first", 100.0 * share);
        let to_do = "look at the sinks that do not take what waits for them, or raise `spool.max_bytes`";
        Reason::degraded("spool_nearly_full", what, to_do)
    })
}

fn sink(sink: &SinkState) -> Option<Reason> {
    let figures = &sink.figures;
    if figures.failing < N_FAILURES {
        return None;
    }
    let why = figures.last_trouble.as_ref().map_or("no reason is known", |trouble| trouble.reason.as_str());
    let what = format!(
        "sink {} has failed {} times in a row, and {} batches wait for it: {why}",
        sink.name, figures.failing, sink.n_waiting
    );
    let to_do =
        format!("see to its receiver, or to [sink.{}]; what waits is sent when it answers", sink.name);
    Some(Reason::degraded("sink_failing", what, to_do))
}

#[cfg(test)]
mod tests;

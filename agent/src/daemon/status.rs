//! What is attached to what, and why, as JSON.

use exposition::health::Health;
use serde::Serialize;

use super::{
    board::View,
    figures::{Figures, SessionState},
};

/// More targets are counted and not listed.
const MAX_LISTED_TARGETS: usize = 1_000;

/// The state of the daemon. Times are seconds since the Unix epoch.
#[derive(Debug, Serialize)]
pub struct Status {
    version: String,
    pid: u32,
    started: u64,
    health: Health,
    sessions: Vec<Session>,
    frequency: Frequency,
    budget: Budget,
    n_targets: usize,
    n_processes: u64,
    targets: Vec<Target>,
    process_events_lost: u64,
    spool: Spool,
    sinks: Vec<Sink>,
    config: Config,
    kill_switch: KillSwitch,
}

#[derive(Debug, Serialize)]
struct Session {
    event: String,
    is_attached: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attached_to: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct Frequency {
    now_hz: u64,
    configured_hz: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_change: Option<String>,
}

#[derive(Debug, Serialize)]
struct Budget {
    used_percent: f64,
    limit_percent: f64,
    rss_bytes: u64,
    rss_limit_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Target {
    service: String,
    rule: String,
    labels: std::collections::BTreeMap<String, String>,
    n_processes: u64,
    pids: Vec<u32>,
}

#[derive(Debug, Serialize)]
struct Spool {
    bytes: u64,
    limit_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_age_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    write_error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Sink {
    name: String,
    delivered: u64,
    waiting: usize,
    given_up: u64,
    failing: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_trouble: Option<Trouble>,
}

#[derive(Debug, Serialize)]
struct Trouble {
    at: u64,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Config {
    path: String,
    loaded: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_refusal: Option<String>,
}

#[derive(Debug, Serialize)]
struct KillSwitch {
    path: String,
    is_on: bool,
}

impl From<&View> for Status {
    fn from(view: &View) -> Self {
        let figures: &Figures = &view.figures;
        let budget = &figures.budget;
        let shipper = figures.shipper.as_ref();
        let n_processes = figures.targets.iter().fold(0, |n: u64, it| n.saturating_add(it.n_processes));
        Self {
            version: figures.version.clone(),
            pid: std::process::id(),
            started: seconds(figures.start_unix_ns),
            health: view.health.clone(),
            sessions: sessions(figures),
            frequency: Frequency {
                now_hz: budget.frequency_hz,
                configured_hz: budget.configured_hz,
                last_change: budget.last_step.map(|reason| reason.to_string()),
            },
            budget: Budget {
                used_percent: budget.used_percent,
                limit_percent: budget.limit_percent,
                rss_bytes: figures.rss_bytes,
                rss_limit_bytes: figures.rss_limit_bytes,
            },
            n_targets: figures.targets.len(),
            n_processes,
            targets: targets(figures),
            process_events_lost: figures.lost.others_by("process_events"),
            spool: Spool {
                bytes: shipper.map_or(0, |shipper| shipper.spool_bytes),
                limit_bytes: figures.spool.limit_bytes,
                oldest_age_s: shipper.and_then(|shipper| Some(shipper.oldest_age?.as_secs())),
                write_error: figures.spool.write_error.clone(),
            },
            sinks: sinks(figures),
            config: Config {
                path: figures.config.path.display().to_string(),
                loaded: seconds(figures.config.loaded_unix_ns),
                last_refusal: figures.config.last_refusal.clone(),
            },
            kill_switch: KillSwitch {
                path: figures.kill_switch.path.display().to_string(),
                is_on: figures.kill_switch.is_on,
            },
        }
    }
}

fn sessions(figures: &Figures) -> Vec<Session> {
    let session = |event: &String, state: &SessionState| {
        let session = |is_attached| Session {
            event: event.clone(),
            is_attached,
            attached_to: Vec::new(),
            since: None,
            reason: None,
        };
        match state {
            SessionState::Attached { to, since_unix_ns } => {
                Session { attached_to: to.clone(), since: Some(seconds(*since_unix_ns)), ..session(true) }
            }
            SessionState::Failed { reason } | SessionState::Unavailable { reason } => {
                Session { reason: Some(reason.clone()), ..session(false) }
            }
        }
    };
    figures.sessions.iter().map(|it| session(&it.event, &it.state)).collect()
}

fn targets(figures: &Figures) -> Vec<Target> {
    let listed = figures.targets.iter().take(MAX_LISTED_TARGETS);
    let target = |it: &super::figures::TargetFigures| Target {
        service: it.service.clone(),
        rule: it.rule.clone(),
        labels: it.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        n_processes: it.n_processes,
        pids: it.pids.clone(),
    };
    listed.map(target).collect()
}

fn sinks(figures: &Figures) -> Vec<Sink> {
    let sinks = figures.shipper.iter().flat_map(|shipper| &shipper.sinks);
    let sink = |it: &crate::send::figures::SinkState| Sink {
        name: it.name.clone(),
        delivered: it.figures.delivered,
        waiting: it.n_waiting,
        given_up: it.figures.given_up,
        failing: it.figures.failing,
        last_trouble: it
            .figures
            .last_trouble
            .as_ref()
            .map(|trouble| Trouble { at: seconds(trouble.unix_ns), reason: trouble.reason.clone() }),
    };
    sinks.map(sink).collect()
}

const fn seconds(unix_ns: u64) -> u64 {
    unix_ns / 1_000_000_000
}

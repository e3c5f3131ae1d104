//! Whether the collector does what it is there for. Pure.

use exposition::health::{Health, Reason};

use super::figures::StoreState;
use crate::watch::Standing;

/// Of what the log may hold.
const LOG_NEARLY_FULL: f64 = 0.8;
/// The store has to fail so many times in a row: one failure is the network.
const N_FAILURES: u64 = 3;
/// As has the webhook.
const N_UNSENT: u64 = 3;

/// What it is judged by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// How the store takes what it is given.
    pub store: StoreState,
    /// Bytes of the log that wait for the store.
    pub waiting_bytes: u64,
    /// That may.
    pub max_log_bytes: u64,
    /// Records of the log that could not be read.
    pub n_damaged: u64,
    /// Files of the store that could not be read.
    pub n_files_damaged: u64,
    /// Writes of the log that failed.
    pub n_log_failures: u64,
    /// How watching stands.
    pub watch: Standing,
    /// Why the cluster that answers questions was not there when it was last asked.
    pub missing_cluster: Option<String>,
}

/// Judges.
#[must_use]
pub fn judge(view: &View) -> Health {
    let mut reasons = Vec::new();
    let share = view.waiting_bytes as f64 / view.max_log_bytes.max(1) as f64;
    if share >= 1.0 {
        reasons.push(Reason::unhealthy(
            "log_full",
            "the log is full: nothing is taken".to_owned(),
            "see to the store, or raise log.max_bytes",
        ));
    } else if share > LOG_NEARLY_FULL {
        reasons.push(Reason::degraded(
            "log_nearly_full",
            format!("the log is {:.0} % full; beyond, nothing is taken", 100.0 * share),
            "see to the store, or raise log.max_bytes",
        ));
    }
    if view.store.failing >= N_FAILURES {
        let why = view.store.last_error.as_deref().unwrap_or("no reason is known");
        reasons.push(Reason::degraded(
            "store_failing",
            format!("the store has failed {} times in a row: {why}", view.store.failing),
            "see to the store; what waits is in the log, and is brought there when it answers",
        ));
    }
    if view.n_log_failures > 0 {
        reasons.push(Reason::degraded(
            "log_failed",
            format!("the log could not be written {} times since the start", view.n_log_failures),
            "see to the disk of the log",
        ));
    }
    if view.n_damaged > 0 {
        reasons.push(Reason::degraded(
            "log_damaged",
            format!("{} records of the log are not as they were written", view.n_damaged),
            "see to the disk; the segments are in wal/ as *.damaged, all else in them is in the store",
        ));
    }
    if view.n_files_damaged > 0 {
        reasons.push(Reason::degraded(
            "file_damaged",
            format!("{} files of the store cannot be read", view.n_files_damaged),
            "see to the store; they are below damaged/ there",
        ));
    }
    reasons.extend(watching(&view.watch));
    if let Some(why) = &view.missing_cluster {
        reasons.push(Reason::degraded(
            "cluster_missing",
            format!("the cluster is not there, and questions are answered by this collector: {why}"),
            "see to the scheduler and the executors; the next question asks for it again",
        ));
    }
    reasons.into()
}

fn watching(watch: &Standing) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if let Some(why) = &watch.failing {
        reasons.push(Reason::degraded(
            "watch_failing",
            format!("{} rules cannot be looked at: {why}", watch.n_failing),
            "see /api/v1/alerts; make the window of the rule shorter, or select less",
        ));
    }
    if watch.n_unreached > 0 {
        reasons.push(Reason::degraded(
            "watch_late",
            format!("{} rules were not looked at in the last round", watch.n_unreached),
            "raise alerts.every_seconds, or watch less",
        ));
    }
    if watch.n_unsent >= N_UNSENT {
        let why = watch.unsent.as_deref().unwrap_or("no reason is known");
        reasons.push(Reason::degraded(
            "webhook_failing",
            format!("the webhook has not been told {} times in a row: {why}", watch.n_unsent),
            "see to the receiver of alerts.webhook.url; what waits is told when it answers",
        ));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use exposition::health::Status;

    use super::*;

    #[test]
    fn the_worst_reason_decides() {
        let healthy = View { max_log_bytes: 100, waiting_bytes: 80, ..View::default() };
        let failing = StoreState { failing: 3, last_error: Some("no route".to_owned()) };
        let unwatched = Standing {
            n_failing: 1,
            failing: Some("a of tenant t: too slow".to_owned()),
            n_unreached: 1,
            n_unsent: 3,
            unsent: None,
        };
        let cases = [
            (healthy.clone(), Status::Healthy, vec![]),
            (View { waiting_bytes: 81, ..healthy.clone() }, Status::Degraded, vec!["log_nearly_full"]),
            (
                View { waiting_bytes: 100, store: failing, ..healthy.clone() },
                Status::Unhealthy,
                vec!["log_full", "store_failing"],
            ),
            (
                View { watch: unwatched, ..healthy.clone() },
                Status::Degraded,
                vec!["watch_failing", "watch_late", "webhook_failing"],
            ),
            (
                View { n_damaged: 1, n_log_failures: 1, ..healthy.clone() },
                Status::Degraded,
                vec!["log_failed", "log_damaged"],
            ),
            (
                View { missing_cluster: Some("refused".to_owned()), ..healthy },
                Status::Degraded,
                vec!["cluster_missing"],
            ),
        ];
        for (view, status, codes) in cases {
            let seen = judge(&view);
            let seen_codes: Vec<_> = seen.reasons.iter().map(|reason| reason.code).collect();
            assert_eq!((seen.status, seen_codes), (status, codes), "{view:?}");
        }
    }
}

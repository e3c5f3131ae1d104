//! What is said of figures that are as they should be, and of others.

use exposition::health::{Health, Status};

use super::{Counted, judge};
use crate::{
    daemon::{
        example::{NOW_NS, figures},
        figures::{Figures, SessionState},
        governor::StepReason,
    },
    send::figures::Trouble,
};

/// Of the figures of the example with a change.
fn seen(change: impl FnOnce(&mut Figures)) -> Health {
    let mut now = figures();
    change(&mut now);
    judge(&now, &Counted::from(&figures()), NOW_NS)
}

fn said(health: &Health) -> Vec<(&'static str, Status)> {
    health.reasons.iter().map(|reason| (reason.code, reason.status)).collect()
}

#[test]
fn nothing_is_said_of_what_is_as_it_should_be() {
    let health = seen(|_| {});
    assert_eq!((health.status, said(&health)), (Status::Healthy, vec![]), "{health:?}");
}

#[test]
fn each_trouble_has_its_reason_and_says_what_to_do() {
    type Change = fn(&mut Figures);
    let failed = || SessionState::Failed { reason: "no such tracepoint".into() };
    let cases: [(&str, Status, Change); 10] = [
        ("figures_stale", Status::Unhealthy, |it| it.taken_ns = NOW_NS - 11_000_000_000),
        ("pump_stalled", Status::Unhealthy, |it| it.pumped_ns = Some(NOW_NS - 11_000_000_000)),
        ("no_session", Status::Unhealthy, |it| it.sessions.clear()),
        ("spool_unwritable", Status::Unhealthy, |it| it.spool.write_error = Some("disk full".into())),
        ("samples_lost", Status::Degraded, |it| {
            it.samples.insert("cpu".into(), 18_000);
            it.lost.samples.insert("ring_full", 200);
        }),
        ("rate_lowered", Status::Degraded, |it| {
            it.budget.frequency_hz = 12;
            it.budget.last_step = Some(StepReason::OverBudget { used_percent: 7.123, budget_percent: 1.0 });
        }),
        ("spool_nearly_full", Status::Degraded, |it| {
            it.shipper.as_mut().expect("a shipper").spool_bytes = 500 << 20;
        }),
        ("sink_failing", Status::Degraded, |it| {
            let figures = &mut it.shipper.as_mut().expect("a shipper").sinks[0].figures;
            figures.failing = 3;
            figures.last_trouble = Some(Trouble { unix_ns: 1, reason: "connection refused".into() });
        }),
        ("config_refused", Status::Degraded, |it| {
            it.config.last_refusal = Some("line 3: no such key".into());
        }),
        ("kill_switch", Status::Degraded, |it| {
            it.kill_switch.is_on = true;
            it.sessions.clear();
            it.pumped_ns = Some(0);
        }),
    ];
    for (code, status, change) in cases {
        let health = seen(change);
        assert_eq!(said(&health), [(code, status)], "{health:?}");
        assert_eq!(health.status, status, "{health:?}");
        assert!(!health.reasons[0].to_do.is_empty(), "{health:?}");
    }
    let both = seen(|it| {
        let mut second = it.sessions[0].clone();
        second.state = failed();
        it.sessions.push(second);
        it.spool.write_error = Some("disk full".into());
    });
    let expected = [("spool_unwritable", Status::Unhealthy), ("session_failed", Status::Degraded)];
    assert_eq!(said(&both), expected, "the worst is first: {both:?}");
}

#[test]
fn little_is_no_trouble() {
    let health = seen(|it| {
        // 1 % of a minute, all of nearly nothing, and an event that this host does not have.
        it.samples.insert("cpu".into(), 18_901);
        it.lost.samples.insert("ring_full", 99);
        it.shipper.as_mut().expect("a shipper").sinks[0].figures.failing = 2;
        let mut faults = it.sessions[0].clone();
        faults.state = SessionState::Unavailable { reason: "no kmem:rss_stat".into() };
        it.sessions.push(faults);
    });
    assert_eq!(said(&health), [], "{health:?}");
    let health = seen(|it| {
        it.lost.samples.insert("ring_full", 50);
    });
    assert_eq!(said(&health), [], "{health:?}");
}

#[test]
fn losses_are_those_of_the_last_minute_with_their_causes() {
    let mut before = figures();
    before.lost.samples.insert("ring_full", 1_000_000);
    let mut now = before.clone();
    assert_eq!(said(&judge(&now, &Counted::from(&before), NOW_NS)), []);
    now.samples.insert("cpu".into(), 9_150);
    now.lost.samples.insert("ring_full", 1_000_050);
    let health = judge(&now, &Counted::from(&before), NOW_NS);
    let what = health.reasons.first().map(|reason| reason.what.as_str());
    let expected = "25.0 % of the samples of the last minute were lost (ring_full 50)";
    assert_eq!(what, Some(expected), "{health:?}");
    // Counts that fall, as after a restart, are no losses.
    assert_eq!(said(&judge(&before, &Counted::from(&now), NOW_NS)), []);
}

//! Figures of a daemon that does well, for tests.

use std::{collections::BTreeMap, time::Duration};

use profile::Labels;

use super::figures::{
    BudgetFigures, CacheUse, ConfigFigures, Figures, KillSwitch, SessionFigures, SessionState, SpoolState,
    TableFigures, TargetFigures, WindowFigures,
};
use crate::{
    kernel::Cost,
    run::Losses,
    send::{
        figures::{ShipperFigures, SinkFigures, SinkState},
        spool::SpoolFigures,
    },
};

/// When they were taken.
pub(super) const NOW_NS: u64 = 1_000_000_000_000;

/// After a while on a host of four CPUs.
pub(super) fn figures() -> Figures {
    let mut figures = Figures {
        version: "0.1.0".into(),
        start_unix_ns: 1_700_000_000_000_000_000,
        taken_unix_ns: 1_700_000_900_000_000_000,
        taken_ns: NOW_NS - 500_000_000,
        samples: [("cpu", 9_000), ("faults", 1_000)].map(|(event, n)| (event.to_owned(), n)).into(),
        stacks: BTreeMap::from([("complete", 9_900), ("chain_broken", 100)]),
        tables: TableFigures { bytes: 40 << 20, limit_bytes: 64 << 20, evicted: 2 },
        windows: WindowFigures { made: 90, late: 1, early: 0, profiles: 180 },
        symbols: CacheUse { hits: 50_000, misses: 400 },
        programs: [("brazier_cpu".to_owned(), Cost { run_time: Duration::from_millis(90), n_runs: 9_000 })]
            .into(),
        agent_cpu: Duration::from_millis(1_250),
        rss_bytes: 30 << 20,
        rss_limit_bytes: 64 << 20,
        budget: BudgetFigures {
            limit_percent: 1.0,
            used_percent: 0.25,
            frequency_hz: 99,
            configured_hz: 99,
            ..BudgetFigures::default()
        },
        targets: vec![TargetFigures {
            service: "edge".into(),
            rule: "edge-nginx".into(),
            labels: Labels::default().with("team", "edge"),
            n_processes: 5,
            pids: vec![4711, 4712, 4713, 4714, 4715],
        }],
        sessions: vec![SessionFigures {
            event: "cpu".into(),
            state: SessionState::Attached {
                to: vec!["cpu-clock on 4 CPUs".into()],
                since_unix_ns: 1_700_000_001_000_000_000,
            },
        }],
        pumped_ns: Some(NOW_NS - 600_000_000),
        shipper: Some(ShipperFigures {
            spool: SpoolFigures { spooled: 90, ..SpoolFigures::default() },
            spool_bytes: 4096,
            oldest_age: Some(Duration::from_secs(1)),
            sinks: vec![SinkState {
                name: "collector".into(),
                figures: SinkFigures { delivered: 89, delivered_bytes: 1 << 20, ..SinkFigures::default() },
                n_waiting: 1,
            }],
        }),
        spool: SpoolState { limit_bytes: 512 << 20, write_error: None },
        config: ConfigFigures {
            path: "/etc/brazier/agent.toml".into(),
            loaded_unix_ns: 1_700_000_000_500_000_000,
            ..ConfigFigures::default()
        },
        kill_switch: KillSwitch { path: "/run/brazier/off".into(), is_on: false },
        ..Figures::default()
    };
    figures.lost.add(&[], &Losses { process_events: 3, ..Losses::default() });
    figures
}

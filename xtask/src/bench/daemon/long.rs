//! Daemons for a long time, and their memory every minute: whether it grows.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    FREQUENCIES_HZ, MIB, SETTLE, WINDOW,
    receiver::Receiver,
    shipping::Shipping,
    watcher::{DAEMON, Watcher},
};
use crate::{
    bench::{
        Plan,
        nginx::{self, Nginx},
        usage::{self, Memory},
    },
    shell::Workspace,
};

/// As it is where nothing else is said.
const DEFAULT_LIMIT_MIB: u32 = 64;
const MINUTE: Duration = Duration::from_secs(60);
/// A table that is read by people has no more lines than this, about.
const N_SHOWN: u64 = 10;

/// One of the daemons, which run side by side.
struct Watched {
    frequency_hz: u32,
    receiver: Receiver,
    watcher: Watcher,
    /// The memory at the end of each minute.
    by_minute: Vec<Memory>,
}

pub(in crate::bench) fn table(workspace: &Workspace, plan: &Plan) -> Result<String> {
    let agent = DAEMON.find(workspace, plan)?;
    let nginx = Nginx::start()?;
    let mut watched = Vec::new();
    for frequency_hz in FREQUENCIES_HZ {
        let receiver = Receiver::start(workspace)?;
        let shipping = Shipping { frequency_hz, window: WINDOW, rss_limit_mib: DEFAULT_LIMIT_MIB };
        let watcher = Watcher::start(&agent, shipping, receiver.address())?;
        watched.push(Watched { frequency_hz, receiver, watcher, by_minute: Vec::new() });
    }
    for it in &mut watched {
        it.watcher.wait_until_sampling()?;
    }
    thread::sleep(SETTLE);
    let start = Instant::now();
    for minute in 1..=plan.n_minutes {
        let end = start + MINUTE * u32::try_from(minute)?;
        // wrk takes whole seconds, and a little more than it is told.
        let left = end.saturating_duration_since(Instant::now());
        let rate = nginx.load(Duration::from_secs(left.as_secs().max(1)))?.requests_per_s()?;
        thread::sleep(end.saturating_duration_since(Instant::now()));
        for it in &mut watched {
            let memory =
                it.watcher.checked(usage::memory).with_context(|| format!("at {} Hz", it.frequency_hz))?;
            println!("  minute {minute}, {} Hz: {rate:.0} requests/s, {memory:?}", it.frequency_hz);
            it.by_minute.push(memory);
        }
    }
    let mut columns = Vec::new();
    for Watched { frequency_hz, receiver, watcher, by_minute } in watched {
        println!("  {frequency_hz} Hz, what it said: {}", watcher.log());
        watcher.finish()?;
        println!("  {frequency_hz} Hz: {:?}", receiver.finish()?);
        columns.push((frequency_hz, by_minute));
    }
    Ok(format!(
        "{}\nSide by side, with nginx under load from wrk all the while; windows of {} s, {}; {}.",
        render(&columns),
        WINDOW.as_secs(),
        agent.version,
        nginx::version()?
    ))
}

fn render(columns: &[(u32, Vec<Memory>)]) -> String {
    let mut table = String::from("| MiB after minute |");
    for (frequency_hz, _) in columns {
        table += &format!(" RSS, {frequency_hz} Hz | anonymous | files | shared memory |");
    }
    table += &format!("\n|--:|{}\n", "--:|--:|--:|--:|".repeat(columns.len()));
    let n_minutes = columns.iter().map(|(_, by_minute)| by_minute.len()).max().unwrap_or(0);
    for minute in shown(n_minutes as u64) {
        table += &format!("| {minute} |");
        for (_, by_minute) in columns {
            let memory = usize::try_from(minute).ok().and_then(|minute| by_minute.get(minute - 1));
            let bytes = memory
                .map_or([0; 4], |it| [it.rss_bytes(), it.anonymous_bytes, it.file_bytes, it.shared_bytes]);
            for bytes in bytes {
                table += &format!(" {:.1} |", bytes as f64 / MIB);
            }
        }
        table.push('\n');
    }
    table
}

/// The first minute, the last, and some evenly between.
fn shown(n_minutes: u64) -> Vec<u64> {
    let step = n_minutes.div_ceil(N_SHOWN).max(1);
    (1..=n_minutes).filter(|minute| *minute == 1 || *minute == n_minutes || minute % step == 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_the_first_minute_the_last_and_some_between() {
        assert_eq!(shown(3), [1, 2, 3]);
        assert_eq!(shown(30), [1, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30]);
        assert_eq!(shown(0), [0; 0]);
        let memory = |mib: u64| Memory { anonymous_bytes: mib << 20, file_bytes: 2 << 20, shared_bytes: 0 };
        let table = render(&[(99, vec![memory(10), memory(11)])]);
        assert!(
            table.ends_with("| 1 | 12.0 | 10.0 | 2.0 | 0.0 |\n| 2 | 13.0 | 11.0 | 2.0 | 0.0 |\n"),
            "{table}"
        );
    }
}

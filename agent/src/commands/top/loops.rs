//! Event loops from one moment to the next: the kernel side counts from the start. Pure.

use std::collections::HashMap;

use abi::event_loop::{WORKS, Worker};

use crate::top::LoopRow;

/// What was counted of each thread the last time.
#[derive(Default)]
pub(super) struct LoopCounts {
    before: HashMap<u32, Worker>,
}

impl LoopCounts {
    /// The rows of the time since the last call, the busiest first.
    pub(super) fn rows(
        &mut self,
        workers: Vec<(u32, Worker)>,
        now_ns: u64,
        name_of: impl Fn(u32) -> Option<String>,
    ) -> Vec<LoopRow> {
        let mut rows = Vec::new();
        let mut known = HashMap::with_capacity(workers.len());
        for (tid, worker) in workers {
            let worker = up_to(worker, now_ns);
            let before = self.before.get(&tid).copied();
            known.insert(tid, worker);
            // Of a thread that has ended, the entry stays.
            let Some(name) = name_of(tid) else { continue };
            let before =
                before.unwrap_or(Worker { buckets: worker.buckets, ..Worker::new(worker.tgid, WORKS, 0) });
            let since = |now: u64, then: u64| now.saturating_sub(then);
            let busy_ns = since(worker.busy_ns, before.busy_ns);
            let all_ns = (busy_ns + since(worker.waiting_ns, before.waiting_ns)).max(1);
            let n_iterations = since(worker.n_iterations, before.n_iterations);
            rows.push(LoopRow {
                pid: worker.tgid,
                tid,
                name,
                busy_percent: 100.0 * busy_ns as f64 / all_ns as f64,
                iterations_per_second: n_iterations as f64 * 1e9 / all_ns as f64,
                mean_ns: busy_ns.checked_div(n_iterations).unwrap_or(0),
                max_ns: worker.max_ns,
                stalls: since(worker.n_stalls, before.n_stalls),
                all_stalls: worker.n_stalls,
            });
        }
        self.before = known;
        rows.sort_by(|a, b| b.busy_percent.total_cmp(&a.busy_percent).then(a.tid.cmp(&b.tid)));
        rows
    }
}

/// With what is under way.
fn up_to(worker: Worker, now_ns: u64) -> Worker {
    let n_ns = now_ns.saturating_sub(worker.since_ns);
    if worker.state == WORKS {
        Worker { busy_ns: worker.busy_ns + n_ns, max_ns: worker.max_ns.max(n_ns), ..worker }
    } else {
        Worker { waiting_ns: worker.waiting_ns + n_ns, ..worker }
    }
}

#[cfg(test)]
mod tests {
    use super::LoopCounts;
    use abi::event_loop::{WAITS, Worker};

    fn at(since_ns: u64, busy_ns: u64, waiting_ns: u64, n_iterations: u64) -> Worker {
        Worker { busy_ns, waiting_ns, n_iterations, ..Worker::new(4711, WAITS, since_ns) }
    }

    #[test]
    fn a_row_is_of_the_time_since_the_last_one() {
        let mut counts = LoopCounts::default();
        let name = |_| Some("worker".to_owned());
        let rows = counts.rows(vec![(7, at(1000, 400, 600, 4))], 1000, name);
        assert_eq!((rows[0].busy_percent, rows[0].mean_ns), (40.0, 100));
        // It waits for 500 ns more.
        let rows = counts.rows(vec![(7, at(1500, 900, 600, 9))], 2000, name);
        assert_eq!((rows[0].busy_percent, rows[0].mean_ns, rows[0].pid), (50.0, 100, 4711));
        assert!(counts.rows(vec![(7, at(1500, 900, 600, 9))], 2000, |_| None).is_empty());
    }
}

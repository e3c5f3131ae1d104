//! What the report says of event loops.

use abi::event_loop::{Worker, bucket_start_ns};
use profile::{LoopBucket, LoopGroup, Loops, WorkerLoop};

use crate::run::Recording;

/// The workers of a recording, if event loops were looked at.
pub(super) fn loops(recording: &Recording) -> Option<Loops> {
    let stall_ns = recording.source.stall_ns()?;
    let worker = |(image, tid, worker): &(_, u32, Worker)| {
        let image = recording.processes.image(*image)?;
        let process = (image.pid, image.name.clone());
        Some(worker_loop(worker, process, (*tid, image.thread_name(*tid).to_owned())))
    };
    let mut workers: Vec<WorkerLoop> = recording.workers.iter().filter_map(worker).collect();
    workers.sort_by(|a, b| b.busy_percent.total_cmp(&a.busy_percent).then(a.tid.cmp(&b.tid)));
    Some(Loops { stall_ns, groups: groups(&workers), workers })
}

fn worker_loop(worker: &Worker, (pid, process): (u32, String), (tid, name): (u32, String)) -> WorkerLoop {
    let elapsed_ns = worker.busy_ns.saturating_add(worker.waiting_ns).max(1);
    let quantile = |share| quantile_ns(worker, share);
    let filled = worker.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
    WorkerLoop {
        pid,
        process,
        tid,
        name,
        busy_percent: 100.0 * worker.busy_ns as f64 / elapsed_ns as f64,
        iterations: worker.n_iterations,
        mean_ns: worker.busy_ns.checked_div(worker.n_iterations).unwrap_or(0),
        median_ns: quantile(0.5),
        p90_ns: quantile(0.9),
        p99_ns: quantile(0.99),
        max_ns: worker.max_ns,
        stalls: worker.n_stalls,
        stalled_ns: worker.stalled_ns,
        histogram: filled
            .map(|(at, count)| LoopBucket { from_ns: bucket_start_ns(at), count: (*count).into() })
            .collect(),
    }
}

/// The time that a share of the iterations does not exceed, to the width of a bucket; 0 without any.
fn quantile_ns(worker: &Worker, share: f64) -> u64 {
    let n_all: u64 = worker.buckets.iter().map(|count| u64::from(*count)).sum();
    let n_wanted = (share * n_all as f64).ceil().max(1.0) as u64;
    let mut n_below = 0;
    for (at, count) in worker.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
        n_below += u64::from(*count);
        if n_below >= n_wanted {
            let middle_ns = bucket_start_ns(at).midpoint(bucket_start_ns(at + 1));
            return middle_ns.min(worker.max_ns);
        }
    }
    0
}

/// Workers of processes of one name share the work. A thread that only waits, beside one of its process that works, is none
/// of them.
fn groups(workers: &[WorkerLoop]) -> Vec<LoopGroup> {
    let mut groups: Vec<LoopGroup> = Vec::new();
    let works = |it: &WorkerLoop| it.busy_percent > 0.0;
    let is_worker =
        |it: &&WorkerLoop| works(it) || !workers.iter().any(|other| other.pid == it.pid && works(other));
    for worker in workers.iter().filter(is_worker) {
        let group = match groups.iter().position(|group| group.process == worker.process) {
            Some(at) => &mut groups[at],
            None => {
                groups.push(LoopGroup { process: worker.process.clone(), ..LoopGroup::default() });
                let last = groups.len() - 1;
                &mut groups[last]
            }
        };
        group.workers += 1;
        group.busy_percent += worker.busy_percent;
        group.busiest_percent = group.busiest_percent.max(worker.busy_percent);
    }
    for group in &mut groups {
        group.busy_percent /= group.workers as f64;
        if group.busy_percent > 0.0 {
            group.imbalance = group.busiest_percent / group.busy_percent;
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::{groups, quantile_ns, worker_loop};
    use abi::event_loop::{WAITS, Worker, bucket};
    use profile::WorkerLoop;

    fn worker(times_ns: &[u64]) -> Worker {
        let mut worker = Worker::new(1, WAITS, 0);
        for n_ns in times_ns {
            worker.n_iterations += 1;
            worker.busy_ns += n_ns;
            worker.max_ns = worker.max_ns.max(*n_ns);
            worker.buckets[bucket(*n_ns)] += 1;
        }
        worker
    }

    fn of(busy_ns: u64, waiting_ns: u64) -> WorkerLoop {
        let worker = Worker { busy_ns, waiting_ns, ..Worker::new(1, WAITS, 0) };
        worker_loop(&worker, (1, "nginx".into()), (1, "nginx".into()))
    }

    #[test]
    fn quantiles_are_those_of_the_times_to_an_eighth() {
        let times: Vec<u64> = (1..=1000).map(|n| n * 10_000).collect();
        let worker = worker(&times);
        for (share, expected) in [(0.5, 5_000_000.0), (0.9, 9_000_000.0), (0.99, 9_900_000.0)] {
            let found = quantile_ns(&worker, share) as f64;
            assert!((found / expected - 1.0).abs() < 0.125, "{share}: {found}");
        }
        assert_eq!(quantile_ns(&self::worker(&[]), 0.5), 0);
        assert_eq!(quantile_ns(&self::worker(&[1040]), 0.5), 1040, "not more than the longest");
    }

    #[test]
    fn the_imbalance_is_that_of_the_busiest_against_the_average() {
        let idle = of(0, 100);
        let groups = groups(&[of(90, 10), of(10, 90), of(20, 80), idle]);
        assert_eq!(groups.len(), 1, "{groups:?}");
        assert!((groups[0].busy_percent - 40.0).abs() < 1e-9, "{groups:?}");
        assert!((groups[0].imbalance - 2.25).abs() < 1e-9, "{groups:?}");
    }
}

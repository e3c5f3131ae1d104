//! What the report says of probes: which, where, what they cost, and whether they took themselves off.

use crate::run::{Probed, ProbingReport};

/// In sentences.
pub(super) fn comments(report: &ProbingReport) -> Vec<String> {
    let mut comments = Vec::new();
    if report.probed.is_empty() {
        comments.push("no target maps an allocator that is known by its name: nothing was probed".to_owned());
    }
    for Probed { path, probe, n_processes } in &report.probed {
        let name = path.rsplit('/').next().unwrap_or(path);
        comments.push(format!(
            "probe on {}+{:#x} of {name} in {n_processes} processes",
            probe.function, probe.distance
        ));
    }
    for (path, function) in &report.left_out {
        comments.push(format!(
            "no probe on {function} of {path}: it has no instruction in reach that the kernel emulates, and one that is \
             run out of line costs ten times as much"
        ));
    }
    if report.n_refused > 0 {
        comments.push(format!("{} probes were refused or one too many", report.n_refused));
    }
    if let Some(cost) = report.cost.filter(|cost| cost.n_runs > 0) {
        let program_ns = cost.run_time.as_nanos() as f64 / cost.n_runs as f64;
        comments.push(format!(
            "{} hits of probes, {:.0} ns each before anything is sampled, as measured at the start; {program_ns:.0} ns \
             each in the program, samples included",
            cost.n_runs, report.hit_ns
        ));
    }
    if let Some((after, hits_per_second)) = report.ended {
        comments.push(format!(
            "the probes took themselves off after {:.1} s: {hits_per_second:.0} hits a second cost more than \
             --probe-budget allows, and the profile ends there",
            after.as_secs_f64()
        ));
    }
    comments
}

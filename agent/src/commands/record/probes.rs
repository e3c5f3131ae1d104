//! What the report says of probes: which, where, what they cost, and whether they took themselves off.

use std::time::Duration;

use profile::{ProbeUse, Probes};

use crate::run::{Probed, ProbingReport, Refusal};

/// As numbers.
pub(super) fn summary(report: &ProbingReport, duration: Duration) -> Probes {
    let seconds = duration.as_secs_f64().max(0.001);
    let each = report.probed.iter().map(|Probed { path, probe, n_processes, n_hits }| {
        let hits_per_second = n_hits.map(|n_hits| n_hits as f64 / seconds);
        ProbeUse {
            function: probe.function.clone(),
            offset: probe.distance,
            file: path.clone(),
            processes: *n_processes,
            hits: *n_hits,
            hits_per_second,
            cpu_percent: hits_per_second.map(|rate| 100.0 * rate * report.hit_ns / 1e9),
        }
    });
    Probes {
        on_percent: on_percent(report, duration),
        times_on: report.n_times_on,
        at_once: report.one_by_one.is_none(),
        hit_ns: report.hit_ns,
        refused: report.refusals.values().sum(),
        each: each.collect(),
    }
}

/// Files named in a sentence.
const MAX_FILES: usize = 3;
/// Symbols that distributions leave in stripped files.
const DEBUG_DATA: &str = ".gnu_debugdata";
fn on_percent(report: &ProbingReport, duration: Duration) -> f64 {
    if report.is_complete() {
        return 100.0;
    }
    (100.0 * report.on_for.as_secs_f64() / duration.as_secs_f64().max(0.001)).min(100.0)
}

/// In sentences.
pub(super) fn comments(report: &ProbingReport, duration: Duration) -> Vec<String> {
    let mut comments = Vec::new();
    if report.probed.is_empty() {
        comments.push(nothing(report));
    }
    let (hit, idle): (Vec<_>, Vec<_>) =
        summary(report, duration).each.into_iter().partition(|it| it.hits != Some(0));
    for it in hit {
        let name = it.file.rsplit('/').next().unwrap_or(&it.file);
        let mut line =
            format!("probe on {}+{:#x} of {name} in {} processes", it.function, it.offset, it.processes);
        if let (Some(hits), Some(rate), Some(percent)) = (it.hits, it.hits_per_second, it.cpu_percent) {
            line += &format!(": {hits} hits, {rate:.0} a second, {percent:.2} % of one CPU");
        }
        comments.push(line);
    }
    if !idle.is_empty() {
        let names: Vec<&str> = idle.iter().map(|it| it.function.as_str()).collect();
        comments.push(format!("probes that nobody ran into: {}", names.join(", ")));
    }
    let unfollowed: Vec<String> = report
        .probed
        .iter()
        .filter(|it| report.wants_frees && it.probe.arguments.allocates() && !it.probe.has_return)
        .filter(|it| it.n_hits != Some(0))
        .map(|it| format!("{} of {}", it.probe.function, it.path))
        .collect();
    if !unfollowed.is_empty() {
        comments.push(format!(
            "what these gave is not followed, and missing from what lives, as their returns cannot be probed (an exception \
             that leaves a function with a probed return would end the program): {}",
            unfollowed.join(", ")
        ));
    }
    for (path, function) in &report.left_out {
        comments.push(format!(
            "no probe on {function} of {path}: it has no instruction in reach that the kernel emulates, and one that is \
             run out of line costs ten times as much"
        ));
    }
    for (Refusal { path, function, reason }, n_processes) in &report.refusals {
        comments.push(format!("no probe on {function} of {path} in {n_processes} processes: {reason}"));
    }
    if report.n_beyond > 0 {
        comments.push(format!(
            "{} files of processes were not probed, as there were too many: record fewer processes",
            report.n_beyond
        ));
    }
    if let Some(reason) = &report.one_by_one {
        comments.push(format!("probes were put in and taken out one by one, which takes its time: {reason}"));
    }
    if let Some(cost) = report.cost.filter(|cost| cost.n_runs > 0) {
        let program_ns = cost.run_time.as_nanos() as f64 / cost.n_runs as f64;
        comments.push(format!(
            "{} hits of probes, {:.0} ns each before anything is sampled, as measured at the start; {program_ns:.0} ns \
             each in the program, samples included",
            cost.n_runs, report.hit_ns
        ));
    }
    if report.wants_frees && report.is_complete() && !report.has_all_frees() {
        comments.push("what lives is left out: not every free was seen".to_owned());
    }
    if report.was_taken_out {
        comments.push(format!(
            "probes were on for {:.1} % of the time, in {} windows at random moments, as more would cost more than \
             --probe-budget; what they saw is scaled to the whole, and of what is freed too little was seen to tell \
             what is in use",
            on_percent(report, duration),
            report.n_times_on
        ));
    }
    if report.n_late > 0 {
        comments.push(format!(
            "{} of these windows were late: on a busy host, putting probes in takes its time",
            report.n_late
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

/// What was tried, and what else there is.
fn nothing(report: &ProbingReport) -> String {
    let tried: Vec<String> = report
        .nothing_found
        .iter()
        .take(MAX_FILES)
        .map(|(path, tables)| match tables[..] {
            [] => format!(
                "{path} (which has no symbols, no {DEBUG_DATA} and no debug file below /usr/lib/debug)"
            ),
            _ => format!("{path} (in {})", tables.join(", ")),
        })
        .collect();
    let tried = if tried.is_empty() { "no file at all".to_owned() } else { tried.join(", ") };
    let more = report.nothing_found.len().saturating_sub(MAX_FILES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(
        "no target maps an allocator that is known by its name: nothing was probed. Looked for one in {tried}{more}. \
         `--event faults` shows which stacks make resident memory grow, and needs no allocator"
    )
}

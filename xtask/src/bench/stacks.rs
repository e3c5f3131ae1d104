//! What stacks a profiler came back with: how deep, and how many reach the program's first function.

use anyhow::{Context, Result};
use serde_json::Value;

/// Each stack counts as often as it was sampled.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Stacks {
    pub(super) n_samples: u64,
    pub(super) n_user_frames: u64,
    /// With the first function of a program or a thread among their frames: the same question for every tool.
    pub(super) n_rooted: u64,
    /// Whole down to the last frame, as the tool itself says; None where it does not tell.
    pub(super) n_whole: Option<u64>,
}

impl Stacks {
    fn add<'a>(&mut self, user_frames: impl Iterator<Item = &'a str>, count: u64) {
        let (mut n_frames, mut is_rooted) = (0, false);
        for frame in user_frames {
            n_frames += 1;
            is_rooted |= is_root(frame);
        }
        self.n_samples += count;
        self.n_user_frames += count.saturating_mul(n_frames);
        self.n_rooted += if is_rooted { count } else { 0 };
    }

    pub(super) fn frames_per_stack(&self) -> f64 {
        self.n_user_frames as f64 / self.n_samples.max(1) as f64
    }

    pub(super) fn rooted_percent(&self) -> f64 {
        100.0 * self.n_rooted as f64 / self.n_samples.max(1) as f64
    }

    pub(super) fn whole_percent(&self) -> Option<f64> {
        self.n_whole.map(|n_whole| 100.0 * n_whole as f64 / self.n_samples.max(1) as f64)
    }
}

/// Whether a function is the first one of a program or of a thread. Some tools leave a version at the name.
fn is_root(frame: &str) -> bool {
    let name = frame.split('@').next().unwrap_or(frame);
    name.starts_with("__libc_start_")
        || name.ends_with("::thread_start")
        || matches!(name, "main" | "_start" | "start_thread" | "clone" | "clone3" | "__clone" | "__clone3")
        || matches!(name, "__GI___clone3" | "runtime.goexit" | "runtime.goexit.abi0" | "runtime.mstart")
}

/// `process;frame;frame COUNT`, kernel frames marked `_[k]`, and the agent's JSON report of the same run.
pub(super) fn of_agent(folded: &str, report: &str) -> Result<Stacks> {
    let stacks = of_folded(folded)?;
    let report: Value = serde_json::from_str(report).context("the agent's report is no JSON")?;
    let whole = report.pointer("/stacks/complete").and_then(Value::as_u64);
    Ok(Stacks { n_whole: Some(whole.context("the agent's report has no `stacks.complete`")?), ..stacks })
}

/// `process;frame;frame COUNT`, kernel frames marked `_[k]`.
pub(super) fn of_folded(folded: &str) -> Result<Stacks> {
    let mut stacks = Stacks::default();
    for line in folded.lines() {
        let (stack, count) = line.rsplit_once(' ').with_context(|| format!("no count in `{line}`"))?;
        let count = count.parse().with_context(|| format!("no count in `{line}`"))?;
        // The first part is the process; a reason why a stack ends is no frame.
        let frames = stack.split(';').skip(1);
        stacks.add(frames.filter(|it| !it.ends_with("_[k]") && !it.starts_with("[truncated")), count);
    }
    Ok(stacks)
}

/// What `perf script --fields ip,sym` prints: one line a frame (`ADDRESS NAME`), an empty line after each sample.
pub(super) fn of_perf(text: &str) -> Stacks {
    let mut stacks = Stacks::default();
    let mut frames: Option<Vec<&str>> = None;
    for line in text.lines().map(str::trim).chain([""]) {
        if line.is_empty() {
            if let Some(frames) = frames.take() {
                stacks.add(frames.into_iter(), 1);
            }
            continue;
        }
        let frames = frames.get_or_insert_default();
        let (address, name) = line.split_once(' ').unwrap_or((line, ""));
        // The upper half of all addresses is the kernel's.
        let is_kernel = u64::from_str_radix(address, 16).is_ok_and(|address| address >> 63 == 1);
        if !is_kernel {
            frames.push(name);
        }
    }
    stacks
}

/// A map printed by bpftrace: `@[`, one line a frame (`name+offset`), `]: COUNT`.
pub(super) fn of_bpftrace(text: &str) -> Result<Stacks> {
    let mut stacks = Stacks::default();
    let mut frames: Option<Vec<&str>> = None;
    for line in text.lines().map(str::trim) {
        if line == "@[" {
            frames = Some(Vec::new());
        } else if let Some(count) = line.strip_prefix("@[]: ").or_else(|| line.strip_prefix("]: ")) {
            let count = count.parse().with_context(|| format!("no count in `{line}`"))?;
            stacks.add(frames.take().unwrap_or_default().into_iter(), count);
        } else if let Some(frames) = &mut frames {
            frames.push(line.rsplit_once('+').map_or(line, |(name, _)| name));
        }
    }
    Ok(stacks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_stacks_count_by_sample_without_process_reason_and_kernel() {
        let folded = "deep;_start;main;deep_01 6\ndeep;[truncated: no row];deep_01;irq_[k] 2\n";
        let found = of_agent(folded, r#"{"stacks":{"complete":6,"truncated":{"no row":2}}}"#).unwrap();
        let expected = Stacks { n_samples: 8, n_user_frames: 20, n_rooted: 6, n_whole: Some(6) };
        assert_eq!(found, expected);
        assert_eq!(found.frames_per_stack(), 2.5);
        assert_eq!(found.rooted_percent(), 75.0);
        assert_eq!(found.whole_percent(), Some(75.0));
    }

    #[test]
    fn a_report_without_its_figures_is_an_error() {
        for (folded, report) in
            [("a;b 1\n", "{}"), ("a;b 1\n", "no json"), ("a;b\n", r#"{"stacks":{"complete":1}}"#)]
        {
            let found = of_agent(folded, report);
            assert!(found.is_err(), "{folded:?} and {report:?} gave {found:?}");
        }
    }

    #[test]
    fn maps_of_bpftrace_are_read_up_to_the_empty_stack() {
        let text = "Attaching 1 probe...\n\n\n@[\n    deep_25+72\n]: 3\n@[]: 1\n\
                    @[\n    operator+(int)+7\n    0x7f001\n    main+105\n]: 4\n";
        let found = of_bpftrace(text).unwrap();
        assert_eq!(found, Stacks { n_samples: 8, n_user_frames: 15, n_rooted: 4, n_whole: None });
        assert_eq!(found.whole_percent(), None);
    }

    #[test]
    fn samples_of_perf_end_with_an_empty_line_and_their_kernel_frames_do_not_count() {
        let text = "\tffffffff81000000 schedule\n\t    7f0010 clone3\n\n\t    55f0 deep_25\n\t    55e0 main\n\t    \
                    7f0020 __libc_start_main@@GLIBC_2.34\n\n\t    55f0 [unknown]\n";
        let found = of_perf(text);
        assert_eq!(found, Stacks { n_samples: 3, n_user_frames: 5, n_rooted: 2, n_whole: None });
        assert_eq!(of_perf("\n\n"), Stacks::default());
    }

    #[test]
    fn roots_are_told_with_and_without_a_version_and_from_names_that_begin_alike() {
        for name in [
            "main",
            "_start",
            "clone3",
            "<std::sys::thread::unix::Thread>::new::thread_start",
            "__libc_start_main@@GLIBC_2.34",
            "runtime.goexit.abi0",
        ] {
            assert!(is_root(name), "{name}");
        }
        for name in ["domain", "main_loop", "start_threads", "clone_request", "[unknown]", ""] {
            assert!(!is_root(name), "{name}");
        }
    }

    #[test]
    fn no_stacks_are_no_division_by_zero() {
        assert_eq!(of_bpftrace("").unwrap().frames_per_stack(), 0.0);
    }
}

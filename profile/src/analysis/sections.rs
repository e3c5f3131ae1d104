//! What is not CPU time, for people: where threads wait, event loops, memory. Requests are beside it.

use std::fmt;

use super::{event_loop::LoopAnalysis, memory::MemoryAnalysis, off_cpu::OffCpuAnalysis, text::Styled};
use crate::{
    loops::imbalance_lines,
    report_text::{BOLD, printable},
    trend::{Direction, VerdictKind, rate_text},
    units::{bytes_text, time_text},
};

const MAX_ROWS: usize = 12;

impl Styled<'_> {
    pub(super) fn other_sections(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(off_cpu) = &self.analysis.off_cpu {
            self.off_cpu(f, off_cpu)?;
        }
        if let Some(event_loop) = &self.analysis.event_loop {
            self.event_loop(f, event_loop)?;
        }
        if let Some(memory) = &self.analysis.memory {
            self.memory(f, memory)?;
        }
        self.analysis.requests.as_ref().map_or(Ok(()), |requests| self.requests(f, requests))
    }

    fn off_cpu(&self, f: &mut fmt::Formatter<'_>, off_cpu: &OffCpuAnalysis) -> fmt::Result {
        if off_cpu.waits.is_empty() {
            writeln!(f, "\n{}", self.paint(BOLD, "no thread waited for long for anything but work"))?;
        } else {
            let head = format!("{:>8}  {:>6}  {:>8}  what threads wait for", "time %", "waits", "mean");
            writeln!(f, "\n{}", self.paint(BOLD, &head))?;
        }
        for it in off_cpu.waits.iter().take(MAX_ROWS) {
            let within = it.function.as_ref().map_or(String::new(), |it| format!(", in {}", printable(it)));
            let row = format!(
                "{:>8.2}  {:>6}  {:>8}  {} waits {}{within}",
                it.percent,
                it.waits,
                time_text(it.mean_ns),
                printable(&it.whose.text()),
                it.kind.name()
            );
            writeln!(f, "{}", self.fitted(&row))?;
        }
        more(f, off_cpu.waits.len(), "waits")?;
        if off_cpu.threads.is_empty() {
            return Ok(());
        }
        let head = format!(
            "{:>8}  {:>9}  {:>13}  {:>6}  where the time of threads went",
            "on CPU %", "blocked %", "waits for CPU", "idle %"
        );
        writeln!(f, "\n{}", self.paint(BOLD, &head))?;
        for it in off_cpu.threads.iter().take(MAX_ROWS) {
            let row = format!(
                "{:>8.2}  {:>9.2}  {:>13.2}  {:>6.2}  {}",
                it.on_cpu_percent,
                it.blocked_percent,
                it.waits_for_cpu_percent,
                it.idle_percent,
                printable(&it.whose.text())
            );
            writeln!(f, "{}", self.fitted(&row))?;
        }
        more(f, off_cpu.threads.len(), "threads")
    }

    fn event_loop(&self, f: &mut fmt::Formatter<'_>, event_loop: &LoopAnalysis) -> fmt::Result {
        if event_loop.workers.is_empty() && event_loop.stalls.is_empty() {
            return writeln!(f, "\n{}", self.paint(BOLD, "no thread has an event loop"));
        }
        if !event_loop.workers.is_empty() {
            let head = format!(
                "{:>6}  {:>9}  {:>10}  {:>8}  {:>8}  {:>8}  {:>6}  event loop",
                "busy %", "stalled %", "iterations", "median", "p99", "longest", "stalls"
            );
            writeln!(f, "\n{}", self.paint(BOLD, &head))?;
        }
        for it in event_loop.workers.iter().take(MAX_ROWS) {
            let row = format!(
                "{:>6.2}  {:>9.2}  {:>10}  {:>8}  {:>8}  {:>8}  {:>6}  {}",
                it.busy_percent,
                it.stalled_percent,
                it.iterations,
                time_text(it.median_ns),
                time_text(it.p99_ns),
                time_text(it.max_ns),
                it.stalls,
                printable(&it.whose.text())
            );
            writeln!(f, "{}", self.fitted(&row))?;
        }
        more(f, event_loop.workers.len(), "workers")?;
        for line in imbalance_lines(&event_loop.groups) {
            writeln!(f, "{}", self.fitted(&line))?;
        }
        Ok(())
    }

    fn memory(&self, f: &mut fmt::Formatter<'_>, memory: &MemoryAnalysis) -> fmt::Result {
        writeln!(f, "\n{}", self.paint(BOLD, &printable(&memory_line(memory))))?;
        for reason in &memory.reasons {
            writeln!(f, "  {}", self.fitted(&printable(reason)))?;
        }
        for it in memory.growth.iter().filter(|it| it.percent >= 5.0) {
            let function = it.function.as_deref().unwrap_or("[no name]");
            let row = format!(
                "{:>10}  {:>5.1} %  taken by {}",
                bytes_text(it.bytes),
                it.percent,
                printable(function)
            );
            writeln!(f, "{}", self.fitted(&row))?;
        }
        Ok(())
    }
}

/// `memory: 12.0 MiB, stable`.
pub(super) fn memory_line(memory: &MemoryAnalysis) -> String {
    let Some(direction) = memory.direction else { return "memory: who took it".to_owned() };
    let verdict = match memory.verdict {
        Some(VerdictKind::Leak) => ", which looks like a leak",
        Some(VerdictKind::NoLeak) => ", not a leak",
        Some(VerdictKind::Undecided) | None => "",
    };
    let movement = match direction {
        Direction::Increasing => format!("grows by {}{verdict}", rate_text(memory.rate_bytes_per_second)),
        Direction::Decreasing => "shrinks".to_owned(),
        Direction::Stable => "stable".to_owned(),
        Direction::Unknown => "too few readings".to_owned(),
    };
    format!("memory: {}, {movement}", bytes_text(memory.last_bytes))
}

fn more(f: &mut fmt::Formatter<'_>, n_all: usize, what: &str) -> fmt::Result {
    match n_all.saturating_sub(MAX_ROWS) {
        0 => Ok(()),
        n_more => writeln!(f, "          and {n_more} more {what}"),
    }
}

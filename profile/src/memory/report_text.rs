//! The report on memory for people.

use std::{fmt, io};

use super::{Began, Field, LimitReport, MemoryReport, ProcessReport, Series};
use crate::{
    growth::{largest, write_growth},
    report_text::{BOLD, GREEN, RED, RESET, TextStyle, YELLOW, cut, printable},
    trend::{Direction, Trend, Verdict, VerdictKind, clock_text, rate_text},
    units::{bytes_text, change_text, time_text},
};

/// How many processes are listed. The rest is in the JSON report.
const MAX_ROWS: usize = 20;
const MAX_NAME_CHARS: usize = 24;

/// Writes the report as text.
pub fn write_memory_report(
    report: &MemoryReport,
    out: &mut impl io::Write,
    style: TextStyle,
) -> io::Result<()> {
    write!(out, "{}", Styled { report, style })
}

struct Styled<'a> {
    report: &'a MemoryReport,
    style: TextStyle,
}

impl fmt::Display for Styled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        let head = format!(
            "{} on {}: memory every {} for {}, {} readings",
            printable(&report.command),
            printable(&report.host),
            time_text(report.interval_ns),
            clock_text(report.duration_ns),
            report.n_readings
        );
        writeln!(f, "{}", self.paint(BOLD, &head))?;
        self.verdict(f)?;
        if let Some(limit) = &report.limit {
            writeln!(f, "{}", limit_line(limit))?;
        }
        self.tree(f)?;
        self.processes(f)?;
        self.overhead(f)?;
        for file in report.profile.iter().chain(&report.snapshots) {
            writeln!(f, "\nwrote {}", printable(file))?;
        }
        for comment in &report.comments {
            writeln!(f, "\nnote: {}", printable(comment))?;
        }
        Ok(())
    }
}

impl Styled<'_> {
    fn verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = &self.report.verdict;
        let (colour, line) = match verdict.kind {
            VerdictKind::Leak => {
                (RED, format!("leak: {}{}", growth(verdict), began(&self.report.began_with_growth)))
            }
            VerdictKind::NoLeak => (GREEN, "not a leak".to_owned()),
            VerdictKind::Undecided => (YELLOW, "undecided".to_owned()),
        };
        writeln!(f, "\n{}", self.paint(colour, &line))?;
        let growth = self.report.growth.as_ref();
        if verdict.kind == VerdictKind::Leak
            && let Some(sentence) = growth.and_then(largest)
        {
            writeln!(f, "  {sentence}")?;
        }
        verdict.reasons.iter().try_for_each(|reason| writeln!(f, "  {reason}"))?;
        growth
            .map_or(Ok(()), |growth| write_growth(growth, |text| self.paint(BOLD, text), self.style.width, f))
    }

    fn tree(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = format!(
            "{:<18}  {:>10}  {:>10}  {:>10}  {:>11}  {:>13}  {:>6}  trend",
            "all processes", "first", "last", "highest", "change", "rate", "R2"
        );
        writeln!(f, "\n{}", self.paint(BOLD, &head))?;
        let rows = Field::ALL.into_iter().filter_map(|field| {
            let series = self.report.tree.get(field.name())?;
            // Most hosts have neither swap in use nor huge pages: rows of zeros tell nothing.
            let is_optional = matches!(field, Field::Swap | Field::HugePages | Field::Hugetlb);
            (!is_optional || series.highest_bytes > 0).then_some((field.title(), series))
        });
        for (title, series) in rows {
            self.series(f, title, series)?;
        }
        if let Some(group) = &self.report.control_group
            && let Some(usage) = &group.usage
        {
            self.series(f, "control group", usage)?;
        }
        Ok(())
    }

    fn series(&self, f: &mut fmt::Formatter<'_>, title: &str, series: &Series) -> fmt::Result {
        let (rate, r_squared, word) = trend_columns(&series.trend);
        let row = format!(
            "{title:<18}  {:>10}  {:>10}  {:>10}  {:>11}  {rate:>13}  {r_squared:>6}  {word}",
            bytes_text(series.first_bytes),
            bytes_text(series.last_bytes),
            bytes_text(series.highest_bytes),
            change_text(series.change_bytes),
        );
        let is_growing = series.trend.direction == Direction::Increasing;
        let row = if is_growing { self.paint(YELLOW, &row) } else { row };
        writeln!(f, "{row}")
    }

    fn processes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = format!(
            "{:>10}  {:>10}  {:>11}  {:>13}  {:<10}  process",
            "resident", "anon+swap", "change", "rate", "verdict"
        );
        writeln!(f, "\n{}", self.paint(BOLD, &head))?;
        for process in self.report.processes.iter().take(MAX_ROWS) {
            self.process(f, process)?;
        }
        let n_listed = self.report.processes.len().min(MAX_ROWS);
        let n_more = (self.report.processes.len() - n_listed) as u64 + self.report.n_processes_left_out;
        if n_more > 0 {
            writeln!(f, "            and {n_more} more processes")?;
        }
        Ok(())
    }

    fn process(&self, f: &mut fmt::Formatter<'_>, process: &ProcessReport) -> fmt::Result {
        let series = &process.anonymous_and_swap;
        let (rate, _, _) = trend_columns(&series.trend);
        let verdict = match process.verdict.as_ref().map(|verdict| verdict.kind) {
            Some(VerdictKind::Leak) => "leak",
            Some(VerdictKind::NoLeak) => "no leak",
            Some(VerdictKind::Undecided) => "undecided",
            None => "-",
        };
        let mut who = format!("{} ({})", cut(&printable(&process.name), MAX_NAME_CHARS), process.pid);
        if process.seen_from_ns > 2 * self.report.interval_ns {
            who.push_str(&format!(", from {}", clock_text(process.seen_from_ns)));
        }
        if process.has_ended {
            who.push_str(&format!(", ended at {}", clock_text(process.seen_until_ns)));
        }
        writeln!(
            f,
            "{:>10}  {:>10}  {:>11}  {rate:>13}  {verdict:<10}  {who}",
            bytes_text(process.usage.resident_bytes),
            bytes_text(series.last_bytes),
            change_text(series.change_bytes),
        )
    }

    fn overhead(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let overhead = &self.report.overhead;
        writeln!(f, "\n{}", self.paint(BOLD, "overhead"))?;
        writeln!(f, "{:>10}  of one CPU for the agent", format!("{:.2} %", overhead.agent_cpu_percent))?;
        if let Some(percent) = overhead.kernel_cpu_percent {
            writeln!(f, "{:>10}  of one CPU for its programs in the kernel", format!("{percent:.2} %"))?;
        }
        if let Some(bytes) = overhead.agent_rss_bytes {
            writeln!(f, "{:>10}  resident memory of the agent", bytes_text(bytes))?;
        }
        writeln!(
            f,
            "{:>10}  of the time reading PSS, in {} rounds; {} at most for one process",
            format!("{:.2} %", overhead.smaps_percent),
            overhead.n_smaps_rounds,
            time_text(overhead.smaps_longest_ns)
        )
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.style.colour { format!("{colour}{text}{RESET}") } else { text.to_owned() }
    }
}

/// `grows by 1.00 MiB/s (0.98 MiB/s to 1.01 MiB/s) since 00:00:05`.
fn growth(verdict: &Verdict) -> String {
    let mut text = format!("grows by {}", rate_text(verdict.rate_bytes_per_second));
    if let Some(fit) = &verdict.fit
        && let (Some(low), Some(high)) = (fit.rate_low_bytes_per_second, fit.rate_high_bytes_per_second)
    {
        text.push_str(&format!(" ({} to {}, 95 % sure)", rate_text(low), rate_text(high)));
    }
    if let Some(since_ns) = verdict.since_ns {
        text.push_str(&format!(" since {}", clock_text(since_ns)));
    }
    text
}

/// `, when worker 4711 was started`, `, when 4 processes were started (4711 to 4714)`.
fn began(processes: &[Began]) -> String {
    match processes {
        [] => String::new(),
        [one] => format!(", when {} ({}) was started", printable(&one.name), one.pid),
        [first, .., last] => {
            format!(", when {} processes were started ({} to {})", processes.len(), first.pid, last.pid)
        }
    }
}

fn limit_line(limit: &LimitReport) -> String {
    let mut line = format!(
        "\nlimit: {} ({}), {:.1} % in use",
        bytes_text(limit.limit_bytes),
        printable(&limit.source),
        limit.used_percent
    );
    if let Some(seconds) = limit.time_to_limit_s {
        line.push_str(&format!("; reached in {} at this rate", duration_text(seconds)));
    }
    line
}

/// `00:07:12`, `3.2 days`.
fn duration_text(seconds: f64) -> String {
    const DAY_S: f64 = 86_400.0;
    match seconds {
        DAY_S.. => format!("{:.1} days", seconds / DAY_S),
        _ => clock_text((seconds * 1e9) as u64),
    }
}

/// Rate, R squared and direction. The rate of what does not move is not worth a number.
fn trend_columns(trend: &Trend) -> (String, String, &'static str) {
    let word = match trend.direction {
        Direction::Increasing => "increasing",
        Direction::Stable => "stable",
        Direction::Decreasing => "decreasing",
        Direction::Unknown => "too few readings",
    };
    match (&trend.fit, trend.direction) {
        (Some(fit), Direction::Increasing | Direction::Decreasing) => {
            (rate_text(fit.rate_bytes_per_second), format!("{:.3}", fit.r_squared), word)
        }
        _ => ("-".to_owned(), "-".to_owned(), word),
    }
}

//! The report for people: aligned plain text, as wide as the terminal allows.

use std::{fmt, io};

use crate::{
    allocations_text,
    growth::stack_text,
    loops,
    report::Report,
    strings::{MAX_TEXT_BYTES, UNKNOWN},
    times,
    units::{bytes_text, time_text, value_text},
};

/// How many functions, processes and threads are listed. The rest is in the JSON report.
const MAX_ROWS: usize = 20;
/// The same for stacks.
const MAX_STACKS: usize = 10;
/// A name is never cut to less than this, however narrow the terminal.
const MIN_NAME_CHARS: usize = 16;
const MAX_MODULE_CHARS: usize = 20;
/// The headings of the two columns.
const MIN_MODULE_CHARS: usize = "module".len();
const MIN_FUNCTION_CHARS: usize = "function".len();
/// `100.00   100.00  1234567890  `
const NUMBERS_CHARS: usize = 29;
/// From this share on, a row is coloured: it is worth a look.
const HOT_PERCENT: f64 = 10.0;

pub(crate) const BOLD: &str = "\x1b[1m";
pub(crate) const RED: &str = "\x1b[31m";
pub(crate) const GREEN: &str = "\x1b[32m";
pub(crate) const YELLOW: &str = "\x1b[33m";
pub(crate) const RESET: &str = "\x1b[0m";

/// How the report looks. The default suits a file: no colour, nothing cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TextStyle {
    /// Whether to use terminal colours.
    pub colour: bool,
    /// How many characters fit on a line; longer names are cut in the middle. None: no name is cut.
    pub width: Option<usize>,
}

/// Writes the report as text.
pub fn write_text(report: &Report, out: &mut impl io::Write, style: TextStyle) -> io::Result<()> {
    write!(out, "{}", Styled { report, style })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Styled { report: self, style: TextStyle::default() }.fmt(f)
    }
}

struct Styled<'a> {
    report: &'a Report,
    style: TextStyle,
}

impl fmt::Display for Styled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.header(f)?;
        self.functions(f)?;
        self.allocations(f)?;
        self.times(f)?;
        self.loops(f)?;
        self.stacks(f)?;
        self.processes(f)?;
        self.threads(f)?;
        self.counts(f, "lost samples", "by cause", self.report.lost_by_cause.iter())?;
        self.counts(f, "truncated stacks", "by reason", self.report.stacks.truncated.iter())?;
        self.first_stacks(f)?;
        self.overhead(f)?;
        for comment in &self.report.comments {
            writeln!(f, "\nnote: {}", printable(comment))?;
        }
        Ok(())
    }
}

impl Styled<'_> {
    fn header(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        let run = format!(
            "{} on {}: {}{} for {}",
            printable(&report.command),
            printable(&report.host),
            printable(&report.event),
            rate_text(report.frequency_hz),
            time_text(report.duration_ns)
        );
        writeln!(f, "{}", self.paint(BOLD, &self.fitted(&run, 0)))?;
        let lost = format!("{} lost", report.lost);
        let lost = if report.lost > 0 { self.paint(RED, &lost) } else { lost };
        let truncated =
            report.stacks.truncated.values().fold(0, |sum: u64, &count| sum.saturating_add(count));
        writeln!(
            f,
            "{} samples, {lost}\n{} whole stacks, {truncated} truncated, {} frames without a symbol",
            report.samples, report.stacks.complete, report.unsymbolized_frames
        )
    }

    fn functions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = || self.report.top.iter().take(MAX_ROWS);
        let room = self.style.width.map(|width| width.saturating_sub(NUMBERS_CHARS + 2));
        let module_room = room.map_or(MAX_MODULE_CHARS, |room| room.saturating_sub(MIN_NAME_CHARS));
        let module_room = module_room.clamp(MIN_MODULE_CHARS, MAX_MODULE_CHARS);
        let module_of =
            |module: &Option<String>| cut(&printable(module.as_deref().unwrap_or("-")), module_room);
        let module_chars = shown().map(|spot| n_chars(&module_of(&spot.module))).max().unwrap_or(0);
        let name_room = room.map(|room| room.saturating_sub(module_chars.max(MIN_MODULE_CHARS)));
        let name_chars = shown().map(|spot| n_chars(&spot.name)).max().unwrap_or(0);
        // No profile holds a longer name, and the formatter panics on a column of more than 65,535.
        let name_room = name_room.map_or(MAX_TEXT_BYTES, |room| room.clamp(MIN_NAME_CHARS, MAX_TEXT_BYTES));
        let name_chars = name_chars.clamp(MIN_FUNCTION_CHARS, name_room);
        let head = format!(
            "{:>6}  {:>7}  {:>10}  {:<name_chars$}  module",
            "self %",
            "total %",
            self.value_head(),
            "function"
        );
        writeln!(f, "\n{}", self.paint(BOLD, &head))?;
        for spot in shown() {
            let name = cut(&printable(&spot.name), name_chars);
            let value = self.value(spot.self_value);
            let numbers = format!("{:>6.2}  {:>7.2}  {value:>10}", spot.self_percent, spot.total_percent);
            let row = format!("{numbers}  {name:<name_chars$}  {}", module_of(&spot.module));
            let row = if spot.self_percent >= HOT_PERCENT { self.paint(YELLOW, &row) } else { row };
            writeln!(f, "{row}")?;
        }
        self.more(f, self.report.functions, "functions")
    }

    fn times(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(times) = &self.report.times else { return Ok(()) };
        times::write(f, times, |text| self.paint(BOLD, text), |text| self.fitted(text, 0))
    }

    fn loops(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(loops) = &self.report.loops else { return Ok(()) };
        loops::write(f, loops, |text| self.paint(BOLD, text), |text| self.fitted(text, 0))
    }

    fn allocations(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(allocations) = &self.report.allocations else { return Ok(()) };
        allocations_text::write(
            f,
            allocations,
            |text| self.paint(BOLD, text),
            |text, n_used| self.fitted(text, n_used),
        )
    }

    fn stacks(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shares(f, "stack, root first", self.report.top_stacks.len())?;
        let room = self.style.width.map(|width| width.saturating_sub(20));
        for stack in self.report.top_stacks.iter().take(MAX_STACKS) {
            let value = self.value(stack.value);
            writeln!(
                f,
                "{:>6.2}  {value:>10}  {}",
                stack.percent,
                stack_text(&stack.frames, stack.leaf.as_deref(), room)
            )?;
        }
        Ok(())
    }

    fn processes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shares(f, "process", self.report.processes.len())?;
        for process in self.report.processes.iter().take(MAX_ROWS) {
            let name = format!("{} ({})", printable(&process.name), process.pid);
            self.share(f, process.percent, process.value, &name)?;
        }
        self.more(f, self.report.processes.len(), "processes")
    }

    fn threads(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shares(f, "thread", self.report.threads.len())?;
        for thread in self.report.threads.iter().take(MAX_ROWS) {
            let process = format!("{} ({})", printable(&thread.process), thread.pid);
            let name = format!("{} ({}) of {process}", printable(&thread.name), thread.tid);
            self.share(f, thread.percent, thread.value, &name)?;
        }
        self.more(f, self.report.threads.len(), "threads")
    }

    fn shares(&self, f: &mut fmt::Formatter<'_>, what: &str, n_rows: usize) -> fmt::Result {
        if n_rows == 0 {
            return Ok(());
        }
        let head = format!("{:>6}  {:>10}  {what}", "%", self.value_head());
        writeln!(f, "\n{}", self.paint(BOLD, &head))
    }

    fn share(&self, f: &mut fmt::Formatter<'_>, percent: f64, value: i64, name: &str) -> fmt::Result {
        writeln!(f, "{percent:>6.2}  {:>10}  {}", self.value(value), self.fitted(name, 20))
    }

    fn counts<'a>(
        &self,
        f: &mut fmt::Formatter<'_>,
        what: &str,
        by: &str,
        counts: impl ExactSizeIterator<Item = (&'a String, &'a u64)>,
    ) -> fmt::Result {
        if counts.len() == 0 {
            return Ok(());
        }
        writeln!(f, "\n{}", self.paint(BOLD, &format!("{what} {by}")))?;
        for (name, count) in counts {
            writeln!(f, "{count:>10}  {}", self.fitted(&printable(name), 12))?;
        }
        Ok(())
    }

    fn first_stacks(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.report.first_stacks;
        if first.new_images == 0 {
            return Ok(());
        }
        let time = |ns: Option<u64>| ns.map_or_else(|| UNKNOWN.to_owned(), time_text);
        writeln!(f, "\n{}", self.paint(BOLD, "processes that began"))?;
        for (figure, what) in [
            (first.new_images.to_string(), "with a user stack"),
            (first.whole_at_once.to_string(), "whose first user stack is whole"),
            (first.never_whole.to_string(), "without a whole one"),
            (time(first.median_ns), "until a whole one where the first is not, half of them sooner"),
            (time(first.max_ns), "at most"),
        ] {
            writeln!(f, "{figure:>10}  {}", self.fitted(what, 12))?;
        }
        Ok(())
    }

    fn overhead(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let overhead = self.report.overhead;
        let measured = [
            overhead
                .kernel_ns_per_sample
                .map(|ns| (format!("{ns:.0} ns"), "in the kernel per sample, skipped ticks included")),
            overhead
                .kernel_cpu_percent
                .map(|percent| (format!("{percent:.2} %"), "of one CPU for the kernel programs")),
            overhead.agent_cpu_percent.map(|percent| (format!("{percent:.2} %"), "of one CPU for the agent")),
            overhead.agent_rss_bytes.map(|bytes| (bytes_text(bytes), "resident memory of the agent")),
            overhead.table_bytes.map(|bytes| (bytes_text(bytes), "kernel memory for tables")),
        ];
        writeln!(f, "\n{}", self.paint(BOLD, "overhead"))?;
        if measured.iter().all(Option::is_none) {
            return writeln!(f, "{:>10}", "not measured");
        }
        measured.iter().flatten().try_for_each(|(amount, what)| writeln!(f, "{amount:>10}  {what}"))
    }

    fn more(&self, f: &mut fmt::Formatter<'_>, n_all: usize, what: &str) -> fmt::Result {
        match n_all.saturating_sub(MAX_ROWS) {
            0 => Ok(()),
            n_more => writeln!(f, "        and {n_more} more {what}"),
        }
    }

    fn value(&self, value: i64) -> String {
        value_text(value, &self.report.value.unit)
    }

    /// Pieces go by their name, times are times, all else goes by its unit.
    fn value_head(&self) -> String {
        let value = &self.report.value;
        let head = match value.unit.as_str() {
            "count" => &value.kind,
            "nanoseconds" => "time",
            unit => unit,
        };
        cut(&printable(head), 10)
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.style.colour { format!("{colour}{text}{RESET}") } else { text.to_owned() }
    }

    /// `text` cut to what is left of the line after `n_used` characters.
    fn fitted(&self, text: &str, n_used: usize) -> String {
        let room = self.style.width.map(|width| width.saturating_sub(n_used).max(MIN_NAME_CHARS));
        room.map_or_else(|| text.to_owned(), |room| cut(text, room))
    }
}

/// Not every event falls due by time.
fn rate_text(frequency_hz: u64) -> String {
    if frequency_hz == 0 { String::new() } else { format!(" at {frequency_hz} Hz") }
}

/// A name may hold what moves the cursor of a terminal, or worse.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// `text` in at most `max_chars`, less its middle: beginnings tell the module, ends tell the function.
pub(crate) fn cut(text: &str, max_chars: usize) -> String {
    let n_chars = n_chars(text);
    if n_chars <= max_chars {
        return text.to_owned();
    }
    let kept = max_chars.saturating_sub(1);
    let (n_head, n_tail) = (kept - kept / 2, kept / 2);
    let head = text.chars().take(n_head);
    head.chain(['…']).chain(text.chars().skip(n_chars - n_tail)).collect()
}

fn n_chars(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_loses_its_middle() {
        let cases = [
            ("main", 4, "main"),
            ("ngx_http_parse_request_line", 11, "ngx_h…_line"),
            ("größenänderung", 5, "gr…ng"),
            ("main", 1, "…"),
        ];
        for (name, max_chars, expected) in cases {
            assert_eq!(cut(name, max_chars), expected, "{name} in {max_chars}");
        }
    }

    #[test]
    fn a_name_cannot_command_the_terminal() {
        assert_eq!(printable("\x1b[2J\nmain"), "?[2J?main");
    }
}

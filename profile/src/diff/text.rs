//! The comparison for people.

use std::{fmt, io};

use super::report::{Change, Comparison, FunctionChange, SideSummary, Unit, Verdict};
use crate::{
    report_text::{BOLD, GREEN, RED, RESET, TextStyle, YELLOW, cut, printable},
    units::{bytes_text, time_text},
};

/// How many of those that did not change are listed.
const MAX_SAME: usize = 5;
/// How many that did, in each direction.
const MAX_CHANGED: usize = 20;
const MIN_NAME_CHARS: usize = 16;

/// Writes the comparison as text.
pub fn write_comparison(
    comparison: &Comparison,
    out: &mut impl io::Write,
    style: TextStyle,
) -> io::Result<()> {
    write!(out, "{}", Styled { comparison, style })
}

struct Styled<'a> {
    comparison: &'a Comparison,
    style: TextStyle,
}

impl fmt::Display for Styled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let it = self.comparison;
        self.side(f, "baseline", &it.baseline)?;
        self.side(f, "comparison", &it.comparison)?;
        self.method(f)?;
        self.whole(f)?;
        self.table(f, "gained", Verdict::Gained, RED, MAX_CHANGED)?;
        self.table(f, "lost", Verdict::Lost, GREEN, MAX_CHANGED)?;
        if it.gained + it.lost == 0 {
            self.table(f, "no more than chance", Verdict::Same, "", MAX_SAME)?;
        }
        if it.method.unit.is_none() {
            self.table(f, "largest differences", Verdict::Untested, "", MAX_CHANGED)?;
        }
        it.notes.iter().try_for_each(|note| writeln!(f, "\nnote: {}", printable(note)))
    }
}

impl Styled<'_> {
    fn side(&self, f: &mut fmt::Formatter<'_>, name: &str, side: &SideSummary) -> fmt::Result {
        let mut parts = vec![count_text(side.files, "file"), count_text(side.windows, "window")];
        if side.duration_ns > 0 {
            parts.push(time_text(side.duration_ns));
        }
        parts.extend(side.samples.map(|n| format!("{n} samples")));
        parts.extend(side.requests.map(|n| format!("{n} requests")));
        if side.duration_ns > 0 {
            parts.push(self.rate(side.total / (side.duration_ns as f64 / 1e9), "in a second"));
        }
        writeln!(f, "{name:<10}  {}", parts.join(", "))
    }

    fn method(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let it = self.comparison;
        let verdict = match (it.method.unit, it.gained + it.lost) {
            (None, _) => "what changed by more than chance cannot be told".to_owned(),
            (Some(_), 0) => "no function changed by more than chance".to_owned(),
            (Some(_), _) => format!("{} gained, {} lost", count_text(it.gained, "function"), it.lost),
        };
        writeln!(f, "\n{}", self.paint(BOLD, &verdict))?;
        let Some(unit) = it.method.unit else { return Ok(()) };
        let unit = match unit {
            Unit::Window => "windows",
            Unit::Sample => "samples",
        };
        writeln!(
            f,
            "{} % sure for all of {} sums together; chance drawn {} times from {unit}",
            it.method.confidence_percent, it.method.questions, it.method.replicates
        )
    }

    fn whole(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = &self.comparison.whole;
        match whole.verdict {
            Verdict::Gained | Verdict::Lost => {
                let colour = if whole.verdict == Verdict::Gained { RED } else { GREEN };
                let text = format!("everything together: {}", growth_text(whole));
                writeln!(f, "{}", self.paint(colour, text.trim()))
            }
            Verdict::Same | Verdict::Untested => Ok(()),
        }
    }

    fn table(
        &self,
        f: &mut fmt::Formatter<'_>,
        title: &str,
        verdict: Verdict,
        colour: &str,
        max_rows: usize,
    ) -> fmt::Result {
        let all = self.comparison.functions.iter().filter(|function| function.verdict() == verdict);
        let n_all = all.clone().count();
        if n_all == 0 {
            return Ok(());
        }
        let rate_head = if self.has_requests() { "by request" } else { "by second" };
        let head = format!(
            "{:>8}  {:>8}  {:>21}  {:>23}  {:>8}  {:>8}  function, module",
            "self %", "before", "growth", rate_head, "total %", "before"
        );
        writeln!(f, "\n{}\n{}", self.paint(BOLD, title), self.paint(BOLD, &head))?;
        for function in all.take(max_rows) {
            writeln!(f, "{}", self.row(function, verdict, colour))?;
        }
        match n_all.saturating_sub(max_rows) {
            0 => Ok(()),
            n_more => writeln!(f, "          and {n_more} more"),
        }
    }

    /// The one of both sums that has the verdict is the one that is said to have grown.
    fn row(&self, function: &FunctionChange, verdict: Verdict, colour: &str) -> String {
        let (own, total) = (&function.own, &function.total);
        let change = if own.verdict == verdict { own } else { total };
        let growth =
            if own.verdict == verdict { growth_text(own) } else { format!("total {}", growth_text(total)) };
        let numbers = format!(
            "{:>8.2}  {:>8.2}  {growth:>21}  {:>23}  {:>8.2}  {:>8.2}  ",
            own.comparison_percent,
            own.baseline_percent,
            self.rates(change),
            total.comparison_percent,
            total.baseline_percent,
        );
        let module =
            function.module.as_ref().map(|module| format!("  {}", printable(module))).unwrap_or_default();
        let room = self.style.width.map(|width| {
            width.saturating_sub(numbers.chars().count() + module.chars().count()).max(MIN_NAME_CHARS)
        });
        let name = printable(&function.name);
        let name = room.map_or_else(|| name.clone(), |room| cut(&name, room));
        let numbers = if colour.is_empty() { numbers } else { self.paint(colour, &numbers) };
        format!("{numbers}{}{module}", self.paint(if colour.is_empty() { "" } else { YELLOW }, &name))
    }

    fn has_requests(&self) -> bool {
        self.comparison.whole.baseline_per_request.is_some()
    }

    /// `12.1 % -> 13.0 %` of a CPU, or what a request costs.
    fn rates(&self, change: &Change) -> String {
        let (rates, what) = if self.has_requests() {
            (change.baseline_per_request.zip(change.comparison_per_request), "")
        } else {
            (change.baseline_per_second.zip(change.comparison_per_second), "CPU")
        };
        let Some((before, after)) = rates else { return "-".to_owned() };
        let text = |rate: f64| match (self.comparison.value.unit.as_str(), what) {
            ("nanoseconds", "CPU") => format!("{:.2} ms", rate / 1e6),
            ("nanoseconds", _) => format!("{:.2} us", rate / 1e3),
            ("bytes", _) => bytes_text(rate.max(0.0) as u64),
            _ => format!("{rate:.2}"),
        };
        format!("{} -> {}", text(before), text(after))
    }

    fn rate(&self, rate: f64, what: &str) -> String {
        match self.comparison.value.unit.as_str() {
            "nanoseconds" => format!("{:.1} % of a CPU", rate / 1e7),
            "bytes" => format!("{} {what}", bytes_text(rate.max(0.0) as u64)),
            _ => format!("{rate:.1} {} {what}", printable(&self.comparison.value.kind)),
        }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.style.colour && !colour.is_empty() {
            format!("{colour}{text}{RESET}")
        } else {
            text.to_owned()
        }
    }
}

/// `+8.1 % (± 2.0)`, `new`.
fn growth_text(change: &Change) -> String {
    match (change.growth_percent, change.growth_error_percent) {
        (Some(growth), Some(error)) => format!("{growth:+.1} % (± {error:.1})"),
        (Some(growth), None) => format!("{growth:+.1} %"),
        (None, _) if change.baseline_percent == 0.0 && change.comparison_percent > 0.0 => "new".to_owned(),
        (None, _) => "-".to_owned(),
    }
}

fn count_text(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

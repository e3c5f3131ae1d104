//! What `agent memory` shows while it watches: a chart in place on a terminal, a line now and then elsewhere.

use std::io::{self, IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressStyle};
use profile::{
    bytes_text,
    trend::{clock_text, trend},
};

use super::record::terminal_width;
use crate::memory::{Sight, chart};

/// Lines of the chart.
const CHART_HEIGHT: usize = 8;
/// In front of the chart: the value of an edge.
const EDGE_CHARS: usize = 12;
/// A chart of more columns is no better, and costs more to draw.
const MAX_CHART_CHARS: usize = 160;
/// Nobody reads faster, and each picture costs a fit of all points. Somewhat less than a second: a reading that comes a
/// moment early shall not have to wait for the next one.
const PICTURE_EVERY_NS: u64 = 900_000_000;
/// Between two lines when stderr is no terminal.
const LINE_EVERY_NS: u64 = 9_900_000_000;

/// Where it is shown: on stderr, so that the report can be piped.
pub(super) struct Live {
    /// None if stderr is no terminal.
    bar: Option<ProgressBar>,
    colour: bool,
    next_ns: u64,
}

impl Live {
    pub(super) fn new() -> Self {
        let is_terminal = io::stderr().is_terminal();
        let style =
            ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = is_terminal.then(|| ProgressBar::new_spinner().with_style(style));
        Self { bar, colour: is_terminal && std::env::var_os("NO_COLOR").is_none(), next_ns: 0 }
    }

    /// Shows a reading, if it is time.
    pub(super) fn show(&mut self, sight: &Sight<'_>) {
        if sight.time_ns < self.next_ns {
            return;
        }
        let line = line(sight);
        if let Some(bar) = &self.bar {
            self.next_ns = sight.time_ns.saturating_add(PICTURE_EVERY_NS);
            bar.set_message(format!("{}\n{line}  Ctrl-C ends", self.picture(sight)));
        } else {
            self.next_ns = sight.time_ns.saturating_add(LINE_EVERY_NS);
            // A closed stderr is no reason to stop watching.
            let _ = writeln!(io::stderr(), "{line}");
        }
    }

    /// Leaves the last picture where it is: the report comes below it.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }

    fn picture(&self, sight: &Sight<'_>) -> String {
        let width = terminal_width().saturating_sub(EDGE_CHARS + 2).min(MAX_CHART_CHARS);
        let chart = chart::draw(&sight.points(), width, CHART_HEIGHT);
        let lines = chart.labelled().map(|(edge, dots)| {
            let dots = if self.colour { format!("\x1b[36m{dots}\x1b[0m") } else { dots.to_owned() };
            format!("{edge:>EDGE_CHARS$} {dots}")
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// `00:00:10  resident 12.3 MiB, anonymous + swap 10.0 MiB, increasing by 1.00 MiB/s, 3 processes, 14 % of the limit`.
fn line(sight: &Sight<'_>) -> String {
    let private_bytes = sight.history.last().map_or(0, |point| point.bytes);
    let trend = trend(&sight.points());
    let movement = trend.movement_text();
    let processes = match sight.n_processes {
        1 => String::new(),
        n => format!(", {n} processes"),
    };
    let share = sight.headroom.map(|it| 100.0 * it.used_bytes as f64 / it.limit_bytes.max(1) as f64);
    let share = share.map(|share| format!(", {share:.0} % of the limit")).unwrap_or_default();
    format!(
        "{}  resident {}, anonymous + swap {}{movement}{processes}{share}",
        clock_text(sight.time_ns),
        bytes_text(sight.usage.resident_bytes),
        bytes_text(private_bytes),
    )
}

//! What is not CPU time, as parts of the page: where threads wait, event loops, memory, requests.

use std::io::{self, Write};

use super::{
    html::escaped, report::Analysis, request_sections, requests::RequestAnalysis, sections::memory_line,
};
use crate::units::{bytes_text, time_text};

/// Writes the tables of whatever was measured.
pub(super) fn write(analysis: &Analysis, out: &mut impl Write) -> io::Result<()> {
    if let Some(off_cpu) = &analysis.off_cpu {
        let rows = off_cpu.waits.iter().map(|it| {
            let what = format!("{} waits {}", it.whose.text(), it.kind.name());
            let function = it.function.clone().unwrap_or_default();
            [format!("{:.2} %", it.percent), it.waits.to_string(), time_text(it.mean_ns), what, function]
        });
        table(out, "What threads wait for", ["time", "waits", "mean", "what", "function"], 3, rows)?;
        let rows = off_cpu.threads.iter().map(|it| {
            let percent = |value: f64| format!("{value:.2} %");
            [
                percent(it.on_cpu_percent),
                percent(it.blocked_percent),
                percent(it.waits_for_cpu_percent),
                percent(it.idle_percent),
                it.whose.text(),
            ]
        });
        let head = ["on CPU", "blocked", "waits for a CPU", "idle", "thread"];
        table(out, "Where the time of threads went", head, 4, rows)?;
    }
    if let Some(event_loop) = &analysis.event_loop {
        let rows = event_loop.workers.iter().map(|it| {
            [
                format!("{:.2} %", it.busy_percent),
                format!("{:.2} %", it.stalled_percent),
                it.iterations.to_string(),
                time_text(it.p99_ns),
                time_text(it.max_ns),
                it.stalls.to_string(),
                it.whose.text(),
            ]
        });
        let head = ["busy", "stalled", "iterations", "p99", "longest", "stalls", "worker"];
        table(out, "Event loops", head, 6, rows)?;
    }
    if let Some(memory) = &analysis.memory {
        writeln!(out, "<h2>Memory</h2>\n<p>{}</p>", escaped(&memory_line(memory)))?;
        for reason in &memory.reasons {
            writeln!(out, "<p>{}</p>", escaped(reason))?;
        }
        let rows = memory.growth.iter().map(|it| {
            [bytes_text(it.bytes), format!("{:.1} %", it.percent), it.function.clone().unwrap_or_default()]
        });
        table(out, "Who took memory", ["bytes", "share", "function"], 2, rows)?;
    }
    analysis.requests.as_ref().map_or(Ok(()), |it| requests(it, out))
}

fn requests(it: &RequestAnalysis, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "<h2>Requests</h2>\n<p>{}</p>", escaped(&request_sections::headline(it)))?;
    if it.count == 0 {
        return Ok(());
    }
    let rows = request_sections::times(it).map(|(what, times)| {
        let [mean, median, p90, p99, max] = request_sections::cells(times);
        [mean, median, p90, p99, max, what.to_owned()]
    });
    table(out, "Times", ["mean", "median", "p90", "p99", "longest", "what"], 5, rows)?;
    let rows = it.routes.iter().map(|route| {
        [
            format!("{:.2} %", route.percent),
            route.count.to_string(),
            time_text(route.mean_ns),
            time_text(route.p99_ns),
            format!("{} {} {}", route.method, route.route, route.status),
        ]
    });
    table(out, "Routes that take most time", ["time", "count", "mean", "p99", "route"], 4, rows)?;
    request_sections::lines(it).iter().try_for_each(|line| writeln!(out, "<p>{}</p>", escaped(line)))
}

/// A table, if it has rows; the first `n_numbers` columns are numbers.
fn table<const N: usize>(
    out: &mut impl Write,
    title: &str,
    head: [&str; N],
    n_numbers: usize,
    rows: impl Iterator<Item = [String; N]>,
) -> io::Result<()> {
    let class = |column: usize| if column < n_numbers { " class=\"n\"" } else { "" };
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    writeln!(out, "<h2>{title}</h2>\n<table><tr>")?;
    for (column, name) in head.iter().enumerate() {
        write!(out, "<th{}>{name}</th>", class(column))?;
    }
    writeln!(out, "</tr>")?;
    for row in rows {
        write!(out, "<tr>")?;
        for (column, cell) in row.iter().enumerate() {
            write!(out, "<td{}>{}</td>", class(column), escaped(cell))?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</table>")
}

//! The state as widgets, for any size of terminal.

use profile::{
    FrameKind, bytes_text,
    trend::{Trend, trend},
};
use ratatui::{
    Frame,
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::Line,
    widgets::{Paragraph, Row, Table, TableState},
};

use super::{
    flame, routes_view,
    rows::{self, Row as FunctionRow},
    state::{State, View},
    update::{LoopRow, Memory},
};
use crate::memory::chart;

const HELP: &[&str] = &[
    "1 to 6, Tab      functions, threads, event loops, memory, flamegraph, routes",
    "up down j k      mark a row; Page Up, Page Down, Home",
    "Enter            flamegraph of the function that is marked, from it on",
    "Esc              all of it again, and no filter",
    "/                filter by a part of a name",
    "o                sort by self, total, name; routes by rate, p99, CPU, 5xx, name",
    "w                the last 10 s, the last second, the last minute",
    "p, space         pause, and go on",
    "s                save CPU time, of routes the requests, for `go tool pprof`",
    "q, Ctrl-C        end",
];
const KEYS: &str = "1-6 views  / filter  o sort  w time  p pause  Enter flame  s save  ? help  q end";

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, state: &State) {
    let [title, tabs, body, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(headline(state)).style(bold()), title);
    frame.render_widget(Paragraph::new(tab_line(state)), tabs);
    frame.render_widget(Paragraph::new(foot_line(state)), foot);
    if state.has_help {
        let lines: Vec<Line<'_>> = HELP.iter().map(|line| Line::from(*line)).collect();
        frame.render_widget(Paragraph::new(lines), body);
        return;
    }
    match state.view {
        View::Functions => functions(frame, state, body),
        View::Threads => threads(frame, state, body),
        View::Loops => loops(frame, state, body),
        View::Memory => memory(frame, state, body),
        View::Flame => flamegraph(frame.buffer_mut(), state, body),
        View::Routes => routes_view::draw(frame, state, body),
    }
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// `pid 4711   CPU 97.3 %   resident 12.0 MiB   the last 10.0 s`.
fn headline(state: &State) -> String {
    let mut line = state.target.clone();
    if let Some(profile) = state.shown() {
        line += &format!("   CPU {:.1} %", state.cpu_percent());
        line += &format!("   the last {:.1} s", profile.meta().duration_ns as f64 / 1e9);
    }
    if let Some(memory) = state.last_memory() {
        line += &format!("   resident {}", bytes_text(memory.resident_bytes));
    }
    if state.n_lost > 0 {
        line += &format!("   {} samples lost", state.n_lost);
    }
    line
}

fn tab_line(state: &State) -> Line<'static> {
    let mut spans = Vec::new();
    for (number, view) in (1..).zip(View::ALL) {
        let style =
            if view == state.view { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
        spans.push(ratatui::text::Span::styled(format!(" {number} {} ", view.name()), style));
    }
    spans.push(format!("  by {}", state.sort_name()).into());
    if state.is_paused {
        spans.push(ratatui::text::Span::styled("  paused", Style::new().fg(Color::Yellow)));
    }
    Line::from(spans)
}

fn foot_line(state: &State) -> Line<'static> {
    if state.is_typing {
        return Line::from(format!("/{}_   Enter keeps it, Esc drops it", state.filter));
    }
    if let Some(message) = &state.message {
        return Line::styled(message.clone(), Style::new().fg(Color::Green));
    }
    if let Some(reason) = &state.ended {
        return Line::styled(format!("{reason}   q end"), Style::new().fg(Color::Red));
    }
    let filter = if state.filter.is_empty() { String::new() } else { format!("/{}   ", state.filter) };
    Line::from(format!("{filter}{KEYS}"))
}

pub(super) fn nothing(frame: &mut Frame<'_>, state: &State, area: Rect, what: &'static str) {
    let text = if state.shown().is_none() { "sampling ..." } else { what };
    frame.render_widget(Paragraph::new(text), area);
}

fn functions(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let rows = state.rows();
    if rows.is_empty() {
        return nothing(frame, state, area, "no CPU time was used, or the filter leaves nothing");
    }
    let row = |it: &FunctionRow| {
        let style = match it.self_percent {
            10.0.. => Style::new().fg(Color::Red),
            2.0.. => Style::new().fg(Color::Yellow),
            _ => Style::new(),
        };
        let module = it.module.clone().unwrap_or_default();
        Row::new([number(it.self_percent), number(it.total_percent), it.name.clone(), module]).style(style)
    };
    let widths = [Constraint::Length(7), Constraint::Length(8), Constraint::Fill(3), Constraint::Fill(1)];
    let head = [" self %", " total %", "function", "module"];
    table(frame, area, &head, &widths, rows.iter().map(row).collect(), state.selected);
}

fn threads(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let rows = state.rows();
    if rows.is_empty() {
        return nothing(frame, state, area, "no thread used CPU time, or the filter leaves none");
    }
    let row = |it: &FunctionRow| {
        Row::new([number(it.self_percent), it.name.clone(), it.module.clone().unwrap_or_default()])
    };
    let widths = [Constraint::Length(7), Constraint::Fill(1), Constraint::Fill(1)];
    table(
        frame,
        area,
        &["  CPU %", "thread", "process"],
        &widths,
        rows.iter().map(row).collect(),
        state.selected,
    );
}

fn loops(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let rows = state.loops();
    if rows.is_empty() {
        return nothing(frame, state, area, "no thread waits for events, or the filter leaves none");
    }
    let row = |it: &&LoopRow| {
        let style = if it.stalls > 0 { Style::new().fg(Color::Red) } else { Style::new() };
        Row::new([
            number(it.busy_percent),
            format!("{:>9.0}", it.iterations_per_second),
            ms(it.mean_ns),
            ms(it.max_ns),
            format!("{:>7}", it.stalls),
            format!("{:>7}", it.all_stalls),
            format!("{} {} ({})", it.tid, it.name, it.pid),
        ])
        .style(style)
    };
    let widths = [7, 9, 10, 10, 7, 7].map(Constraint::Length).into_iter().chain([Constraint::Fill(1)]);
    let head = [" busy %", "  loops/s", "   mean ms", "longest ms", " stalls", " so far", "thread"];
    table(frame, area, &head, &widths.collect::<Vec<_>>(), rows.iter().map(row).collect(), state.selected);
}

pub(super) fn table(
    frame: &mut Frame<'_>,
    area: Rect,
    head: &[&'static str],
    widths: &[Constraint],
    rows: Vec<Row<'_>>,
    selected: usize,
) {
    let selected = selected.min(rows.len().saturating_sub(1));
    let table = Table::new(rows, widths.to_vec())
        .header(Row::new(head.to_vec()).style(bold()))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    frame.render_stateful_widget(table, area, &mut TableState::new().with_selected(selected));
}

fn memory(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let Some(last) = state.last_memory() else { return nothing(frame, state, area, "no reading yet") };
    let points = state.memory();
    let [text, chart_area] = Layout::vertical([Constraint::Length(2), Constraint::Min(0)]).areas(area);
    frame.render_widget(Paragraph::new(memory_line(last, &trend(&points))), text);
    if chart_area.height < 2 || chart_area.width < 20 {
        return;
    }
    let edge = 12_u16;
    let width = usize::from(chart_area.width.saturating_sub(edge));
    let drawn = chart::draw(&points, width, usize::from(chart_area.height));
    let lines = drawn.labelled().map(|(edge, dots)| Line::from(format!("{edge:>11} {dots}")));
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), chart_area);
}

/// `resident 12.0 MiB, private 10.0 MiB, increasing by 1.00 MiB/s, 3 processes`.
pub(super) fn memory_line(last: Memory, trend: &Trend) -> String {
    let movement = trend.movement_text();
    let processes =
        if last.n_processes == 1 { String::new() } else { format!(", {} processes", last.n_processes) };
    format!(
        "resident {}, private {}{movement}{processes}",
        bytes_text(last.resident_bytes),
        bytes_text(last.private_bytes)
    )
}

fn flamegraph(buffer: &mut Buffer, state: &State, area: Rect) {
    let Some(profile) = state.shown() else { return };
    let lines = flame::draw(profile, state.focus.as_deref(), usize::from(area.width));
    let n_above = state.selected.min(lines.len().saturating_sub(usize::from(area.height).max(1)));
    for (line, y) in lines.iter().skip(n_above).zip(area.top()..area.bottom()) {
        for cell in line {
            let (Ok(column), Ok(width)) = (u16::try_from(cell.column), u16::try_from(cell.width)) else {
                continue;
            };
            let is_found = !state.filter.is_empty() && rows::matches(&cell.name, &state.filter);
            let style =
                Style::new().fg(Color::Black).bg(if is_found { Color::Magenta } else { colour(cell.kind) });
            // A column between neighbours, where there is room for one.
            let n_drawn = if width > 1 { width - 1 } else { width };
            let text =
                format!("{:<1$}", format!("{} {:.1} %", cell.name, cell.percent), usize::from(n_drawn));
            buffer.set_stringn(area.left() + column, y, text, usize::from(n_drawn), style);
        }
    }
}

/// As in the drawings for browsers.
fn colour(kind: FrameKind) -> Color {
    match kind {
        FrameKind::Native => Color::LightRed,
        FrameKind::Jit => Color::Green,
        FrameKind::Kernel => Color::LightBlue,
        FrameKind::Reason => Color::Gray,
    }
}

fn number(percent: f64) -> String {
    format!("{percent:>7.2}")
}

fn ms(ns: u64) -> String {
    format!("{:>10.2}", ns as f64 / 1e6)
}

//! Requests by route as a table. A narrow terminal has the columns that say most.

use profile::bytes_text;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Style},
    text::Line,
    widgets::{Paragraph, Row},
};

use super::{
    routes::ShownRoutes,
    state::State,
    view::{nothing, table},
};
use crate::requests::RouteRow;

/// What a route is left of the width; its name is cut where that is not enough.
const MIN_ROUTE_COLUMNS: u16 = 30;
/// Below, there are rows and nothing else.
const MIN_LINES: u16 = 6;

/// A column, in the order in which they stand.
struct Column {
    head: &'static str,
    width: u16,
    /// Those with low numbers are there first.
    rank: u8,
    text: fn(&RouteRow) -> String,
}

const COLUMNS: [Column; 9] = [
    Column { head: "   req/s", width: 8, rank: 0, text: |row| format!("{:>8.1}", row.per_second) },
    Column { head: " mean ms", width: 8, rank: 3, text: |row| ms(row.total.mean_ns) },
    Column { head: "  median", width: 8, rank: 7, text: |row| ms(row.total.median_ns) },
    Column { head: "     p99", width: 8, rank: 1, text: |row| ms(row.total.p99_ns) },
    Column { head: "  up %", width: 6, rank: 5, text: |row| format!("{:>6.1}", row.upstream_percent) },
    Column { head: "     out/s", width: 10, rank: 6, text: bytes_a_second },
    Column { head: " 5xx %", width: 6, rank: 2, text: |row| format!("{:>6.2}", row.errors_percent()) },
    Column { head: "  CPU us", width: 8, rank: 4, text: cpu },
    Column { head: "2xx % 3xx % 4xx % 5xx %", width: 23, rank: 8, text: classes },
];

/// Draws it.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let Some(shown) = state.routes.shown() else {
        return nothing(frame, state, area, "requests are not followed, as --no-requests says");
    };
    let notes = state.routes.notes();
    let is_high = area.height >= MIN_LINES;
    let n_above = u16::from(is_high);
    let n_below = u16::from(is_high && !notes.is_empty());
    let [above, body, below] =
        Layout::vertical([Constraint::Length(n_above), Constraint::Min(0), Constraint::Length(n_below)])
            .areas(area);
    frame.render_widget(Paragraph::new(summary(shown)), above);
    let note = Line::styled(notes.join("; "), Style::new().fg(Color::Yellow));
    frame.render_widget(Paragraph::new(note), below);
    let rows = state.routes.rows(&state.filter);
    if rows.is_empty() {
        return nothing(
            frame,
            state,
            body,
            "no HTTP/1 request was answered (TLS: --tls), or the filter leaves no route",
        );
    }
    let columns = columns(body.width);
    let row = |it: &&RouteRow| {
        let [.., n_errors] = it.by_class;
        let style = if n_errors > 0 { Style::new().fg(Color::Red) } else { Style::new() };
        let cells = columns.iter().map(|column| (column.text)(it)).chain([it.route.clone()]);
        Row::new(cells.collect::<Vec<_>>()).style(style)
    };
    let heads: Vec<&'static str> = columns.iter().map(|column| column.head).chain(["route"]).collect();
    let widths = columns.iter().map(|column| Constraint::Length(column.width));
    let widths: Vec<Constraint> = widths.chain([Constraint::Fill(1)]).collect();
    table(frame, body, &heads, &widths, rows.iter().map(row).collect(), state.selected);
}

/// `812.0 requests/s   mean 1.23 ms   median 0.90   p99 8.10   5xx 0.00 %   2.1 MiB/s   71.0 % of the CPU time is theirs`.
pub(super) fn summary(shown: &ShownRoutes) -> String {
    let it = &shown.all;
    format!(
        "{:.1} requests/s   mean {:.2} ms   median {:.2}   p99 {:.2}   5xx {:.2} %   {}/s   {:.1} % of CPU time",
        it.per_second,
        it.total.mean_ns as f64 / 1e6,
        it.total.median_ns as f64 / 1e6,
        it.total.p99_ns as f64 / 1e6,
        it.errors_percent(),
        // The conversion saturates.
        bytes_text(it.bytes_per_second.round() as u64),
        shown.cpu_percent
    )
}

/// The heads of all columns, for text without an end of the line.
pub(super) fn heads() -> String {
    COLUMNS.map(|column| format!("{:>1$}", column.head, usize::from(column.width))).join(" ") + "  route"
}

/// A row for such text, without the route.
pub(super) fn line(row: &RouteRow) -> String {
    COLUMNS.map(|column| format!("{:>1$}", (column.text)(row), usize::from(column.width))).join(" ")
}

/// As many as leave room for routes, those that say most first.
fn columns(width: u16) -> Vec<&'static Column> {
    let mut ranked: Vec<&'static Column> = COLUMNS.iter().collect();
    ranked.sort_by_key(|column| column.rank);
    let mut left = width.saturating_sub(MIN_ROUTE_COLUMNS);
    let n_fitting = ranked
        .iter()
        .take_while(|column| {
            let has_room = left > column.width;
            left = left.saturating_sub(column.width + 1);
            has_room
        })
        .count();
    // The rate is there in any case.
    let n_shown = u8::try_from(n_fitting.max(1)).unwrap_or(u8::MAX);
    COLUMNS.iter().filter(|column| column.rank < n_shown).collect()
}

fn ms(ns: u64) -> String {
    format!("{:>8.2}", ns as f64 / 1e6)
}

fn bytes_a_second(row: &RouteRow) -> String {
    // The conversion saturates.
    format!("{:>10}", bytes_text(row.bytes_per_second.round() as u64))
}

fn cpu(row: &RouteRow) -> String {
    row.cpu_ns_per_request().map_or_else(|| format!("{:>8}", "-"), |ns| format!("{:>8.0}", ns / 1e3))
}

/// The classes of the answers in percent; 1xx answers are no last ones.
fn classes(row: &RouteRow) -> String {
    let percent = |n: u64| 100.0 * n as f64 / row.count.max(1) as f64;
    let [_, rest @ ..] = row.by_class;
    rest.map(|n| if n == 0 { format!("{:>5}", "-") } else { format!("{:>5.1}", percent(n)) }).join(" ")
}

#[cfg(test)]
mod tests {
    use super::{COLUMNS, columns, heads, line};
    use crate::requests::RouteRow;

    #[test]
    fn each_width_has_the_columns_that_say_most_and_room_for_a_route() {
        let names =
            |width| columns(width).iter().map(|column| column.head.trim()).collect::<Vec<_>>().join(" ");
        assert_eq!(names(0), "req/s");
        assert_eq!(names(50), "req/s p99");
        assert_eq!(names(80), "req/s mean ms p99 up % 5xx % CPU us");
        assert_eq!(columns(140).len(), COLUMNS.len());
        let mut ranks: Vec<u8> = COLUMNS.iter().map(|column| column.rank).collect();
        ranks.sort_unstable();
        assert!(ranks.iter().copied().eq(0..9), "{ranks:?}");
    }

    #[test]
    fn every_cell_is_as_wide_as_its_column() {
        let row = RouteRow {
            count: 1000,
            per_second: 123_456.7,
            by_class: [0, 900, 0, 50, 50],
            bytes_per_second: 1.5e9,
            cpu_ns: Some(1_000_000),
            ..RouteRow::default()
        };
        for column in &COLUMNS {
            let text = (column.text)(&row);
            assert_eq!(text.chars().count(), usize::from(column.width), "{}: {text:?}", column.head);
            assert!(column.head.len() <= usize::from(column.width), "{}", column.head);
        }
        assert!(line(&row).contains(" 90.0     -   5.0   5.0"), "{}", line(&row));
        assert_eq!(heads().find("route"), Some(line(&row).len() + 2));
    }
}

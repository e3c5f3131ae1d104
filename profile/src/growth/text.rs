//! Growth by stack for people.

use std::fmt;

use super::{Course, GrownStack, GrowthReport, TopFrame};
use crate::{
    report_text::{cut, printable},
    trend::{clock_text, rate_text},
    units::bytes_text,
};

/// How many stacks are listed. The rest is in the JSON report.
const MAX_ROWS: usize = 10;
/// Functions below `main` and below what a thread begins with.
const BEGINS: [&str; 8] = [
    "_start",
    "__libc_start_main",
    "__libc_start_main_impl",
    "__libc_start_call_main",
    "__clone3",
    "clone3",
    "__clone",
    "start_thread",
];
/// A stack is never cut to less than this, however narrow the terminal.
const MIN_STACK_CHARS: usize = 40;
/// What stands before it in a row.
const NUMBERS_CHARS: usize = 64;

/// `main > handle > store (nginx+0x1234)`, root first; cut in the middle if it is longer than `room`.
pub(crate) fn stack_text(frames: &[TopFrame], leaf: Option<&str>, room: Option<usize>) -> String {
    // How every program begins is not worth the room.
    let n_begins = frames.iter().take_while(|frame| BEGINS.contains(&frame.name.as_str())).count();
    let shown = frames.get(n_begins..).filter(|rest| !rest.is_empty()).unwrap_or(frames);
    let names: Vec<String> = shown.iter().map(|frame| printable(&frame.name)).collect();
    let module = frames.last().and_then(|frame| frame.module.as_deref());
    let is_named = |name: &String| module.is_none_or(|module| !name.starts_with(&format!("{module}+")));
    let place = match leaf {
        // A frame without a name is called by its place already.
        Some(leaf) if names.last().is_some_and(is_named) => format!(" ({})", printable(leaf)),
        _ => String::new(),
    };
    let text = names.join(" > ");
    let room = room.map(|room| room.max(MIN_STACK_CHARS).saturating_sub(place.chars().count()));
    room.map_or(text.clone(), |room| cut(&text, room.max(MIN_STACK_CHARS / 2))) + &place
}

/// The sentence that stands beside a leak: which stack took most of what grew.
pub(crate) fn largest(report: &GrowthReport) -> Option<String> {
    let first = report.stacks.first()?;
    Some(format!(
        "{:.0} % of what grew since then came from this stack: {}",
        first.share_percent,
        stack_text(&first.frames, first.leaf.as_deref(), None)
    ))
}

/// The table of stacks, whatever the verdict.
pub(crate) fn write_growth(
    report: &GrowthReport,
    head: impl Fn(&str) -> String,
    width: Option<usize>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let title = format!(
        "what grew from {} to {}: {} anonymous, {} of files, {} shared; {} given back",
        clock_text(report.from_ns),
        clock_text(report.until_ns),
        amount(report.anonymous_bytes),
        amount(report.file_bytes),
        amount(report.shared_bytes),
        amount(report.released_bytes)
    );
    writeln!(f, "\n{}", head(&title))?;
    if report.recorded_from_ns > report.from_ns.saturating_add(500_000_000) {
        writeln!(f, "stacks were recorded from {} on", clock_text(report.recorded_from_ns))?;
    }
    if !report.stacks.is_empty() {
        let columns = format!(
            "{:>10}  {:>6}  {:>12}  {:<26}  first touched by",
            "anonymous", "share", "rate", "course"
        );
        writeln!(f, "{}", head(&columns))?;
    }
    let room = width.map(|width| width.saturating_sub(NUMBERS_CHARS));
    for grown in report.stacks.iter().take(MAX_ROWS) {
        writeln!(f, "{}  {}", numbers(grown), stack_text(&grown.frames, grown.leaf.as_deref(), room))?;
    }
    if report.released_bytes > report.anonymous_bytes / 2 {
        writeln!(f, "what was given back is not taken off the stacks that took it")?;
    } else if !report.stacks.is_empty() {
        writeln!(f, "memory that was freed and handed on stands on the stack that touched it first")?;
    }
    let n_more = report.n_stacks.saturating_sub(report.stacks.len().min(MAX_ROWS));
    if n_more > 0 {
        writeln!(f, "            and {n_more} more stacks")?;
    }
    if report.folded_bytes > 0 {
        let bytes = bytes_text(report.folded_bytes);
        writeln!(f, "{bytes} in [other stacks]: those that grew least, folded into one for want of room")?;
    }
    if report.n_lost > 0 {
        writeln!(f, "{} samples were lost", report.n_lost)?;
    }
    report.comments.iter().try_for_each(|comment| writeln!(f, "note: {}", printable(comment)))
}

fn numbers(grown: &GrownStack) -> String {
    let course = match grown.course {
        Course::Growing => "still grows".to_owned(),
        Course::Stopped { until_ns } => format!("until {}: not a leak", clock_text(until_ns)),
        Course::Unknown => "too few samples".to_owned(),
    };
    format!(
        "{:>10}  {:>6}  {:>12}  {course:<26}",
        amount(grown.grown_bytes),
        format!("{:.1} %", grown.share_percent),
        rate_text(grown.rate_bytes_per_second)
    )
}

fn amount(bytes: i64) -> String {
    bytes_text(u64::try_from(bytes).unwrap_or(0))
}

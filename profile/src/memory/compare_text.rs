//! A comparison of two snapshots for people.

use std::{fmt, io};

use super::{Comparison, Field, FieldChange, MappingChange, Side};
use crate::{
    report_text::{BOLD, GREEN, RED, RESET, TextStyle, cut, printable},
    units::{bytes_text, change_text, time_text},
};

/// How many processes and mappings are listed. The rest is in JSON.
const MAX_ROWS: usize = 20;
/// Columns before a name.
const NUMBERS_CHARS: usize = 39;
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
        let Comparison { before, after, tree, processes, classes, mappings, .. } = self.comparison;
        writeln!(f, "before: {}\nafter:  {}", side(before), side(after))?;
        let apart = time_text(after.taken_unix_ns.abs_diff(before.taken_unix_ns));
        let order = if after.taken_unix_ns < before.taken_unix_ns { "earlier" } else { "later" };
        writeln!(f, "        {apart} {order}")?;
        if before.host != after.host {
            writeln!(f, "        of another host")?;
        }

        self.head(f, "all processes")?;
        for (title, change) in Field::ALL.iter().filter_map(|it| Some((it.title(), tree.get(it.name())?))) {
            if change.before_bytes > 0 || change.after_bytes > 0 {
                self.row(f, change, title)?;
            }
        }
        self.head(f, "process, resident")?;
        for process in processes.iter().take(MAX_ROWS) {
            let state = match (process.is_before, process.is_after) {
                (false, _) => ", new",
                (_, false) => ", ended",
                _ => "",
            };
            let change = process.fields.get(Field::Resident.name()).copied().unwrap_or_default();
            self.row(f, &change, &format!("{} ({}){state}", process.name, process.pid))?;
        }
        self.more(f, processes.len(), "processes")?;
        self.head(f, "kind of mapping, resident")?;
        for class in classes {
            self.row(f, &class.resident, &mapping_text(class))?;
        }
        self.head(f, "mapping, resident")?;
        let changed: Vec<_> = mappings.iter().filter(|it| it.resident.change_bytes != 0).collect();
        for mapping in changed.iter().take(MAX_ROWS) {
            self.row(f, &mapping.resident, &mapping_text(mapping))?;
        }
        self.more(f, changed.len(), "mappings that changed")?;
        match self.comparison.n_processes_without_mappings {
            0 => Ok(()),
            n => writeln!(
                f,
                "\nnote: mappings of {n} processes are not known: root or CAP_SYS_PTRACE reads them"
            ),
        }
    }
}

impl Styled<'_> {
    fn head(&self, f: &mut fmt::Formatter<'_>, what: &str) -> fmt::Result {
        let head = format!("{:>10}  {:>10}  {:>11}  {what}", "before", "after", "change");
        writeln!(f, "\n{}", self.paint(BOLD, &head))
    }

    fn row(&self, f: &mut fmt::Formatter<'_>, change: &FieldChange, name: &str) -> fmt::Result {
        let amount = format!("{:>11}", change_text(change.change_bytes));
        let amount = match change.change_bytes {
            0 => amount,
            1.. => self.paint(RED, &amount),
            _ => self.paint(GREEN, &amount),
        };
        let room = self.style.width.map(|width| width.saturating_sub(NUMBERS_CHARS).max(MIN_NAME_CHARS));
        let name = printable(name);
        let name = room.map_or_else(|| name.clone(), |room| cut(&name, room));
        let (before, after) = (bytes_text(change.before_bytes), bytes_text(change.after_bytes));
        writeln!(f, "{before:>10}  {after:>10}  {amount}  {name}")
    }

    fn more(&self, f: &mut fmt::Formatter<'_>, n_all: usize, what: &str) -> fmt::Result {
        match n_all.saturating_sub(MAX_ROWS) {
            0 => Ok(()),
            n_more => writeln!(f, "            and {n_more} more {what}"),
        }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.style.colour { format!("{colour}{text}{RESET}") } else { text.to_owned() }
    }
}

fn side(side: &Side) -> String {
    let Side { label, host, command, n_processes, .. } = side;
    let noun = if *n_processes == 1 { "process" } else { "processes" };
    printable(&format!("{label}: {command} on {host}, {n_processes} {noun}"))
}

fn mapping_text(mapping: &MappingChange) -> String {
    let count = match (mapping.n_before, mapping.n_after) {
        (before, after) if before == after => format!("{after}"),
        (before, after) => format!("{before} -> {after}"),
    };
    match mapping.name.as_str() {
        "" => format!("{} ({count})", mapping.class.title()),
        name => format!("{}: {name} ({count})", mapping.class.title()),
    }
}

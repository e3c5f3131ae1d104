//! Writes a report to stdout in the form that was asked for.

use std::io::{self, IsTerminal as _, Write};

use anyhow::Context as _;
use profile::TextStyle;

use super::record::{PIPED_WIDTH, terminal_width};
use crate::args::ReportForm;

/// Writes `value` as JSON, or as `text` writes it: in colour on a terminal only.
pub(super) fn say<T: serde::Serialize>(
    form: ReportForm,
    value: &T,
    text: impl FnOnce(&mut io::StdoutLock<'_>, TextStyle) -> io::Result<()>,
) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let is_terminal = io::stdout().is_terminal();
    let written = match form {
        ReportForm::None => Ok(()),
        ReportForm::Json => serde_json::to_writer_pretty(&mut out, value)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out)),
        ReportForm::Text => {
            let colour = is_terminal && std::env::var_os("NO_COLOR").is_none();
            let width = if is_terminal { terminal_width() } else { PIPED_WIDTH };
            text(&mut out, TextStyle { colour, width: Some(width) })
        }
    };
    match written.and_then(|()| out.flush()) {
        // `agent memory ... | head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write the report"),
    }
}

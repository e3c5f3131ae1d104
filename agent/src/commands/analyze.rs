//! `agent analyze`: what holds a proxy up, and what to change.

mod files;
mod live;

use std::io::{self, IsTerminal as _, Write};

use anyhow::Context as _;
use profile::{
    Profile, TextStyle,
    analysis::{self, Analysis, Evidence, RequestAnalysis, write_analysis, write_html},
    memory::MemoryReport,
};

use super::record::{PIPED_WIDTH, terminal_width};
use crate::{
    args::{AnalysisForm, AnalyzeArgs},
    send::file::Destination,
};

/// What was recorded, or read.
#[derive(Default)]
struct Measured {
    cpu: Option<Profile>,
    off_cpu: Option<Profile>,
    stalls: Option<Profile>,
    growth: Option<Profile>,
    memory: Option<MemoryReport>,
    requests: Option<RequestAnalysis>,
    /// Requests that were served while files were recorded, as they say.
    n_requests: Option<u64>,
    /// What to bear in mind.
    notes: Vec<String>,
}

/// Runs the command; gives the exit code.
///
/// # Errors
/// If nothing can be recorded or read, or the analysis not be written.
pub fn run(args: &AnalyzeArgs) -> anyhow::Result<u8> {
    let destination = Destination::check(&args.output)?;
    let measured = if args.pids.is_empty() { files::read(args)? } else { live::record(args)? };
    let mut evidence = Evidence::default()
        .with_off_cpu(measured.off_cpu.as_ref())
        .with_stalls(measured.stalls.as_ref())
        .with_memory(measured.growth.as_ref(), measured.memory.as_ref())
        .with_requests(measured.requests.as_ref(), args.requests.or(measured.n_requests));
    evidence.cpu = measured.cpu.as_ref();
    let mut found = analysis::analyze(&evidence);
    found.notes.extend(measured.notes);
    let to_terminal = destination == Destination::Stdout && io::stdout().is_terminal();
    let written = destination.write::<anyhow::Error>(|out| Ok(write(&found, args.format, to_terminal, out)?));
    match written {
        // `agent analyze ... | head` has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(0),
        other => other.context("cannot write the analysis").map(|()| 0),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    kinds.into_iter().any(|kind| kind == io::ErrorKind::BrokenPipe)
}

fn write(
    found: &Analysis,
    format: AnalysisForm,
    to_terminal: bool,
    mut out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        AnalysisForm::Json => {
            serde_json::to_writer_pretty(&mut out, found)?;
            writeln!(out)
        }
        AnalysisForm::Html => write_html(found, &mut out),
        AnalysisForm::Text => {
            let colour = to_terminal && std::env::var_os("NO_COLOR").is_none();
            let width = if to_terminal { terminal_width() } else { PIPED_WIDTH };
            write_analysis(found, &mut out, TextStyle { colour, width: Some(width) })
        }
    }
}

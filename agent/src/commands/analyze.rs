//! `agent analyze`: what holds a proxy up, and what to change.

use std::io::{self, IsTerminal as _, Write};

use anyhow::{Context as _, ensure};
use profile::{
    Profile, TextStyle,
    analysis::{self, Analysis, Evidence, write_analysis, write_html},
    encode::pprof,
};

use super::record::{self, PIPED_WIDTH, terminal_width};
use crate::{
    args::{AnalysisForm, AnalyzeArgs, RecordArgs},
    inputs,
    send::file::Destination,
};

/// What is analyzed of a profile: time.
const VALUE: &str = "cpu";

/// Runs the command; gives the exit code.
///
/// # Errors
/// If nothing can be recorded or read, or the analysis not be written.
pub fn run(args: &AnalyzeArgs) -> anyhow::Result<u8> {
    let destination = Destination::check(&args.output)?;
    let (profile, n_unlike) = if args.pids.is_empty() { from_files(args)? } else { (recorded(args)?, 0) };
    let evidence = Evidence::of_cpu(&profile).with_requests(args.requests);
    let mut found = analysis::analyze(&evidence);
    if n_unlike > 0 {
        found
            .notes
            .push(format!("{n_unlike} files were left out: they are not of CPU time, or have other labels"));
    }
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

/// Records as `agent record` does.
fn recorded(args: &AnalyzeArgs) -> anyhow::Result<Profile> {
    let save = args.save.as_deref().map(Destination::check).transpose()?;
    let (_, profile) = record::record(&RecordArgs::of_cpu(args))?;
    if let Some(save) = save {
        save.write::<anyhow::Error>(|mut out| Ok(pprof::write(&profile, &mut out)?))?;
    }
    Ok(profile)
}

/// All files as one profile, and how many were left out.
fn from_files(args: &AnalyzeArgs) -> anyhow::Result<(Profile, usize)> {
    let files = inputs::expand(&args.files)?;
    let mut whole: Option<Profile> = None;
    let mut n_unlike = 0;
    for file in &files {
        let mut profile = inputs::read(file)?;
        let types = profile.value_types();
        let time = types
            .iter()
            .position(|it| it.kind == VALUE)
            .or_else(|| types.iter().position(|it| it.kind == "samples"));
        let Some(time) = time.filter(|_| inputs::has_labels(&profile, &args.labels)) else {
            n_unlike += 1;
            continue;
        };
        profile.weigh_by(time);
        match &mut whole {
            None => whole = Some(profile),
            Some(whole) => whole.append(&profile),
        }
    }
    ensure!(n_unlike < files.len(), "none of {n_unlike} profiles is of CPU time and has these labels");
    Ok((whole.context("no profile")?, n_unlike))
}

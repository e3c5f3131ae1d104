//! `agent diff`: what gained and what lost from one set of profiles to another.

use std::{io::Write as _, path::PathBuf};

use anyhow::{Context as _, bail, ensure};
use profile::{
    diff::{self, Comparison, Options, Per, Side, write_comparison},
    encode::svg,
};

use super::say::say;
use crate::{
    args::{By, DiffArgs, Format},
    inputs,
    send::file::Destination,
};

/// What is compared where nothing is asked for, if any profile has it.
const DEFAULT_VALUE: &str = "cpu";
/// The exit status where something got worse.
const REGRESSION: u8 = 3;

/// Runs the command; gives the exit code.
///
/// # Errors
/// If a profile cannot be read, or the sides cannot be compared.
pub fn run(args: &DiffArgs) -> anyhow::Result<u8> {
    let destination = match &args.output {
        Some(path) => {
            ensure!(
                Format::of_path(path) == Some(Format::Svg),
                "{}: a difference is drawn as .svg",
                path.display()
            );
            Some(Destination::check(path)?)
        }
        None => None,
    };
    let (baseline, comparison) = match args.sides.as_slice() {
        [baseline, comparison] => (std::slice::from_ref(baseline), std::slice::from_ref(comparison)),
        _ => (args.baseline.as_slice(), args.comparison.as_slice()),
    };
    let (mut baseline, n_baseline_unlike) = side("baseline", baseline, args)?;
    let (mut comparison, n_comparison_unlike) = side("comparison", comparison, args)?;
    if let Some((of_baseline, of_comparison)) = args.requests {
        baseline.set_requests(of_baseline);
        comparison.set_requests(of_comparison);
    }
    let mut found = diff::compare(&baseline, &comparison, &options(args))?;
    if let n_unlike @ 1.. = n_baseline_unlike + n_comparison_unlike {
        found
            .notes
            .push(format!("{n_unlike} files were left out: they count something else, or have other labels"));
    }
    if let Some(destination) = &destination {
        destination.write::<anyhow::Error>(|mut out| {
            Ok(svg::write_difference(baseline.profile(), comparison.profile(), &mut out)?)
        })?;
    }
    say(args.report, &found, |out, style| {
        write_comparison(&found, out, style)?;
        verdict(&found, args).map_or(Ok(()), |verdict| writeln!(out, "\n{verdict}"))
    })?;
    let Some(threshold) = args.fail_on_regression else { return Ok(0) };
    // A check that cannot fail is none.
    ensure!(
        found.method.unit.is_some(),
        "--fail-on-regression: what is more than chance cannot be told of these profiles"
    );
    Ok(if found.has_regression(threshold) { REGRESSION } else { 0 })
}

/// One line on what decides the exit status.
fn verdict(found: &Comparison, args: &DiffArgs) -> Option<String> {
    let threshold = args.fail_on_regression?;
    let names: Vec<&str> = found.regressions(threshold).map(|it| it.name.as_str()).collect();
    Some(match names.as_slice() {
        [] if found.has_regression(threshold) => {
            format!("regression of {threshold} % or more: everything together")
        }
        [] => format!("no regression of {threshold} % or more"),
        names => format!("regression of {threshold} % or more: {}", names.join(", ")),
    })
}

fn options(args: &DiffArgs) -> Options {
    let per = args.by.map(|by| match by {
        By::Share => Per::Share,
        By::Second => Per::Second,
        By::Request => Per::Request,
    });
    Options {
        per,
        confidence_percent: args.confidence,
        min_share_percent: args.min_share,
        n_replicates: usize::try_from(args.draws).unwrap_or(usize::MAX),
        seed: args.seed,
    }
}

/// The profiles of a side, and how many were left out.
fn side(name: &str, paths: &[PathBuf], args: &DiffArgs) -> anyhow::Result<(Side, usize)> {
    let files = inputs::expand(paths).with_context(|| format!("cannot find the {name}"))?;
    if let Some(value) = &args.value {
        return fill(&files, Some(value), args);
    }
    // A daemon writes several events into one directory.
    fill(&files, Some(DEFAULT_VALUE), args).or_else(|_| fill(&files, None, args))
}

fn fill(files: &[PathBuf], value: Option<&str>, args: &DiffArgs) -> anyhow::Result<(Side, usize)> {
    let mut side = Side::new(value);
    let (mut n_unlike, mut last_reason) = (0, None);
    for file in files {
        let profile = inputs::read(file)?;
        if !inputs::has_labels(&profile, &args.labels) {
            n_unlike += 1;
            continue;
        }
        if let Err(reason) = side.add(&profile) {
            n_unlike += 1;
            last_reason = Some(reason);
        }
    }
    match last_reason {
        _ if side.n_files() > 0 => Ok((side, n_unlike)),
        Some(reason) => Err(reason).context("no profile can be used"),
        None => bail!("no profile has the labels {}", args.labels.join(", ")),
    }
}

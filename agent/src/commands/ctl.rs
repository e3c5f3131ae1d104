//! `agent ctl`: ask the daemon for something, show how far it is, and print what came of it.

use std::{
    io::{self, Write},
    time::Duration,
};

use anyhow::Context as _;
use clap::ValueEnum as _;
use indicatif::{ProgressBar, ProgressStyle};

use super::error_line;
use crate::{
    args::{CaptureArgs, CtlArgs, CtlCommand},
    daemon::control::{
        client::{self, ClientError, Done},
        message::{Capture, Output, Request, Target},
    },
    output,
    send::file::Destination,
};

/// No daemon can be reached.
const UNREACHABLE: u8 = 3;

/// Runs the command; gives the exit code.
///
/// # Errors
/// If the daemon says no, or what it gives cannot be written.
pub fn run(args: &CtlArgs) -> anyhow::Result<u8> {
    let (request, destination) = match &args.command {
        CtlCommand::Capture(capture) => {
            let (capture, destination) = request(capture)?;
            (Request::Capture(capture), destination)
        }
        CtlCommand::Status => (Request::Status {}, None),
        CtlCommand::Reload => (Request::Reload {}, None),
        CtlCommand::Flush => (Request::Flush {}, None),
    };
    let bar = match &args.command {
        CtlCommand::Capture(capture) => bar(capture.duration),
        _ => ProgressBar::hidden(),
    };
    let asked = client::ask(&args.socket, &request, |progress| {
        bar.set_position((progress.elapsed_s * 1000.0) as u64);
        bar.set_message(format!("{}, {} samples", printable(&progress.stage), progress.n_samples));
    });
    bar.finish_and_clear();
    let done = match asked {
        Ok(done) => done,
        Err(error @ (ClientError::NotRunning { .. } | ClientError::NotAllowed { .. })) => {
            // A closed stderr is no reason to fail differently.
            let _ = io::stderr().write_all(error_line(&error.into()).as_bytes());
            return Ok(UNREACHABLE);
        }
        Err(error) => return Err(error.into()),
    };
    tell(&done, destination.as_ref())?;
    Ok(0)
}

/// What to ask for, and where the file goes, found out before anything is recorded.
fn request(args: &CaptureArgs) -> anyhow::Result<(Capture, Option<Destination>)> {
    let (output, destination) = match &args.output {
        Some(path) => {
            let form = output::format(args.format, path)?;
            (Output::File(form), Some(Destination::check(path)?))
        }
        None => (Output::Sinks, None),
    };
    let target = match (&args.target, args.pid) {
        (Some(name), _) => Target::Name(name.clone()),
        (None, Some(pid)) => Target::Pid(pid),
        (None, None) => Target::All,
    };
    let event = args.event.to_possible_value().context("an event without a name")?;
    let capture = Capture {
        event: event.get_name().to_owned(),
        duration_s: args.duration.as_secs_f64(),
        target,
        output,
    };
    capture.duration()?;
    Ok((capture, destination))
}

/// A bar on a terminal; nothing when stderr is piped.
fn bar(duration: Duration) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("capturing [{bar:30}] {elapsed} {msg}  Ctrl-C ends it");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The file where it belongs, and what is to say on stdout, or on stderr if the file goes to stdout.
fn tell(done: &Done, destination: Option<&Destination>) -> anyhow::Result<()> {
    if let Some(destination) = destination {
        destination.write::<anyhow::Error>(|out| Ok(out.write_all(&done.file)?))?;
    }
    let mut out: Box<dyn Write> = match destination {
        Some(Destination::Stdout) => Box::new(io::stderr()),
        _ => Box::new(io::stdout()),
    };
    // JSON escapes what a terminal would obey, but for the controls beyond ASCII.
    let text = printable(&serde_json::to_string_pretty(&done.summary)?);
    match writeln!(out, "{text}") {
        // Nobody reads on.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::{UNREACHABLE, request, run};
    use crate::{
        args::{Cli, CtlArgs, CtlCommand, Format, Subcommands},
        daemon::control::message::{Capture, Output, Target},
    };

    fn parsed(arguments: &str) -> Result<CtlArgs, String> {
        let arguments = ["agent", "ctl"].into_iter().chain(arguments.split_whitespace());
        match Cli::try_parse_from(arguments).map_err(|error| error.to_string())?.command {
            Subcommands::Ctl(args) => Ok(args),
            other => Err(format!("{other:?}")),
        }
    }

    fn asked(arguments: &str) -> Result<Capture, String> {
        match parsed(arguments)?.command {
            CtlCommand::Capture(args) => {
                request(&args).map(|(capture, _)| capture).map_err(|error| error.to_string())
            }
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn arguments_become_a_request() {
        let of = |event: &str, duration_s, target, output| {
            Ok(Capture { event: event.into(), duration_s, target, output })
        };
        let rule = || Target::Name("edge".into());
        assert_eq!(
            asked("capture --event alloc --duration 30s --target edge"),
            of("alloc", 30.0, rule(), Output::Sinks)
        );
        assert_eq!(
            asked("capture -e cpu --pid 7 -o - --format folded"),
            of("cpu", 10.0, Target::Pid(7), Output::File(Format::Folded))
        );
        assert_eq!(
            asked("capture -e faults -a --socket /x -d 500ms"),
            of("faults", 0.5, Target::All, Output::Sinks)
        );
        for (arguments, part) in [
            ("capture -e cpu", "required"),
            ("capture -a", "--event"),
            ("capture -e cpu --pid 7 --all", "cannot be used with"),
            ("capture -e cpu -a -d 2h", "at most 3600 s"),
            ("capture -e cpu -a -o x", "the form of `x` is not clear"),
            ("capture -e cpu -a --format svg", "--output"),
            ("stop", "unrecognized"),
        ] {
            let seen = asked(arguments);
            assert!(seen.as_ref().is_err_and(|error| error.contains(part)), "{arguments}: {seen:?}");
        }
    }

    #[test]
    fn without_a_daemon_the_exit_status_says_so() {
        let code = run(&parsed("status --socket /nonexistent/control.sock").expect("arguments"));
        assert!(matches!(code, Ok(UNREACHABLE)), "{code:?}");
    }
}

//! Shows on a terminal how far a recording is, and tells whoever waits that it has begun.

use std::{
    io::{self, Write as _},
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::{
    debuginfod, notify,
    run::{self, Options, Recording, RunError},
};

/// Records with a bar that counts; whoever waits for the beginning is told of it.
pub(super) fn record(options: Options, stop: &AtomicBool, counted: &str) -> Result<Recording, RunError> {
    let bar = progress_bar(options.duration);
    let mut has_begun = false;
    let recording = run::record(options, stop, |elapsed, n| {
        if !mem::replace(&mut has_begun, true)
            && let Err(error) = notify::ready("recording")
        {
            let line = format!("warning: who waits at NOTIFY_SOCKET cannot be told: {error}");
            // Nobody is left to be told that this did not work either.
            let _ = bar.suspend(|| writeln!(io::stderr(), "{line}"));
        }
        bar.set_position(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        bar.set_message(format!("{n} {counted}"));
    });
    bar.finish_and_clear();
    recording
}

/// A bar on a terminal; nothing when stderr is piped.
fn progress_bar(duration: Option<Duration>) -> ProgressBar {
    let (bar, template) = match duration {
        Some(duration) => {
            let bar = ProgressBar::new(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
            (bar, "recording [{bar:30}] {elapsed} {msg}  Ctrl-C ends early")
        }
        None => (ProgressBar::new_spinner(), "recording {spinner} {elapsed} {msg}  Ctrl-C ends early"),
    };
    bar.with_style(style(template))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// The same while debug information is fetched.
pub(super) fn fetching() -> ProgressBar {
    ProgressBar::no_length().with_style(style("fetching {spinner} {msg}  Ctrl-C does without"))
}

/// Tells on a terminal what is being fetched, until `stop` is set.
pub(super) fn fetched(bar: ProgressBar, stop: Arc<AtomicBool>) -> debuginfod::Progress {
    Box::new(move |build_id, n_bytes| {
        bar.set_message(format!("debug information {build_id}: {}", HumanBytes(n_bytes)));
        bar.tick();
        !stop.load(Ordering::Relaxed)
    })
}

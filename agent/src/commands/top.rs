//! `agent top`: what processes do now, as pictures on a terminal or as text.

mod feed;
mod loops;

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use profile::encode::pprof;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::record::{self, missing_requirement, stop_on_signals};
use crate::{
    args::TopArgs,
    clock,
    send::file::Destination,
    top::{Action, State, Update, batch, state::View, view},
};
use feed::Feed;

/// How long a key, or a signal, may wait.
const POLL: Duration = Duration::from_millis(50);

/// Runs the command; gives the exit code.
///
/// # Errors
/// If nothing can be sampled, or there is nowhere to show it.
pub fn run(args: &TopArgs) -> anyhow::Result<u8> {
    let frequency_hz = record::frequency(args.frequency)?;
    if let Some(missing) = missing_requirement() {
        bail!("{missing}");
    }
    let stop = stop_on_signals()?;
    // A terminal that goes away, or whoever wants a core file: the screen is to be what it was.
    for signal in [signal_hook::consts::SIGHUP, signal_hook::consts::SIGQUIT] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot handle signals")?;
    }
    let feed = Feed::start(args, frequency_hz, Arc::clone(&stop))?;
    let names: Vec<String> = args.pids.iter().map(u32::to_string).collect();
    let state = State::new(format!("pid {}", names.join(", ")));
    let is_batch = args.batch || args.count.is_some() || !io::stdout().is_terminal();
    let shown = if is_batch {
        blocks(args, state.of_last_window(), feed.updates(), &stop)
    } else {
        pictures(args, state, feed.updates(), &stop)
    };
    stop.store(true, Ordering::Relaxed);
    feed.join()?;
    shown.map(|()| 0)
}

/// Text, until there is no more to say.
fn blocks(
    args: &TopArgs,
    mut state: State,
    updates: &Receiver<Update>,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut n_written = 0;
    while !stop.load(Ordering::Relaxed) && !is_over(args, began) {
        let update = match updates.recv_timeout(POLL) {
            Ok(update) => update,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let (is_tick, is_end) = (matches!(update, Update::Tick(_)), matches!(update, Update::Ended(_)));
        state.update(update);
        if is_end {
            break;
        }
        if is_tick {
            match batch::write(&state, args.rows, &mut io::stdout().lock()) {
                // `agent top ... | head` has seen enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                other => other.context("cannot write")?,
            }
            n_written += 1;
            if args.count.is_some_and(|count| n_written >= count) {
                break;
            }
        }
    }
    Ok(())
}

/// Gives the terminal back as it was, however this ends; a panic does the same by the hook that `try_init` sets.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        // It fails if the terminal has gone: then there is nothing to give back.
        let _ = ratatui::try_restore();
        let _ = io::stdout().flush();
    }
}

fn pictures(
    args: &TopArgs,
    mut state: State,
    updates: &Receiver<Update>,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let mut terminal = ratatui::try_init().context("cannot draw on this terminal")?;
    let _restored = Restored;
    let began = Instant::now();
    let mut is_new = true;
    while !stop.load(Ordering::Relaxed) && !is_over(args, began) {
        while let Ok(update) = updates.try_recv() {
            state.update(update);
            is_new = true;
        }
        if is_new {
            terminal.draw(|frame| view::draw(frame, &state)).context("cannot draw")?;
            is_new = false;
        }
        if !event::poll(POLL).context("cannot read keys")? {
            continue;
        }
        is_new = true;
        if let Event::Key(key) = event::read().context("cannot read keys")?
            && key.kind == KeyEventKind::Press
        {
            match state.key(key) {
                Some(Action::Quit) => break,
                Some(Action::Save) => {
                    state.message = Some(save(args, &state).unwrap_or_else(|error| format!("{error:#}")));
                }
                None => {}
            }
        }
    }
    Ok(())
}

fn is_over(args: &TopArgs, began: Instant) -> bool {
    args.duration.is_some_and(|duration| began.elapsed() >= duration)
}

/// Writes what is shown; says where.
fn save(args: &TopArgs, state: &State) -> anyhow::Result<String> {
    let profile = state.saved().context("there is nothing to save yet")?;
    let seconds = clock::unix_ns() / 1_000_000_000;
    let kind = if state.view == View::Routes { "requests-" } else { "" };
    let path = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("top-{kind}{seconds}.pb.gz")));
    let destination = Destination::check(&path)?;
    destination.write::<anyhow::Error>(|mut out| Ok(pprof::write(profile, &mut out)?))?;
    Ok(format!("wrote {}", path.display()))
}

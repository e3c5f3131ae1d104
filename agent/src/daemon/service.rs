//! `agent daemon` from start to end: a configuration is put together, run, and put together anew when it changes.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use tracing::{error, info, warn};

use super::{
    control::server::{ControlServer, Handler},
    engine::{Ended, Shared},
    figures::ConfigFigures,
    handler::Current,
    running::{Carried, NotStarted, Running},
};
use crate::{
    clock,
    config::{self, Config},
    notify,
};

/// Runs until it is asked to end; gives the exit code.
///
/// # Errors
/// If it cannot start.
pub fn run(file: &Path, config: Config) -> anyhow::Result<u8> {
    let shared = Arc::new(Shared::default());
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        // In this order: the second signal finds the flag that the first one set.
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&shared.stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&shared.stop)))
            .context("cannot handle signals")?;
    }
    signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&shared.reload))
        .context("cannot handle signals")?;
    let start_unix_ns = clock::unix_ns();
    let mut carried = Carried {
        config: ConfigFigures {
            path: file.to_owned(),
            loaded_unix_ns: start_unix_ns,
            ..ConfigFigures::default()
        },
        writable: written_dirs(&config),
        ..Carried::default()
    };
    let mut config = config;
    let current = Arc::new(Current::default());
    let mut control: Option<(PathBuf, ControlServer)> = None;
    let mut last_good: Option<Config> = None;
    loop {
        let started = Running::start(config.clone(), carried, &shared, &current, start_unix_ns);
        let started = started.and_then(|running| match listen(&mut control, &config, &current) {
            Ok(()) => Ok(running),
            Err(error) => Err(Box::new(NotStarted { error, carried: running.end(&shared) })),
        });
        let mut running = match started {
            Ok(running) => running,
            Err(failed) => {
                // The configuration that held before is known to work.
                let Some(good) = last_good.take() else { return Err(failed.error) };
                let reason = format!("{:#}", failed.error);
                error!("the new configuration does not work, the old one holds: {reason}");
                carried = failed.carried;
                carried.config.n_refused += 1;
                carried.config.last_refusal = Some(reason.clone());
                shared.answer_reload(Some(reason));
                config = good;
                continue;
            }
        };
        if last_good.is_some() {
            running.taken();
            info!(file = %file.display(), "configuration taken");
            shared.answer_reload(None);
        }
        said(notify::ready(&format!("configuration of {}", file.display())));
        let (ended, next) = running.run(file, &shared);
        said(if ended == Ended::Reload { notify::reloading() } else { notify::stopping() });
        last_good = Some(running.config.clone());
        carried = running.end(&shared);
        match (ended, next) {
            (Ended::Stop, _) => {
                let Carried { made, tally, .. } = &carried;
                let n_samples: u64 = made.samples.values().sum();
                let n_lost = tally.lost.n_samples() + made.n_unspooled;
                info!("ended: {n_samples} samples in {} profiles, {n_lost} lost", made.n_profiles);
                return Ok(0);
            }
            (Ended::Memory, _) => {
                bail!("memory could not be kept below rss_limit: ended, to be started anew")
            }
            (Ended::Reload, Some(next)) => {
                config = next;
            }
            (Ended::Reload, None) => bail!("a reload without a configuration"),
        }
    }
}

/// Problems, one in a line.
pub(super) fn list(problems: &[config::Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Listens where the configuration says; where that was said before, it goes on.
fn listen(
    control: &mut Option<(PathBuf, ControlServer)>,
    config: &Config,
    current: &Arc<Current>,
) -> anyhow::Result<()> {
    if control.as_ref().map(|(path, _)| path) == config.control_socket.as_ref() {
        return Ok(());
    }
    *control = None;
    if let Some(path) = &config.control_socket {
        let handler: Arc<dyn Handler> = Arc::<Current>::clone(current);
        *control = Some((path.clone(), ControlServer::start(path, handler)?));
    }
    Ok(())
}

/// A service manager that cannot be told will say so itself.
pub(super) fn said(told: io::Result<()>) {
    if let Err(error) = told {
        warn!("the service manager cannot be told: {error}");
    }
}

/// Reads the configuration and looks up on the host what it names; warnings are logged.
///
/// # Errors
/// What is wrong with it, a line each.
pub fn load(file: &Path) -> Result<Config, String> {
    let config = Config::load(file).map_err(|problems| list(&problems))?;
    let checked = config::check(&config);
    for warning in config.warnings.iter().chain(&checked.warnings) {
        warn!("{warning}");
    }
    if checked.problems.is_empty() { Ok(config) } else { Err(list(&checked.problems)) }
}

/// Whether another configuration writes where the one at the start did.
///
/// # Errors
/// Which directory is another, and what to do.
pub(super) fn check_dirs(config: &Config, writable: &[PathBuf]) -> Result<(), String> {
    let dirs = written_dirs(config);
    let Some(dir) = dirs.iter().find(|dir| !writable.iter().any(|known| dir.starts_with(known))) else {
        return Ok(());
    };
    let what =
        "was not in the configuration at the start, and the daemon gave up the right to write elsewhere then";
    Err(format!("{} {what}; restart it", dir.display()))
}

/// Where the daemon writes: everything else may be read-only to it.
#[must_use]
pub fn written_dirs(config: &Config) -> Vec<PathBuf> {
    let mut dirs = vec![config.spool.dir.clone()];
    dirs.extend(config.table_cache.clone());
    dirs.extend(config.control_socket.as_deref().and_then(Path::parent).map(Path::to_owned));
    dirs.extend(config.sinks.values().filter_map(|sink| match &sink.kind {
        config::SinkKind::Directory { dir, .. } => Some(dir.clone()),
        _ => None,
    }));
    dirs
}

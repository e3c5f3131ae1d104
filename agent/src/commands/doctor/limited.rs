//! The same host, seen by a process that gave up what the daemon gives up.

use std::path::{Path, PathBuf};

use anyhow::anyhow;

use crate::{
    config::{Config, Problem},
    daemon::service,
    kernel::{
        self,
        probe::{self, Check},
    },
    privileges::{self, Limits, proof},
};

/// Where the Debian package has the daemon write.
const OF_THE_PACKAGE: [&str; 3] = ["/var/lib/brazier", "/var/cache/brazier", "/run/brazier"];

/// Limits this process, for good, and tries everything.
pub(super) fn checks(writable: &[PathBuf], config: Option<&Path>) -> anyhow::Result<Vec<Check>> {
    // Before anything is given up that reading it may take. What is not there yet, the daemon makes at its start.
    let of_config = config.map(dirs_of).transpose()?;
    // What the daemon does while it still can.
    kernel::mount_tracefs_if_missing();
    kernel::keep_statistics();
    let there = |dirs: Vec<PathBuf>| dirs.into_iter().filter(|path| path.is_dir()).collect();
    let writable: Vec<PathBuf> = match (writable, of_config) {
        (_, Some(dirs)) => there(dirs),
        ([], None) => there(OF_THE_PACKAGE.map(PathBuf::from).into()),
        (given, None) => given.to_vec(),
    };
    let report = privileges::limit(&Limits { writable: writable.clone() })?;
    let mut checks = probe::checks();
    checks.extend(proof::checks(&report, &writable));
    Ok(checks)
}

/// Where a daemon with this configuration writes.
fn dirs_of(config: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let list =
        |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let config = Config::load(config).map_err(|problems| anyhow!("{}", list(problems)))?;
    Ok(service::written_dirs(&config))
}

//! The same host, seen by a process that gave up what the daemon gives up.

use std::path::{Path, PathBuf};

use crate::{
    kernel::{
        self,
        probe::{self, Check},
    },
    privileges::{self, Limits, proof},
};

/// Where the Debian package has the daemon write.
const OF_THE_PACKAGE: [&str; 3] = ["/var/lib/brazier", "/var/cache/brazier", "/run/brazier"];

/// Limits this process, for good, and tries everything.
pub(super) fn checks(writable: &[PathBuf]) -> anyhow::Result<Vec<Check>> {
    // What the daemon does while it still can.
    kernel::mount_tracefs_if_missing();
    kernel::keep_statistics();
    let writable = match writable {
        [] => OF_THE_PACKAGE.iter().map(PathBuf::from).filter(|path| Path::is_dir(path)).collect(),
        given => given.to_vec(),
    };
    let report = privileges::limit(&Limits { writable: writable.clone() })?;
    let mut checks = probe::checks();
    checks.extend(proof::checks(&report, &writable));
    Ok(checks)
}

//! A control group of version 2 that goes when its guard goes.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::{paths, wait};

/// A tree of groups.
pub struct ControlGroup {
    path: PathBuf,
    nested: Vec<PathBuf>,
    _mounted: Option<Mount>,
}

/// A hierarchy that was not mounted before.
struct Mount(TempDir);

impl ControlGroup {
    /// Makes an empty group.
    ///
    /// # Errors
    /// If there is no version 2 hierarchy and none can be mounted.
    pub fn create(name: &str) -> Result<Self> {
        let (root, mounted) = match mount_point()? {
            Some(root) => (root, None),
            None => {
                let mount = Mount::new()?;
                (mount.0.path().to_owned(), Some(mount))
            }
        };
        let path = root.join(format!("brazier-test-{}-{name}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot create control group {}", path.display()))?;
        Ok(Self { path, nested: Vec::new(), _mounted: mounted })
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a group below it, `a` or `a/b`.
    ///
    /// # Errors
    /// If it is not made.
    pub fn create_below(&mut self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir(&path).with_context(|| format!("cannot create control group {}", path.display()))?;
        self.nested.push(path.clone());
        Ok(path)
    }
}

/// A command that runs `program` inside a group from its first instruction.
///
/// # Errors
/// If the shell that does it is missing.
pub fn command_in(group: &Path, program: &Path) -> Result<Command> {
    let mut command = Command::new(paths::find("sh", "dash")?);
    command.args(["-c", "echo $$ >\"$0\" && exec \"$@\""]).arg(group.join("cgroup.procs")).arg(program);
    Ok(command)
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        for path in self.nested.iter().rev().chain([&self.path]) {
            // A process that has just ended still counts as a member for a moment.
            let removed = wait::until("a control group is empty", Duration::from_secs(2), || {
                match fs::remove_dir(path) {
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(None),
                    other => Ok(Some(other)),
                }
            });
            drop(removed);
        }
    }
}

impl Mount {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir().context("cannot create a mount point")?;
        let status = Command::new("mount").args(["-t", "cgroup2", "none"]).arg(dir.path()).status();
        ensure!(status.context("cannot start mount")?.success(), "cannot mount a cgroup2 hierarchy");
        Ok(Self(dir))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(self.0.path()).status());
    }
}

fn mount_point() -> Result<Option<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read mounts")?;
    for line in mounts.lines() {
        let mut fields = line.split(' ');
        if let (Some(_), Some(path), Some("cgroup2")) = (fields.next(), fields.next(), fields.next()) {
            if path.contains('\\') {
                bail!("the mount point {path} has an odd name");
            }
            return Ok(Some(path.into()));
        }
    }
    Ok(None)
}

//! A small file system that can be filled.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::paths;

/// It goes with its guard.
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// A tmpfs at a directory: `64m`.
    ///
    /// # Errors
    /// If it cannot be mounted.
    pub fn mount(path: &Path, size: &str) -> Result<Self> {
        fs::create_dir_all(path).context("cannot create a mount point")?;
        let mut mount = Command::new(paths::find("mount", "mount")?);
        let status = mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(path).status();
        ensure!(status.context("cannot start mount")?.success(), "cannot mount a tmpfs");
        Ok(Self { path: path.to_owned() })
    }

    /// Leaves no room on it.
    ///
    /// # Errors
    /// If the file that takes it cannot be made.
    pub fn fill(&self) -> Result<()> {
        let mut file = File::create(self.ballast()).context("cannot create a file to fill the disk with")?;
        // Until it is full; the last write takes what is left.
        for n_bytes in [1 << 20, 4096, 1] {
            let block = vec![0; n_bytes];
            while file.write_all(&block).is_ok() {}
        }
        Ok(())
    }

    /// Makes room again.
    ///
    /// # Errors
    /// If it was not full.
    pub fn free(&self) -> Result<()> {
        fs::remove_file(self.ballast()).context("cannot free the disk")
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: whatever the test still holds open goes with it.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}

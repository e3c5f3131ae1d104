//! Debian's kernel images: the newest of a series, fetched once.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::shell::{Workspace, output, run};

/// A kernel series that the agent must work on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kernel {
    /// The oldest one supported.
    V6_1,
    V6_12,
}

impl Kernel {
    /// Package names of the series start and end like this; what stands between is the version.
    fn affixes(self) -> (&'static str, &'static str) {
        match self {
            Self::V6_1 => ("linux-image-6.1.0-", "-cloud-amd64"),
            Self::V6_12 => ("linux-image-6.12.", "+deb12-cloud-amd64"),
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        })
    }
}

pub(crate) struct Image {
    pub(crate) package: String,
    pub(crate) path: PathBuf,
}

/// The newest image that Debian offers; without package lists, the newest one fetched before.
pub(crate) fn fetch(workspace: &Workspace, kernel: Kernel) -> Result<Image> {
    let dir = workspace.cache.join("kernels");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create `{}`", dir.display()))?;
    let (prefix, _) = kernel.affixes();
    let offered = output(Command::new("apt-cache").args(["pkgnames", prefix])).unwrap_or_default();
    if let Some(package) = newest(kernel, offered.lines()) {
        let path = dir.join(format!("{package}.vmlinuz"));
        if !path.is_file() {
            download(&dir, &package, &path)?;
        }
        return Ok(Image { package, path });
    }
    let files: Vec<String> = fs::read_dir(&dir)
        .with_context(|| format!("cannot list `{}`", dir.display()))?
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".vmlinuz")?.to_owned()))
        .collect();
    match newest(kernel, files.iter().map(String::as_str)) {
        Some(package) => Ok(Image { path: dir.join(format!("{package}.vmlinuz")), package }),
        None => bail!("no Debian kernel {kernel} on offer: run `apt-get update`"),
    }
}

fn newest<'a>(kernel: Kernel, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let (prefix, suffix) = kernel.affixes();
    names
        .filter_map(|name| {
            let version = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
            Some((version.parse::<u32>().ok()?, name))
        })
        .max()
        .map(|(_, name)| name.to_owned())
}

/// Of some 100 MB unpacked, only the image is kept.
fn download(dir: &Path, package: &str, image: &Path) -> Result<()> {
    let unpacked = tempfile::tempdir_in(dir).context("cannot create a directory to unpack into")?;
    // As root apt would drop to a user who cannot write here, and warn about it.
    run(Command::new("apt-get")
        .args(["-q", "-o", "APT::Sandbox::User=root", "download", package])
        .current_dir(&unpacked))?;
    let deb = entry_starting_with(unpacked.path(), package)?;
    run(Command::new("dpkg-deb").arg("-x").arg(deb).arg(unpacked.path()))?;
    let found = entry_starting_with(&unpacked.path().join("boot"), "vmlinuz-")?;
    fs::rename(&found, image).with_context(|| format!("cannot keep `{}`", found.display()))
}

fn entry_starting_with(dir: &Path, start: &str) -> Result<PathBuf> {
    fs::read_dir(dir)
        .with_context(|| format!("cannot list `{}`", dir.display()))?
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with(start))
        .map(|entry| entry.path())
        .with_context(|| format!("no `{start}*` in `{}`", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_image_is_found_by_number_and_unsigned_ones_are_left() {
        let offered = [
            "linux-image-6.12.9+deb12-cloud-amd64",
            "linux-image-6.12.117+deb12-cloud-amd64",
            "linux-image-6.12.200+deb12-cloud-amd64-unsigned",
            "linux-image-6.12.300+deb12-amd64",
            "linux-image-6.1.0-56-cloud-amd64",
        ];
        let found = [Kernel::V6_1, Kernel::V6_12].map(|kernel| newest(kernel, offered.into_iter()));
        let expected = ["linux-image-6.1.0-56-cloud-amd64", "linux-image-6.12.117+deb12-cloud-amd64"];
        assert_eq!(found, expected.map(|name| Some(name.to_owned())));
    }

    #[test]
    fn nothing_on_offer_gives_nothing() {
        assert_eq!(newest(Kernel::V6_1, std::iter::empty()), None);
    }
}

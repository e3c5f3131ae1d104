//! The tree that dpkg-deb packs: files where they will be, and what dpkg is to know of them.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::Contents;
use crate::shell::{output, run};

const PROGRAM: &str = "usr/bin/brazier-agent";
const CONFIGURATION: &str = "etc/brazier/agent.toml";
const DOCUMENTATION: &str = "usr/share/doc/brazier-agent";

/// Files of packaging/, and where they go.
const FILES: [(&str, &str); 4] = [
    ("brazier-agent.service", "lib/systemd/system/brazier-agent.service"),
    ("agent.toml", CONFIGURATION),
    ("copyright", "usr/share/doc/brazier-agent/copyright"),
    ("brazier-agent.1", "usr/share/man/man1/brazier-agent.1"),
];

/// What the unit runs before and after the agent.
const SETTINGS: (&str, &str) = ("settings", "usr/libexec/brazier-agent/settings");

/// What dpkg runs.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Fills `root`.
pub(super) fn lay_out(workspace: &Path, contents: &Contents<'_>, root: &Path) -> Result<()> {
    let packaging = workspace.join("packaging");
    let program = root.join(PROGRAM);
    copy(contents.agent, &program, 0o755)?;
    run(Command::new("strip").args(["--remove-section=.comment", "--remove-section=.note"]).arg(&program))?;
    for (name, to) in FILES {
        copy(&packaging.join(name), &root.join(to), 0o644)?;
    }
    copy(&packaging.join(SETTINGS.0), &root.join(SETTINGS.1), 0o755)?;
    let documentation = root.join(DOCUMENTATION);
    // Every key of the configuration.
    let example = workspace.join("docs/agent.toml");
    if example.is_file() {
        copy(&example, &documentation.join("examples/agent.toml"), 0o644)?;
    }
    write(&documentation.join("changelog"), &changelog(contents)?)?;
    compress(&documentation.join("changelog"))?;
    compress(&root.join("usr/share/man/man1/brazier-agent.1"))?;

    let control = root.join("DEBIAN");
    for name in SCRIPTS {
        copy(&packaging.join(name), &control.join(name), 0o755)?;
    }
    write(&control.join("conffiles"), &format!("/{CONFIGURATION}\n"))?;
    write(&control.join("md5sums"), &checksums(root)?)?;
    let depends = depends(root, &program)?;
    write(&control.join("control"), &fields(contents, &depends, size_kib(root)?))?;
    open_directories(root)
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    make_parent(to)?;
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).context("cannot set a mode")
}

fn write(path: &Path, text: &str) -> Result<()> {
    make_parent(path)?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).context("cannot set a mode")
}

fn make_parent(path: &Path) -> Result<()> {
    let parent = path.parent().context("a path without a directory")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    Ok(())
}

/// As they are everywhere, whatever the umask is.
fn open_directories(dir: &Path) -> Result<()> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).context("cannot set a mode")?;
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            open_directories(&path)?;
        }
    }
    Ok(())
}

fn compress(path: &Path) -> Result<()> {
    run(Command::new("gzip").args(["-9", "--no-name"]).arg(path))
}

fn changelog(contents: &Contents<'_>) -> Result<String> {
    let time = format!("@{}", contents.time_s);
    let date =
        output(Command::new("date").env("LC_ALL", "C").args(["--utc", "--rfc-email", "--date", &time]))?;
    Ok(format!(
        "brazier-agent ({}) unstable; urgency=medium\n\n  * See the history of the repository.\n\n -- {MAINTAINER}  {}\n",
        contents.version,
        date.trim()
    ))
}

const MAINTAINER: &str = "Brazier maintainers <maintainers@brazier.invalid>";

/// Shared libraries and the versions of them that have what the program asks for.
fn depends(root: &Path, program: &Path) -> Result<String> {
    // It asks for a source package, of which it reads nothing.
    let beside = root.parent().context("a directory")?.join("source");
    write(&beside.join("debian/control"), "Source: brazier\n\nPackage: brazier-agent\nArchitecture: any\n")?;
    let found = output(Command::new("dpkg-shlibdeps").current_dir(&beside).arg("-O").arg(program))?;
    let line = found.lines().find_map(|line| line.strip_prefix("shlibs:Depends="));
    Ok(line.context("dpkg-shlibdeps found no libraries")?.to_owned())
}

/// Every file, in one order, in kibibytes.
fn size_kib(root: &Path) -> Result<u64> {
    let sizes = files(root)?.into_iter().map(|path| Ok(fs::metadata(path)?.len().div_ceil(1024)));
    sizes.sum::<Result<u64>>().context("cannot tell the size")
}

fn checksums(root: &Path) -> Result<String> {
    let paths = files(root)?;
    let relative = paths.iter().map(|path| path.strip_prefix(root)).collect::<Result<Vec<_>, _>>()?;
    let relative =
        relative.into_iter().filter(|path| !path.starts_with("DEBIAN") && *path != Path::new(CONFIGURATION));
    output(Command::new("md5sum").current_dir(root).args(relative))
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}

fn fields(contents: &Contents<'_>, depends: &str, size_kib: u64) -> String {
    let Contents { version, architecture, .. } = contents;
    format!(
        "Package: brazier-agent\n\
         Version: {version}\n\
         Architecture: {architecture}\n\
         Maintainer: {MAINTAINER}\n\
         Installed-Size: {size_kib}\n\
         Depends: {depends}, adduser, init-system-helpers (>= 1.54)\n\
         Section: admin\n\
         Priority: optional\n\
         Description: profiling agent for proxies\n \
         Samples the stacks of nginx, HAProxy, Envoy, Pingora, Caddy, Node or workerd\n \
         from the kernel, with no restart and no recompiling, and names every frame.\n \
         The daemon watches a whole host and sends profiles to a receiver of\n \
         OpenTelemetry's or to Pyroscope. It has six capabilities and is not root.\n"
    )
}

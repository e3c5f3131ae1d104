//! What several behaviours need: target programs under way, and copies of them under names of their own.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};
use tests::{paths, process::Running};

/// Longer than any test: the guard ends a target.
const LIFE_S: &str = "60";

/// Starts one of the target programs, to run until its guard goes.
pub(crate) fn target(name: &str) -> Result<Running> {
    let running = Running::start(Command::new(paths::program(name)?).arg(LIFE_S))?;
    // Past its start: what is measured is its loop.
    std::thread::sleep(Duration::from_millis(100));
    Ok(running)
}

/// A copy of a target program under a name that no process of this host has.
pub(crate) fn copy(program: &str, dir: &Path, name: &str) -> Result<PathBuf> {
    let path = dir.join(name);
    fs::copy(paths::program(program)?, &path).with_context(|| format!("cannot copy {program}"))?;
    Ok(path)
}

/// The build ID of a file, as readelf says it.
pub(crate) fn build_id(file: &Path) -> Result<String> {
    let output = Command::new(paths::find("readelf", "binutils")?).arg("-n").arg(file).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let id = text.lines().find_map(|line| line.trim().strip_prefix("Build ID: "));
    Ok(id.with_context(|| format!("no build ID in {text}"))?.to_owned())
}

/// The agent as a user without any privilege, copied to where that user can execute it.
pub(crate) fn unprivileged_agent(dir: &Path) -> Result<Command> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    let agent = dir.join("agent");
    fs::copy(paths::agent()?, &agent)?;
    let mut command = Command::new(paths::find("setpriv", "util-linux")?);
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&agent);
    Ok(command)
}

/// A process name with this test run in it.
pub(crate) fn own_name(prefix: &str) -> String {
    format!("{prefix}{}", std::process::id())
}

pub(crate) fn args(texts: &[&str]) -> Vec<OsString> {
    texts.iter().map(OsString::from).collect()
}

pub(crate) fn pid_args(pid: u32, others: &[&str]) -> Vec<OsString> {
    let mut all = args(&["--pid", &pid.to_string()]);
    all.extend(args(others));
    all
}

/// `-- PROGRAM ARGS` after options.
pub(crate) fn command_args(options: &[&str], program: &Path, arguments: &[&str]) -> Vec<OsString> {
    let mut all = args(options);
    all.extend([OsString::from("--"), program.into()]);
    all.extend(args(arguments));
    all
}

/// Places in the executable memory of a process that differ from the files mapped there, as probes make them.
pub(crate) fn n_altered(pid: u32) -> Result<usize> {
    let memory = fs::File::open(format!("/proc/{pid}/mem"))?;
    let mut n_altered = 0;
    for line in fs::read_to_string(format!("/proc/{pid}/maps"))?.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [addresses, "r-xp", offset, _, _, path] = words[..] else { continue };
        let Ok(file) = fs::File::open(path) else { continue };
        let number = |text| u64::from_str_radix(text, 16).context("no address");
        let (start, end) = addresses.split_once('-').context("no addresses")?;
        let (start, end) = (number(start)?, number(end)?);
        let mut there = vec![0; usize::try_from(end - start)?];
        memory.read_exact_at(&mut there, start)?;
        let mut expected = vec![0; there.len()];
        let n_read = file.read_at(&mut expected, number(offset)?)?;
        n_altered += there[..n_read].iter().zip(&expected[..n_read]).filter(|(a, b)| a != b).count();
    }
    Ok(n_altered)
}

/// What the functions of `allocate` take in one round, in bytes, but for the one that lets what it has grow.
pub(crate) const TAKEN_IN_ROUND: [(&str, u64); 6] = [
    ("take_16", 32 << 20),
    ("take_1k", 64 << 20),
    ("take_64k", 128 << 20),
    ("take_16m", 256 << 20),
    ("zeroed_1k", 64 << 20),
    ("aligned_1k", 64 << 20),
];

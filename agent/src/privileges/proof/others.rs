//! Looking into a process of another user, tried.

use std::{fs, io, os::unix::fs::MetadataExt as _};

use crate::{
    object::file::open_mapped,
    procfs::{maps, root},
};

/// Processes looked at, at most: nearly always the first or second will do.
const MAX_TRIED: usize = 200;

/// What came of it.
pub(super) enum Found {
    /// All could be read, of this one.
    Read(String),
    /// No other user has a program running.
    None,
    /// Of none of them; this is the first refusal.
    Refused(String),
}

/// Reads mappings, a mapped file and the root directory of a process that is not ours.
pub(super) fn read_one() -> Found {
    // SAFETY: a call without arguments that cannot fail.
    let own = unsafe { libc::geteuid() };
    let mut first_refusal = None;
    for (pid, user) in processes().filter(|(_, user)| *user != own).take(MAX_TRIED) {
        match read(pid) {
            // A thread of the kernel, or a process that has gone.
            Ok(None) => {}
            Ok(Some(path)) => {
                return Found::Read(format!(
                    "process {pid} of user {user}: mappings, root directory and {path} opened"
                ));
            }
            Err(error) => {
                first_refusal.get_or_insert_with(|| format!("process {pid} of user {user}: {error}"));
            }
        }
    }
    first_refusal.map_or(Found::None, Found::Refused)
}

fn processes() -> impl Iterator<Item = (u32, u32)> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, entry.metadata().ok()?.uid()))
    })
}

/// The path of a file that it has mapped; none if there is no such file.
fn read(pid: u32) -> Result<Option<String>, String> {
    let entries = match maps::read_executable(pid) {
        Ok(entries) => entries,
        Err(maps::MapsError::Read { source, .. } | maps::MapsError::Line { source, .. })
            if is_gone(&source) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(with_cause(&error)),
    };
    let mapped = entries.iter().filter(|entry| entry.is_file());
    let Some((entry, path)) = mapped.filter_map(|entry| Some((entry, entry.path.as_ref()?))).next() else {
        return Ok(None);
    };
    root::of_process(pid).map_err(|error| format!("/proc/{pid}/root: {error}"))?;
    let object =
        open_mapped(pid, entry.start, entry.end, path, entry.inode).map_err(|error| with_cause(&error))?;
    Ok(Some(object.path.display().to_string()))
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

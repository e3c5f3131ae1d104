//! A directory of pprof files, for those who have no receiver: bounded in bytes and in age.

use std::{
    fs::{self, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{Sending, Sink};
use crate::send::{
    batch::{Batch, Form, Signal},
    outcome::Outcome,
};

const PREFIX: &str = "brazier-";
const ENDING: &str = ".pb.gz";

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Of all files together.
    pub max_bytes: u64,
    /// Of each file, since it was written.
    pub max_age: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { max_bytes: 1 << 30, max_age: Duration::from_secs(7 * 24 * 3600) }
    }
}

/// A directory of pprof files. Only files with our names are counted and removed.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
    retention: Retention,
}

impl Directory {
    /// Writes nothing yet; the directory is made with the first file.
    #[must_use]
    pub fn new(path: PathBuf, retention: Retention) -> Self {
        Self { path, retention }
    }

    async fn deliver(&self, batch: &Batch) -> Outcome {
        // The key in the name: what is written twice is there once.
        let seconds = batch.start_unix_ns / 1_000_000_000;
        let name = format!("{PREFIX}{seconds}-{}{ENDING}", batch.key);
        let content = batch.part(Form::Pprof).unwrap_or_default().to_vec();
        let this = self.clone();
        let written = tokio::task::spawn_blocking(move || {
            write(&this.path, &name, &content)?;
            trim(&this.path, &name, this.retention, SystemTime::now())
        });
        let error = match written.await {
            Ok(Ok(())) => return Outcome::Delivered,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "given up as the agent ends".to_owned(),
        };
        Outcome::retry(format!("cannot write to {}: {error}", self.path.display()))
    }
}

impl Sink for Directory {
    fn form(&self, signal: Signal) -> Option<Form> {
        (signal == Signal::Profiles).then_some(Form::Pprof)
    }

    fn send<'a>(&'a mut self, batch: &'a Batch) -> Sending<'a> {
        Box::pin(self.deliver(batch))
    }
}

fn write(dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    // Like any file: the umask decides who may read it.
    let mut file = tempfile::Builder::new()
        .prefix(".brazier-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(dir)?;
    file.write_all(content)?;
    // The spool forgets it when this returns.
    file.as_file().sync_all()?;
    file.persist(dir.join(name)).map_err(|error| error.error)?;
    fs::File::open(dir)?.sync_all()
}

/// Removes what is too old, and the oldest until the rest fits; the newest file, of this name, stays.
fn trim(dir: &Path, newest: &str, retention: Retention, now: SystemTime) -> io::Result<()> {
    let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    let mut total_bytes = 0_u64;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // Gone meanwhile is fine.
        let Ok(metadata) = entry.metadata() else { continue };
        if !(metadata.is_file() && name.starts_with(PREFIX) && name.ends_with(ENDING)) {
            continue;
        }
        total_bytes = total_bytes.saturating_add(metadata.len());
        if name != newest {
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        }
    }
    files.sort();
    for (modified, bytes, path) in files {
        let age = now.duration_since(modified).unwrap_or_default();
        if age <= retention.max_age && total_bytes <= retention.max_bytes {
            break;
        }
        fs::remove_file(path)?;
        total_bytes = total_bytes.saturating_sub(bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_old_goes_and_then_the_oldest_and_what_is_not_ours_stays() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let now = SystemTime::now();
        let put = |name: &str, age_s: u64| {
            write(dir.path(), name, &[0; 100]).expect("written");
            let file = fs::File::options().append(true).open(dir.path().join(name)).expect("opens");
            file.set_modified(now - Duration::from_secs(age_s)).expect("changes its time");
        };
        for (name, age_s) in [("brazier-1.pb.gz", 100), ("brazier-2.pb.gz", 50), ("brazier-3.pb.gz", 40)] {
            put(name, age_s);
        }
        put("notes.txt", 1000);
        put("brazier-4.pb.gz", 0);
        let names = || {
            let entries = fs::read_dir(dir.path()).expect("lists");
            let mut names: Vec<_> = entries
                .map(|entry| entry.expect("lists").file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            names
        };
        let retention = Retention { max_bytes: 1000, max_age: Duration::from_secs(60) };
        trim(dir.path(), "brazier-4.pb.gz", retention, now).expect("trimmed");
        assert_eq!(names(), ["brazier-2.pb.gz", "brazier-3.pb.gz", "brazier-4.pb.gz", "notes.txt"]);
        let tight = Retention { max_bytes: 50, ..retention };
        trim(dir.path(), "brazier-4.pb.gz", tight, now).expect("trimmed");
        assert_eq!(names(), ["brazier-4.pb.gz", "notes.txt"]);
    }
}

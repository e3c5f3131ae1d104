//! The directory that all debuginfod clients of a user share: `BUILD_ID/debuginfo`, empty where no server has it.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use tempfile::NamedTempFile;

use super::Failure;
use crate::object::{BuildId, ObjectFile};

/// How long "no server has it" is believed: what the standard client does.
const ABSENT_FOR: Duration = Duration::from_secs(600);
const NAME: &str = "debuginfo";

/// The directory.
#[derive(Debug)]
pub(super) struct Cache {
    dir: PathBuf,
}

/// What the cache says of a build.
#[derive(Debug)]
pub(super) enum Cached {
    Found(Box<ObjectFile>),
    /// No server had it a short while ago.
    KnownAbsent,
    Unknown,
}

impl Cache {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// A file of another build is no file.
    pub(super) fn look_up(&self, build_id: &BuildId) -> Cached {
        let path = self.dir_of(build_id).join(NAME);
        let Ok(metadata) = fs::symlink_metadata(&path) else { return Cached::Unknown };
        if !metadata.is_file() {
            return Cached::Unknown;
        }
        if metadata.len() == 0 {
            let age = metadata.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
            return if age.is_some_and(|age| age < ABSENT_FOR) {
                Cached::KnownAbsent
            } else {
                Cached::Unknown
            };
        }
        match ObjectFile::open(&path) {
            Ok(object) if object.build_id.as_ref() == Some(build_id) => Cached::Found(Box::new(object)),
            _ => Cached::Unknown,
        }
    }

    /// A file to write to, which goes unless it is kept.
    pub(super) fn new_file(&self, build_id: &BuildId) -> Result<NamedTempFile, Failure> {
        let dir = self.dir_of(build_id);
        fs::create_dir_all(&dir)
            .and_then(|()| tempfile::Builder::new().prefix(".debuginfo.").tempfile_in(&dir))
            .map_err(|_| Failure::Cache)
    }

    /// Gives a file its place, if it is of the build that was asked for.
    pub(super) fn keep(&self, build_id: &BuildId, file: NamedTempFile) -> Result<ObjectFile, Failure> {
        let path = self.dir_of(build_id).join(NAME);
        let open = file.reopen().map_err(|_| Failure::Cache)?;
        let object = ObjectFile::from_file(open, path.clone()).map_err(|_| Failure::WrongBuild)?;
        if object.build_id.as_ref() != Some(build_id) {
            return Err(Failure::WrongBuild);
        }
        file.persist(path).map_err(|_| Failure::Cache)?;
        Ok(object)
    }

    /// Has nobody ask again for a while. If that cannot be written, they will.
    pub(super) fn remember_absent(&self, build_id: &BuildId) {
        if let Ok(file) = self.new_file(build_id) {
            let _unwritten = file.persist(self.dir_of(build_id).join(NAME));
        }
    }

    fn dir_of(&self, build_id: &BuildId) -> PathBuf {
        self.dir.join(build_id.to_string())
    }
}

//! Where the files are: a directory, or a bucket by its URL.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::TryStreamExt as _;
use object_store::{ObjectStore, ObjectStoreExt as _, local::LocalFileSystem, path::Path as ObjectPath};
use thiserror::Error;
use url::Url;

use super::{NamedFile, path::FilePath};

/// Why the store does not do what it should.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The address is none.
    #[error("cannot use the store {url}: it takes a directory, file://, s3://, gs://, az:// or https://")]
    Url {
        /// As it was given.
        url: String,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A directory cannot be used.
    #[error("cannot {what} {path}")]
    Directory {
        /// What was to be done.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It does not take, give or remove a file.
    #[error("cannot {what} {path}")]
    Object {
        /// What was to be done.
        what: &'static str,
        /// With which file.
        path: String,
        /// What it said.
        source: object_store::Error,
    },
}

/// Files by their names.
#[derive(Clone, Debug)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// Of all names.
    prefix: ObjectPath,
    /// As others find it: a URL.
    address: String,
    /// Where it is a directory.
    root: Option<PathBuf>,
}

impl Store {
    /// A directory, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be.
    pub fn directory(path: &Path) -> Result<Self, StoreError> {
        let error = |what| move |source| StoreError::Directory { what, path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(error("make"))?;
        let root = fs::canonicalize(path).map_err(error("find"))?;
        let objects = LocalFileSystem::new_with_prefix(&root).map_err(|source| StoreError::Object {
            what: "open",
            path: root.display().to_string(),
            source,
        })?;
        let address = format!("file://{}", root.display());
        Ok(Self { objects: Arc::new(objects), prefix: ObjectPath::default(), address, root: Some(root) })
    }

    /// By URL, or a directory by its path. What else a bucket takes (keys, region, endpoint) stands in the environment, under
    /// the names that its own tools have for it (`AWS_...`, `GOOGLE_...`, `AZURE_...`).
    ///
    /// # Errors
    /// If it is none that is known.
    pub fn open(
        address: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, StoreError> {
        let Ok(url) = Url::parse(address) else { return Self::directory(Path::new(address)) };
        if url.scheme() == "file" {
            let bad = || StoreError::Url { url: address.to_owned(), source: "it names another host".into() };
            return Self::directory(&url.to_file_path().map_err(|()| bad())?);
        }
        let options = environment.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
        let (objects, prefix) = object_store::parse_url_opts(&url, options)
            .map_err(|source| StoreError::Url { url: address.to_owned(), source: Box::new(source) })?;
        Ok(Self { objects: Arc::from(objects), prefix, address: address.to_owned(), root: None })
    }

    /// Where it reads and writes, and the beginning of all its names there.
    #[must_use]
    pub fn objects(&self) -> (Arc<dyn ObjectStore>, ObjectPath) {
        (Arc::clone(&self.objects), self.prefix.clone())
    }

    /// Its URL: that of a directory is its whole path.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Puts files, in their order, each whole or not at all. They are there after a crash when this returns.
    ///
    /// # Errors
    /// If one cannot be put; those before it are there.
    pub async fn put(&self, files: Vec<NamedFile>) -> Result<(), StoreError> {
        let mut paths = Vec::with_capacity(files.len());
        for file in files {
            let path = file.path.to_string();
            let put = self.objects.put(&self.place(&path), file.bytes.into()).await;
            put.map_err(|source| StoreError::Object { what: "put", path: path.clone(), source })?;
            paths.push(path);
        }
        self.sync(&paths)
    }

    /// All files that have names of ours, and their sizes.
    ///
    /// # Errors
    /// If it cannot be listed.
    pub async fn list(&self) -> Result<Vec<(FilePath, u64)>, StoreError> {
        let error = |source| StoreError::Object { what: "list", path: self.prefix.to_string(), source };
        let objects: Vec<_> = self.objects.list(Some(&self.prefix)).try_collect().await.map_err(error)?;
        let named = |object: object_store::ObjectMeta| {
            let below = object.location.prefix_match(&self.prefix)?;
            let path: Vec<String> = below.map(|part| part.as_ref().to_owned()).collect();
            Some((FilePath::parse(&path.join("/"))?, object.size))
        };
        Ok(objects.into_iter().filter_map(named).collect())
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// If it is not there.
    pub async fn get(&self, path: &FilePath) -> Result<bytes::Bytes, StoreError> {
        let path = path.to_string();
        let error = |source| StoreError::Object { what: "get", path: path.clone(), source };
        self.objects.get(&self.place(&path)).await.map_err(error)?.bytes().await.map_err(error)
    }

    /// Removes a file; it was not there is no error.
    ///
    /// # Errors
    /// If it stays.
    pub async fn remove(&self, path: &FilePath) -> Result<(), StoreError> {
        let path = path.to_string();
        match self.objects.delete(&self.place(&path)).await {
            Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
            Err(source) => Err(StoreError::Object { what: "remove", path, source }),
        }
    }

    /// Takes a file that cannot be read out of the way, for somebody to look at: it goes below `damaged/`.
    ///
    /// # Errors
    /// If it stays.
    pub async fn set_aside(&self, path: &FilePath) -> Result<(), StoreError> {
        let path = path.to_string();
        let to = self.place(&format!("damaged/{path}"));
        let moved = self.objects.rename(&self.place(&path), &to).await;
        moved.map_err(|source| StoreError::Object { what: "set aside", path, source })
    }

    /// Removes what a crash of this collector has left of files that were being written. Only a directory has such.
    ///
    /// # Errors
    /// If a directory cannot be read.
    pub fn sweep(&self, collector: &str) -> Result<(), StoreError> {
        let Some(root) = &self.root else { return Ok(()) };
        let mut directories = vec![root.clone()];
        while let Some(directory) = directories.pop() {
            let error = |source| StoreError::Directory { what: "list", path: directory.clone(), source };
            for entry in fs::read_dir(&directory).map_err(error)? {
                let entry = entry.map_err(error)?;
                // `NAME.parquet#1` is what becomes `NAME.parquet`.
                let name = entry.file_name().to_string_lossy().into_owned();
                if entry.file_type().map_err(error)?.is_dir() {
                    directories.push(entry.path());
                } else if name.starts_with(collector) && name.contains(".parquet#") {
                    fs::remove_file(entry.path()).map_err(error)?;
                }
            }
        }
        Ok(())
    }

    fn place(&self, path: &str) -> ObjectPath {
        path.split('/').fold(self.prefix.clone(), |place, part| place.join(part))
    }

    /// A directory keeps names and contents only when it is told to.
    fn sync(&self, paths: &[String]) -> Result<(), StoreError> {
        let Some(root) = &self.root else { return Ok(()) };
        let sync = |path: &Path| {
            let synced = File::open(path).and_then(|file| file.sync_all());
            synced.map_err(|source| StoreError::Directory { what: "sync", path: path.to_owned(), source })
        };
        let mut directories = std::collections::BTreeSet::new();
        for path in paths {
            let path = root.join(path);
            sync(&path)?;
            let above = path.ancestors().skip(1).take_while(|it| it.starts_with(root));
            directories.extend(above.map(Path::to_owned));
        }
        directories.iter().rev().try_for_each(|path| sync(path))
    }
}

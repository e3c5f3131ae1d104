//! Which directory the cache of unwind tables is, by arguments and environment.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::{
    args::TableCacheArgs,
    table_cache::{LIMIT_BYTES, TableCache},
};

/// Where the cache is when nothing says otherwise and there is no directory for caches.
const SYSTEM: &str = "/var/cache";

/// The cache, or why there is none though nobody said that there should be none.
///
/// # Errors
/// If the directory that was asked for cannot be used.
pub(super) fn open(args: &TableCacheArgs) -> anyhow::Result<Result<Option<TableCache>, String>> {
    if args.no_table_cache {
        return Ok(Ok(None));
    }
    if let Some(path) = &args.table_cache {
        return Ok(Ok(Some(TableCache::open(path, LIMIT_BYTES)?)));
    }
    let path = default_path(std::env::var_os("XDG_CACHE_HOME"));
    Ok(match TableCache::open(&path, LIMIT_BYTES) {
        Ok(cache) => Ok(Some(cache)),
        Err(error) => Err(super::causes(&error.into())),
    })
}

fn default_path(xdg_cache_home: Option<OsString>) -> PathBuf {
    // A path that is not absolute is to be ignored, says the XDG base directory specification.
    let home = xdg_cache_home.map(PathBuf::from).filter(|path| path.is_absolute());
    home.as_deref().unwrap_or(Path::new(SYSTEM)).join("brazier/unwind")
}

#[cfg(test)]
mod tests {
    use super::default_path;

    #[test]
    fn the_directory_for_caches_is_used_if_it_is_a_whole_path() {
        let seen = [Some("/home/x/.cache"), Some("cache"), Some(""), None]
            .map(|home| default_path(home.map(Into::into)).display().to_string());
        let system = "/var/cache/brazier/unwind";
        assert_eq!(seen, ["/home/x/.cache/brazier/unwind", system, system, system]);
    }
}

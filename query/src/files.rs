//! Which files a question reads: by tenant, by hour or day, and by the rule of compaction.

use std::collections::HashMap;

use futures::{StreamExt as _, TryStreamExt as _};
use layout::path::{self, FilePath, Period, Table};
use object_store::{ObjectMeta, ObjectStore, path::Path};

use crate::{error::Error, range::TimeRange};

/// Days that are listed one by one; for more, all that a tenant has is.
const MAX_LISTED_DAYS: usize = 40;
/// Directories that are listed at once.
const N_LISTED_AT_ONCE: usize = 8;

/// The files of a tenant's table that may hold rows of a time.
pub(crate) async fn files(
    store: &dyn ObjectStore,
    prefix: &Path,
    table: Table,
    tenant: &str,
    range: TimeRange,
    max_files: usize,
) -> Result<Vec<ObjectMeta>, Error> {
    let directories = match Period::days(range.from_unix_ns, range.until_unix_ns, MAX_LISTED_DAYS) {
        Some(days) => days.into_iter().map(|day| path::directory(table, tenant, Some(day))).collect(),
        None => vec![path::directory(table, tenant, None)],
    };
    let listed = futures::stream::iter(directories).map(|directory| {
        let place = directory.split('/').fold(prefix.clone(), |place, part| place.join(part));
        async move { store.list(Some(&place)).try_collect::<Vec<_>>().await }
    });
    let listed: Vec<Vec<ObjectMeta>> = listed.buffered(N_LISTED_AT_ONCE).try_collect().await?;
    let of_us = |object: ObjectMeta| {
        let below: Vec<String> =
            object.location.prefix_match(prefix)?.map(|part| part.as_ref().to_owned()).collect();
        let path = FilePath::parse(&below.join("/"))?;
        let is_asked_for = path.table == table
            && path.tenant == tenant
            && path.period.overlaps(range.from_unix_ns, range.until_unix_ns);
        is_asked_for.then_some((path, object))
    };
    let mut objects: HashMap<FilePath, ObjectMeta> = listed.into_iter().flatten().filter_map(of_us).collect();
    let visible = path::visible(objects.keys().cloned().collect());
    if visible.len() > max_files {
        let what = format!("{} files, and {max_files} may be read", visible.len());
        return Err(Error::TooMuch { what });
    }
    Ok(visible.iter().filter_map(|path| objects.remove(path)).collect())
}

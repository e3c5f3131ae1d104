//! After an answer has failed: which of its files are gone, and which are not what they should be.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use layout::Table;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Files whose ends are looked at at once.
const N_ENDS_AT_ONCE: usize = 16;
/// Files of which everything is: each is in memory.
const N_AT_ONCE: usize = 2;
/// How long the footer is, and what every file ends with.
const END_BYTES: u64 = 8;
const MAGIC: &[u8] = b"PAR1";

/// What was found of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// It is what it should be, or nobody can say now.
    Whole,
    /// Others have merged or removed it.
    Gone,
    /// It cannot be read.
    Bad(String),
}

/// Tells of each file that is not there as it should be. The ends of all files first, which costs little; every row only if these are
/// as they should be.
pub(crate) async fn review(
    store: &Arc<dyn ObjectStore>,
    files: Vec<(Table, ObjectMeta)>,
    mut tell: impl FnMut(ObjectMeta, Finding) + Send,
) {
    let mut is_told = false;
    let ends = files.clone().into_iter().map(|(_, file)| async move {
        let finding = end(store.as_ref(), &file).await;
        (file, finding)
    });
    let mut ends = futures::stream::iter(ends).buffer_unordered(N_ENDS_AT_ONCE);
    while let Some((file, finding)) = ends.next().await {
        if finding != Finding::Whole {
            is_told = true;
            tell(file, finding);
        }
    }
    drop(ends);
    if is_told {
        return;
    }
    let all = files.into_iter().map(|(table, file)| async move {
        let finding = rows(store.as_ref(), table, &file).await;
        (file, finding)
    });
    let mut all = futures::stream::iter(all).buffer_unordered(N_AT_ONCE);
    while let Some((file, finding)) = all.next().await {
        if finding != Finding::Whole {
            tell(file, finding);
        }
    }
}

async fn end(store: &dyn ObjectStore, file: &ObjectMeta) -> Finding {
    let bad = || Finding::Bad("it does not end as a file of Parquet".to_owned());
    if file.size < END_BYTES {
        return bad();
    }
    let options = GetOptions { range: Some(GetRange::Suffix(END_BYTES)), ..GetOptions::default() };
    match bytes(store.get_opts(&file.location, options).await).await {
        Ok(end) if end.ends_with(MAGIC) => Finding::Whole,
        Ok(_) => bad(),
        Err(finding) => finding,
    }
}

async fn rows(store: &dyn ObjectStore, table: Table, file: &ObjectMeta) -> Finding {
    let bytes = match bytes(store.get(&file.location).await).await {
        Ok(bytes) => bytes,
        Err(finding) => return finding,
    };
    // What is bent far enough may make a reader panic.
    match tokio::task::spawn_blocking(move || read(table, bytes)).await {
        Ok(Ok(())) => Finding::Whole,
        Ok(Err(what)) => Finding::Bad(what),
        Err(_) => Finding::Bad("the reader fails on it".to_owned()),
    }
}

async fn bytes(got: object_store::Result<object_store::GetResult>) -> Result<Bytes, Finding> {
    let bytes = match got {
        Ok(got) => got.bytes().await,
        Err(error) => Err(error),
    };
    bytes.map_err(|error| match error {
        object_store::Error::NotFound { .. } => Finding::Gone,
        _ => Finding::Whole,
    })
}

fn read(table: Table, bytes: Bytes) -> Result<(), String> {
    let error = |error: &dyn std::fmt::Display| crate::error::one_line(&error.to_string());
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|it| error(&it))?;
    let wanted = layout::schema(table);
    for field in wanted.fields() {
        let found = reader.schema().field_with_name(field.name()).map_err(|it| error(&it))?;
        if found.data_type() != field.data_type() {
            return Err(format!("column {} is {}", field.name(), found.data_type()));
        }
    }
    for batch in reader.build().map_err(|it| error(&it))? {
        batch.map_err(|it| error(&it))?;
    }
    Ok(())
}

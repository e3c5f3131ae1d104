//! Files as a table of DataFusion, with the columns that the collector writes.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use async_trait::async_trait;
use chrono::DateTime;
use datafusion::{
    catalog::{Session, TableProvider},
    config::TableParquetOptions,
    datasource::{
        TableType,
        listing::PartitionedFile,
        physical_plan::{
            FileGroup, FileScanConfigBuilder, ParquetSource, parquet::CachedParquetFileReaderFactory,
        },
        source::DataSourceExec,
    },
    error::Result,
    execution::object_store::ObjectStoreUrl,
    logical_expr::{Expr, TableProviderFilterPushDown},
    physical_plan::{ExecutionPlan, empty::EmptyExec},
};
use object_store::{ObjectMeta, path::Path};
use serde::{Deserialize, Serialize};

/// Files of one table, of one tenant.
#[derive(Debug)]
pub(crate) struct FileTable {
    schema: SchemaRef,
    store: ObjectStoreUrl,
    files: Vec<ObjectMeta>,
}

/// A table as it goes to another process: what its files are called, and by what a reader sees that they are the same.
#[derive(Deserialize, Serialize)]
struct Written {
    store: String,
    /// Path, bytes, and when it was last written, in nanoseconds since the Unix epoch.
    files: Vec<(String, u64, i64)>,
}

impl FileTable {
    pub(crate) const fn new(schema: SchemaRef, store: ObjectStoreUrl, files: Vec<ObjectMeta>) -> Self {
        Self { schema, store, files }
    }

    pub(crate) fn to_bytes(&self) -> Option<Vec<u8>> {
        let file = |it: &ObjectMeta| {
            let written_unix_ns = it.last_modified.timestamp_nanos_opt().unwrap_or_default();
            (it.location.to_string(), it.size, written_unix_ns)
        };
        let store = self.store.as_str().to_owned();
        serde_json::to_vec(&Written { store, files: self.files.iter().map(file).collect() }).ok()
    }

    pub(crate) fn of_bytes(bytes: &[u8], schema: SchemaRef) -> Option<Self> {
        let Written { store, files } = serde_json::from_slice(bytes).ok()?;
        let file = |(path, size, written_unix_ns): (String, u64, i64)| {
            Some(ObjectMeta {
                location: Path::parse(path).ok()?,
                last_modified: DateTime::from_timestamp_nanos(written_unix_ns),
                size,
                e_tag: None,
                version: None,
            })
        };
        let files = files.into_iter().map(file).collect::<Option<_>>()?;
        Some(Self::new(schema, ObjectStoreUrl::parse(store).ok()?, files))
    }
}

#[async_trait]
impl TableProvider for FileTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Statistics exclude row groups and pages; what is left is filtered row by row.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if self.files.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.schema.project(columns)?),
                None => self.schema(),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let runtime = state.runtime_env();
        let options = TableParquetOptions {
            global: state.config_options().execution.parquet.clone(),
            ..TableParquetOptions::default()
        };
        let mut source = ParquetSource::new(self.schema()).with_table_parquet_options(options);
        // Who only plans for others has no store.
        if let Ok(store) = runtime.object_store(&self.store) {
            // Footers are read once, not once for each question.
            let cache = runtime.cache_manager.get_file_metadata_cache();
            let reader = CachedParquetFileReaderFactory::new(store, cache);
            source = source.with_parquet_file_reader_factory(Arc::new(reader));
        }
        let files = self.files.iter().cloned().map(PartitionedFile::new_from_meta).collect();
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let config = FileScanConfigBuilder::new(self.store.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

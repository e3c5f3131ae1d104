//! Columns as a Parquet file.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{
        metadata::SortingColumn,
        properties::{EnabledStatistics, WriterProperties, WriterVersion},
    },
    schema::types::ColumnPath,
};
use thiserror::Error;

use super::path::Table;

/// Rows that are read or left as one: large enough that columns compress, small enough that a service has its own.
const ROW_GROUP_ROWS: usize = 262_144;
/// Rows of a page, which statistics can exclude.
const PAGE_ROWS: usize = 20_000;
/// Where more would cost more time than it saves bytes.
const ZSTD_LEVEL: i32 = 3;
/// Of those that a bloom filter says to be there, at most.
const FALSE_POSITIVES: f64 = 0.01;
/// Stacks of 1,024 frames make large dictionaries; beyond it, a column is written without one.
const DICTIONARY_BYTES: usize = 4 << 20;

/// Why there is no file.
#[derive(Debug, Error)]
pub enum FileError {
    /// The columns do not fit together.
    #[error("cannot make the columns of a file")]
    Columns(#[from] arrow_schema::ArrowError),
    /// The writer failed.
    #[error("cannot write a file of Parquet")]
    Write(#[from] ParquetError),
}

/// The bytes of the file.
pub(super) fn bytes(table: Table, rows: &RecordBatch) -> Result<Vec<u8>, FileError> {
    let mut writer = writer(table, &rows.schema(), rows.num_rows())?;
    writer.write(rows)?;
    Ok(writer.into_inner()?)
}

/// Begins a file of so many rows, or of a little fewer.
pub(super) fn writer(
    table: Table,
    schema: &SchemaRef,
    n_rows: usize,
) -> Result<ArrowWriter<Vec<u8>>, FileError> {
    Ok(ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties(table, schema, n_rows)?))?)
}

fn properties(table: Table, schema: &SchemaRef, n_rows: usize) -> Result<WriterProperties, FileError> {
    let (sorted, looked_up): (&[&str], &[&str]) = match table {
        Table::Samples => (&["tenant", "service", "type", "unit", "host", "labels"], &["batch"]),
        Table::Stacks => (&["stack"], &["stack"]),
        Table::Frames => (&["frame"], &["frame", "function"]),
        Table::Metrics => (&["tenant", "service", "name", "unit", "host", "labels"], &["batch"]),
    };
    let place = |name: &&str| i32::try_from(schema.index_of(name).ok()?).ok();
    let sorting = sorted.iter().filter_map(place);
    let sorting =
        sorting.map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: false });
    let n_distinct = u64::try_from(n_rows.min(ROW_GROUP_ROWS)).unwrap_or(1).max(1);
    let mut builder = WriterProperties::builder()
        // Version 1 has no dictionaries for identities, which are most of what is stored.
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_created_by(concat!("brazier collector ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns(Some(sorting.collect()));
    for name in looked_up {
        let column = ColumnPath::from(*name);
        builder = builder
            .set_column_bloom_filter_enabled(column.clone(), true)
            .set_column_bloom_filter_fpp(column.clone(), FALSE_POSITIVES)
            .set_column_bloom_filter_max_ndv(column, n_distinct);
    }
    Ok(builder.build())
}

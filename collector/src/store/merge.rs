//! Several files of one directory as one: sorted as each of them was, and what must be there once is there once. Pure.

use arrow_array::{Array as _, ArrayRef, BooleanArray, RecordBatch, cast::AsArray as _};
use arrow_ord::sort::{SortColumn, lexsort_to_indices};
use arrow_select::{concat::concat_batches, filter::filter_record_batch, take::take_record_batch};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{
    file::{self, FileError},
    path::Table,
};

/// The bytes of the one file, and how many rows it has.
///
/// # Errors
/// If one of them is no file of Parquet, or of another table.
pub fn merged(table: Table, files: &[Bytes]) -> Result<(Vec<u8>, usize), FileError> {
    let mut batches = Vec::new();
    for bytes in files {
        for batch in ParquetRecordBatchReaderBuilder::try_new(bytes.clone())?.build()? {
            batches.push(batch?);
        }
    }
    let Some(first) = batches.first() else { return Ok((Vec::new(), 0)) };
    let rows = concat_batches(&first.schema(), &batches)?;
    drop(batches);
    let sorted = sorted(table, &rows)?;
    let rows = match table {
        Table::Samples | Table::Metrics => sorted,
        Table::Stacks | Table::Frames => once(table, &sorted)?,
    };
    Ok((file::bytes(table, &rows)?, rows.num_rows()))
}

/// Columns in whose order the rows of a file are.
const fn order(table: Table) -> &'static [&'static str] {
    match table {
        Table::Samples => &[
            "service",
            "type",
            "unit",
            "host",
            "labels",
            "period_type",
            "period_unit",
            "period",
            "time",
            "sample_labels",
            "stack",
            "batch",
            "value",
        ],
        Table::Metrics => &["service", "name", "unit", "host", "labels", "time", "batch", "start", "value"],
        Table::Stacks => &["stack"],
        Table::Frames => &["frame"],
    }
}

fn sorted(table: Table, rows: &RecordBatch) -> Result<RecordBatch, FileError> {
    let column = |name: &&str| rows.column_by_name(name).cloned();
    let columns = order(table).iter().filter_map(column).map(|values| SortColumn { values, options: None });
    let columns: Vec<SortColumn> = columns.collect();
    Ok(take_record_batch(rows, &lexsort_to_indices(&columns, None)?)?)
}

/// Of rows with the same identity, which are beside each other, the first.
fn once(table: Table, rows: &RecordBatch) -> Result<RecordBatch, FileError> {
    let Some(ids) = order(table).first().and_then(|name| rows.column_by_name(name)) else {
        return Ok(rows.clone());
    };
    let ids: &ArrayRef = ids;
    let ids = ids.as_fixed_size_binary();
    let is_first = |at: usize| at.checked_sub(1).is_none_or(|before| ids.value(before) != ids.value(at));
    let is_first: BooleanArray = (0..ids.len()).map(|at| Some(is_first(at))).collect();
    Ok(filter_record_batch(rows, &is_first)?)
}

//! Reads the store as any reader of Parquet does.

use std::{collections::BTreeMap, path::Path};

use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeBinaryArray, Float64Array, Int64Array, ListArray,
    TimestampNanosecondArray, cast::AsArray as _, types::Int32Type,
};
use arrow_schema::DataType;
use bytes::Bytes;
use collector::store::{
    Store,
    path::{FilePath, Table, visible},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// A row: columns as text.
pub(crate) type Row = BTreeMap<String, String>;

/// Files that are to be read.
pub(crate) fn files(data: &Path) -> Vec<FilePath> {
    let store = Store::directory(&data.join("store")).expect("opens");
    let listed = runtime().block_on(store.list()).expect("lists");
    visible(listed.into_iter().map(|(path, _)| path).collect())
}

/// All rows of a table.
pub(crate) fn rows(data: &Path, table: Table) -> Vec<Row> {
    let store = Store::directory(&data.join("store")).expect("opens");
    let read = |path: FilePath| {
        let bytes = runtime().block_on(store.get(&path)).expect("is read");
        (path, bytes)
    };
    rows_of(files(data).into_iter().map(read).collect(), table)
}

/// The same, of files that are there already.
pub(crate) fn rows_of(files: Vec<(FilePath, Bytes)>, table: Table) -> Vec<Row> {
    let mut rows = Vec::new();
    for (path, bytes) in files.into_iter().filter(|(path, _)| path.table == table) {
        let reader =
            ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap_or_else(|error| panic!("{path}: {error}"));
        for batch in reader.build().expect("reads") {
            let batch = batch.expect("is a batch");
            let schema = batch.schema();
            for at in 0..batch.num_rows() {
                let columns = schema.fields().iter().zip(batch.columns());
                rows.push(columns.map(|(field, array)| (field.name().clone(), cell(array, at))).collect());
            }
        }
    }
    rows
}

/// Files, rows and bytes of each table.
pub(crate) fn sizes(data: &Path) -> BTreeMap<Table, (usize, usize, usize)> {
    let store = Store::directory(&data.join("store")).expect("opens");
    let mut sizes: BTreeMap<Table, (usize, usize, usize)> = BTreeMap::new();
    for path in files(data) {
        let bytes = runtime().block_on(store.get(&path)).expect("is read");
        let n_bytes = bytes.len();
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("is a file of Parquet");
        let n_rows = usize::try_from(reader.metadata().file_metadata().num_rows()).expect("fits");
        let (files, rows, all_bytes) = sizes.entry(path.table).or_default();
        *files += 1;
        *rows += n_rows;
        *all_bytes += n_bytes;
    }
    sizes
}

/// How often each text stands in a column.
pub(crate) fn counts(rows: &[Row], column: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row[column].clone()).or_default() += 1;
    }
    counts
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("starts")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cell(array: &ArrayRef, at: usize) -> String {
    if array.is_null(at) {
        return "null".to_owned();
    }
    let any = array.as_any();
    match array.data_type() {
        DataType::Dictionary(_, _) => {
            let texts = array.as_dictionary::<Int32Type>();
            texts.downcast_dict::<arrow_array::StringArray>().expect("are texts").value_at(at)
        }
        DataType::Int64 => any.downcast_ref::<Int64Array>().expect("is one").value(at).to_string(),
        DataType::Float64 => any.downcast_ref::<Float64Array>().expect("is one").value(at).to_string(),
        DataType::Boolean => any.downcast_ref::<BooleanArray>().expect("is one").value(at).to_string(),
        DataType::Timestamp(_, _) => {
            any.downcast_ref::<TimestampNanosecondArray>().expect("is one").value(at).to_string()
        }
        DataType::FixedSizeBinary(_) => {
            hex(any.downcast_ref::<FixedSizeBinaryArray>().expect("is one").value(at))
        }
        DataType::List(_) => {
            let list = any.downcast_ref::<ListArray>().expect("is one").value(at);
            (0..list.len()).map(|at| cell(&list, at)).collect::<Vec<_>>().join(" ")
        }
        other => panic!("a column of {other}"),
    }
}

trait ValueAt {
    fn value_at(&self, at: usize) -> String;
}

impl ValueAt for arrow_array::TypedDictionaryArray<'_, Int32Type, arrow_array::StringArray> {
    fn value_at(&self, at: usize) -> String {
        arrow_array::ArrayAccessor::value(self, at).to_owned()
    }
}

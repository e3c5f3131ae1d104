//! Several files of one directory as one: sorted as each of them is, and what must be there once is there once. A piece of
//! each is in memory at a time, whatever they hold decompressed. Pure.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
};

use arrow_array::RecordBatch;
use arrow_row::{OwnedRow, RowConverter, Rows, SortField};
use arrow_schema::SchemaRef;
use arrow_select::interleave::interleave_record_batch;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::{
    file::{self, FileError},
    path::Table,
};

/// Rows of a file that are in memory at once, and rows that are written at once.
const PIECE_ROWS: usize = 4096;

/// The bytes of the one file, and how many rows it has.
///
/// # Errors
/// If one of them is no file of Parquet, or of another table.
pub fn merged(table: Table, files: &[Bytes]) -> Result<(Vec<u8>, usize), FileError> {
    let mut n_rows = 0;
    let mut readers = Vec::new();
    let mut schema = None;
    for bytes in files {
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes.clone())?;
        n_rows += usize::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
        schema.get_or_insert_with(|| builder.schema().clone());
        readers.push(builder.with_batch_size(PIECE_ROWS).build()?);
    }
    let Some(schema) = schema else { return Ok((Vec::new(), 0)) };
    let mut writer = file::writer(table, &schema, n_rows)?;
    let mut merge = Merging::begin(table, &schema, readers)?;
    let mut n_written = 0;
    while let Some(piece) = merge.next_piece()? {
        n_written += piece.num_rows();
        writer.write(&piece)?;
    }
    Ok((writer.into_inner()?, n_written))
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

/// A file, and the piece of it that is in memory.
struct Source {
    reader: ParquetRecordBatchReader,
    /// What the rows of the piece are compared by.
    keys: Rows,
    /// Of the row that is next.
    at: usize,
    /// Where the piece is in [`Merging::pieces`].
    piece: usize,
}

/// Takes the least row of all files, again and again.
struct Merging {
    converter: RowConverter,
    /// Places of the columns that rows are compared by.
    columns: Vec<usize>,
    sources: Vec<Source>,
    /// The next row of each file that has one, the least on top.
    heap: BinaryHeap<Reverse<(OwnedRow, usize)>>,
    /// Those that rows were picked from, and those that rows will be.
    pieces: Vec<RecordBatch>,
    /// Rows of the piece that is being made: which piece, which row of it.
    picked: Vec<(usize, usize)>,
    /// Rows of one identity are one row; that of the last one.
    is_once: bool,
    last: Option<OwnedRow>,
}

impl Merging {
    fn begin(
        table: Table,
        schema: &SchemaRef,
        readers: Vec<ParquetRecordBatchReader>,
    ) -> Result<Self, FileError> {
        let columns: Vec<usize> =
            order(table).iter().map(|name| schema.index_of(name)).collect::<Result<_, _>>()?;
        let fields = columns.iter().map(|at| SortField::new(schema.field(*at).data_type().clone())).collect();
        let converter = RowConverter::new(fields)?;
        let mut merging = Self {
            sources: Vec::new(),
            heap: BinaryHeap::new(),
            pieces: Vec::new(),
            picked: Vec::new(),
            is_once: matches!(table, Table::Stacks | Table::Frames),
            last: None,
            columns,
            converter,
        };
        for reader in readers {
            let keys = merging.converter.empty_rows(0, 0);
            merging.sources.push(Source { reader, keys, at: 0, piece: 0 });
            merging.read(merging.sources.len() - 1)?;
        }
        Ok(merging)
    }

    /// Reads the next piece of a file, if it has one, and has its first row wait for its turn.
    fn read(&mut self, of: usize) -> Result<(), FileError> {
        let Some(source) = self.sources.get_mut(of) else { return Ok(()) };
        for piece in source.reader.by_ref() {
            let piece = piece?;
            if piece.num_rows() == 0 {
                continue;
            }
            let columns = piece.project(&self.columns)?;
            source.keys = self.converter.convert_columns(columns.columns())?;
            (source.at, source.piece) = (0, self.pieces.len());
            self.heap.push(Reverse((source.keys.row(0).owned(), of)));
            self.pieces.push(piece);
            break;
        }
        Ok(())
    }

    /// The rows that come next, none at the end.
    fn next_piece(&mut self) -> Result<Option<RecordBatch>, FileError> {
        while self.picked.len() < PIECE_ROWS {
            let Some(mut least) = self.heap.peek_mut() else { break };
            let Reverse((key, of)) = &mut *least;
            let of = *of;
            let Some(source) = self.sources.get_mut(of) else { break };
            if !self.is_once || self.last.as_ref() != Some(key) {
                self.picked.push((source.piece, source.at));
            }
            source.at += 1;
            let next = (source.at < source.keys.num_rows()).then(|| source.keys.row(source.at).owned());
            match next {
                // In its place: it is near, mostly.
                Some(next) => self.last = Some(std::mem::replace(key, next)),
                None => {
                    let Reverse((key, _)) = PeekMut::pop(least);
                    self.last = Some(key);
                    self.read(of)?;
                }
            }
        }
        if self.picked.is_empty() {
            return Ok(None);
        }
        let pieces: Vec<&RecordBatch> = self.pieces.iter().collect();
        let rows = interleave_record_batch(&pieces, &self.picked)?;
        self.picked.clear();
        self.let_go();
        Ok(Some(rows))
    }

    /// Lets go of pieces that no row will be picked from.
    fn let_go(&mut self) {
        let mut pieces = Vec::new();
        for source in self.sources.iter_mut().filter(|source| source.at < source.keys.num_rows()) {
            if let Some(piece) = self.pieces.get(source.piece) {
                source.piece = pieces.len();
                pieces.push(piece.clone());
            }
        }
        self.pieces = pieces;
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use arrow_array::{
        Array as _, ArrayRef, DictionaryArray, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray,
        cast::AsArray as _,
        types::{Int32Type, Int64Type},
    };
    use arrow_schema::{DataType, Field, Schema};
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::{PIECE_ROWS, Table, file, merged};

    /// A file of stacks: identities, and a number that tells which file it was.
    fn file_of(ids: &BTreeSet<u64>, number: i64) -> Bytes {
        let keys = ids.iter().map(|id| [[0; 8], id.to_be_bytes()].concat());
        let stacks = FixedSizeBinaryArray::try_from_iter(keys).expect("identities");
        let texts = StringArray::from(vec![format!("of {number}")]);
        let tenants = DictionaryArray::<Int32Type>::new(vec![0; ids.len()].into(), Arc::new(texts));
        let schema = Schema::new(vec![
            Field::new("stack", DataType::FixedSizeBinary(16), false),
            Field::new("tenant", tenants.data_type().clone(), false),
            Field::new("number", DataType::Int64, false),
        ]);
        let numbers = Int64Array::from(vec![number; ids.len()]);
        let columns: Vec<ArrayRef> = vec![Arc::new(stacks), Arc::new(tenants), Arc::new(numbers)];
        let rows = RecordBatch::try_new(Arc::new(schema), columns).expect("columns");
        file::bytes(Table::Stacks, &rows).expect("a file").into()
    }

    #[test]
    fn files_of_many_pieces_become_one_in_order_with_each_identity_once_and_its_own_row() {
        let ids = |step: u64, n: u64| (0..n).map(|i| i * step).collect::<BTreeSet<u64>>();
        let n = 3 * PIECE_ROWS as u64 + 17;
        let inputs = [ids(2, n), ids(3, n), ids(7, 5), BTreeSet::from([u64::MAX])];
        let files: Vec<Bytes> = (0..).zip(&inputs).map(|(number, ids)| file_of(ids, number)).collect();
        let (bytes, n_rows) = merged(Table::Stacks, &files).expect("merges");

        let all: BTreeSet<u64> = inputs.iter().flatten().copied().collect();
        assert_eq!(n_rows, all.len());
        let mut seen = Vec::new();
        for batch in ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes))
            .expect("opens")
            .build()
            .expect("reads")
        {
            let batch = batch.expect("rows");
            let stacks = batch.column(0).as_fixed_size_binary();
            let tenants = batch.column(1).as_dictionary::<Int32Type>();
            let tenants = tenants.downcast_dict::<StringArray>().expect("texts");
            let numbers = batch.column(2).as_primitive::<Int64Type>();
            for (at, tenant) in tenants.into_iter().enumerate() {
                let id = u64::from_be_bytes(*stacks.value(at)[8..].first_chunk().expect("eight bytes"));
                let number = numbers.value(at);
                assert!(inputs[number as usize].contains(&id), "{id} is not of file {number}");
                assert_eq!(tenant, Some(format!("of {number}").as_str()));
                seen.push(id);
            }
        }
        assert_eq!(seen, all.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn what_is_no_file_of_the_table_is_an_error() {
        let good = file_of(&BTreeSet::from([1]), 0);
        assert!(merged(Table::Frames, std::slice::from_ref(&good)).is_err());
        assert!(merged(Table::Stacks, &[good, Bytes::from_static(b"PAR1 and no more")]).is_err());
        assert_eq!(merged(Table::Stacks, &[]).expect("nothing"), (Vec::new(), 0));
    }
}

//! Columns of a result, read without a panic whatever came.

use arrow_array::{
    Array, ArrayRef, DictionaryArray, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray,
    cast::AsArray as _, types::Int32Type,
};
use arrow_schema::DataType;
use datafusion::arrow::compute::cast;

use crate::error::Error;

/// An identity.
pub(crate) type Id = [u8; 16];

fn missing(name: &str) -> Error {
    Error::Internal { what: format!("a result has no column {name} of the type that was asked for") }
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, Error> {
    batch.column_by_name(name).ok_or_else(|| missing(name))
}

/// Numbers.
pub(crate) fn integers<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a Int64Array, Error> {
    column(batch, name)?.as_primitive_opt().ok_or_else(|| missing(name))
}

/// Identities.
pub(crate) fn ids<'a>(batch: &'a RecordBatch, name: &str) -> Result<Ids<'a>, Error> {
    ids_of(column(batch, name)?).ok_or_else(|| missing(name))
}

/// The same, of an array.
pub(crate) fn ids_of(array: &dyn Array) -> Option<Ids<'_>> {
    array.as_fixed_size_binary_opt().filter(|ids| ids.value_length() == 16).map(Ids)
}

/// Identities of a column.
#[derive(Clone, Copy)]
pub(crate) struct Ids<'a>(&'a FixedSizeBinaryArray);

impl Ids<'_> {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// At a place that is there.
    pub(crate) fn at(&self, at: usize) -> Id {
        if at < self.0.len() { self.0.value(at).try_into().unwrap_or_default() } else { Id::default() }
    }
}

/// Texts, each distinct one once.
pub(crate) struct Texts(DictionaryArray<Int32Type>);

impl Texts {
    /// Of an array of texts in any form.
    pub(crate) fn of(array: &dyn Array) -> Result<Self, Error> {
        let wanted = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let cast = cast(array, &wanted).map_err(|error| Error::Internal { what: error.to_string() })?;
        cast.as_dictionary_opt().cloned().map(Self).ok_or_else(|| missing("texts"))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The place of a row's text among the distinct ones; none where there is none.
    pub(crate) fn key(&self, row: usize) -> Option<usize> {
        self.0.key(row)
    }

    /// A distinct text.
    pub(crate) fn value(&self, key: usize) -> &str {
        let values: Option<&StringArray> = self.0.values().as_string_opt();
        values
            .filter(|values| key < values.len() && values.is_valid(key))
            .map_or("", |values| values.value(key))
    }

    /// The text of a row.
    pub(crate) fn at(&self, row: usize) -> &str {
        self.key(row).map_or("", |key| self.value(key))
    }
}

/// Texts.
pub(crate) fn texts(batch: &RecordBatch, name: &str) -> Result<Texts, Error> {
    Texts::of(column(batch, name)?)
}

/// Any other array.
pub(crate) fn any<'a, T: 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a T, Error> {
    column(batch, name)?.as_any().downcast_ref().ok_or_else(|| missing(name))
}

//! Values of any column, as JSON has them.

use arrow_array::{
    Array, ArrayRef, RecordBatch,
    cast::AsArray as _,
    types::{
        Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
        UInt32Type, UInt64Type,
    },
};
use arrow_schema::{ArrowError, DataType};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use serde::Serialize;

use crate::error::{Error, one_line};

/// A value. What JSON has no form for (times, identities) is a text.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// There is none; also a number that is none.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A number without a fraction.
    Integer(i64),
    /// The same, too large for the sign.
    Unsigned(u64),
    /// A number with one.
    Float(f64),
    /// Everything else.
    Text(String),
    /// Several.
    List(Vec<Value>),
}

impl Value {
    /// About what it takes.
    pub(crate) fn n_bytes(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Unsigned(_) | Self::Float(_) => 8,
            Self::Text(text) => text.len().saturating_add(2),
            Self::List(values) => values.iter().map(Self::n_bytes).fold(2, usize::saturating_add),
        }
    }

    /// As it stands in a table.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Text(text) => text.clone(),
            Self::Bool(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Unsigned(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::List(values) => {
                format!("[{}]", values.iter().map(Self::text).collect::<Vec<_>>().join(" "))
            }
        }
    }
}

/// The rows of a batch.
pub(crate) fn values(batch: &RecordBatch) -> Result<Vec<Vec<Value>>, Error> {
    let wrong = |error: ArrowError| Error::Internal { what: one_line(&error.to_string()) };
    let columns: Vec<Vec<Value>> =
        batch.columns().iter().map(column).collect::<Result<_, _>>().map_err(wrong)?;
    let mut rows = vec![Vec::with_capacity(columns.len()); batch.num_rows()];
    for column in columns {
        for (row, value) in rows.iter_mut().zip(column) {
            row.push(value);
        }
    }
    Ok(rows)
}

macro_rules! numbers {
    ($array:expr, $type:ty, $value:expr) => {
        $array.as_primitive::<$type>().iter().map(|value| value.map_or(Value::Null, $value)).collect()
    };
}

fn column(array: &ArrayRef) -> Result<Vec<Value>, ArrowError> {
    let float = |value: f64| if value.is_finite() { Value::Float(value) } else { Value::Null };
    Ok(match array.data_type() {
        DataType::Null => vec![Value::Null; array.len()],
        DataType::Boolean => {
            array.as_boolean().iter().map(|it| it.map_or(Value::Null, Value::Bool)).collect()
        }
        DataType::Int8 => numbers!(array, Int8Type, |it| Value::Integer(it.into())),
        DataType::Int16 => numbers!(array, Int16Type, |it| Value::Integer(it.into())),
        DataType::Int32 => numbers!(array, Int32Type, |it| Value::Integer(it.into())),
        DataType::Int64 => numbers!(array, Int64Type, Value::Integer),
        DataType::UInt8 => numbers!(array, UInt8Type, |it| Value::Unsigned(it.into())),
        DataType::UInt16 => numbers!(array, UInt16Type, |it| Value::Unsigned(it.into())),
        DataType::UInt32 => numbers!(array, UInt32Type, |it| Value::Unsigned(it.into())),
        DataType::UInt64 => numbers!(array, UInt64Type, Value::Unsigned),
        DataType::Float32 => numbers!(array, Float32Type, |it| float(it.into())),
        DataType::Float64 => numbers!(array, Float64Type, float),
        DataType::List(_) => {
            let lists = array.as_list::<i32>().iter();
            let list = |it: Option<ArrayRef>| it.map_or(Ok(Value::Null), |it| column(&it).map(Value::List));
            lists.map(list).collect::<Result<_, _>>()?
        }
        _ => {
            let options = FormatOptions::default();
            let formatter = ArrayFormatter::try_new(array, &options)?;
            let text = |at: usize| match array.is_null(at) {
                true => Ok(Value::Null),
                false => formatter.value(at).try_to_string().map(Value::Text),
            };
            (0..array.len()).map(text).collect::<Result<_, _>>()?
        }
    })
}

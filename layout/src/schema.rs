//! The columns of each table.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::path::Table;

/// Bytes of an identity.
pub const ID_BYTES: i32 = 16;
/// The time zone of all times.
pub const UTC: &str = "UTC";

/// The columns of a table, in their order.
#[must_use]
pub fn schema(table: Table) -> SchemaRef {
    let fields = match table {
        Table::Samples => vec![
            text("tenant"),
            text("service"),
            text("type"),
            text("unit"),
            text("host"),
            text("labels"),
            time("time"),
            integer("duration_ns"),
            text("sample_labels"),
            id("stack"),
            integer("value"),
            text("period_type"),
            text("period_unit"),
            integer("period"),
            id("batch"),
        ],
        Table::Stacks => vec![text("tenant"), id("stack"), ids("frames")],
        Table::Frames => vec![
            text("tenant"),
            id("frame"),
            text("function"),
            text("file"),
            integer("line"),
            text("mapping"),
            text("build_id"),
            integer("address"),
            text("kind"),
            Field::new("is_inlined", DataType::Boolean, false),
        ],
        Table::Metrics => vec![
            text("tenant"),
            text("service"),
            text("name"),
            text("unit"),
            text("host"),
            text("labels"),
            time("time"),
            text("kind"),
            Field::new("start", time_type(), true),
            Field::new("value", DataType::Float64, false),
            id("batch"),
        ],
    };
    Arc::new(Schema::new(fields))
}

/// Of an entry of a list of identities.
#[must_use]
pub fn item() -> Field {
    Field::new("item", DataType::FixedSizeBinary(ID_BYTES), false)
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)), false)
}

fn integer(name: &str) -> Field {
    Field::new(name, DataType::Int64, false)
}

fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some(UTC.into()))
}

fn time(name: &str) -> Field {
    Field::new(name, time_type(), false)
}

fn id(name: &str) -> Field {
    Field::new(name, DataType::FixedSizeBinary(ID_BYTES), false)
}

fn ids(name: &str) -> Field {
    Field::new(name, DataType::List(Arc::new(item())), false)
}

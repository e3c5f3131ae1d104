//! Rows as columns.

use std::{collections::HashMap, sync::Arc};

use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int64Array, RecordBatch,
    StringArray, TimestampNanosecondArray,
    builder::{FixedSizeBinaryBuilder, ListBuilder},
    types::Int32Type,
};
use arrow_schema::ArrowError;
use layout::{
    Table,
    schema::{ID_BYTES, UTC, item, schema},
};
use proto::log::MetricKind;

use super::rows::{FrameRow, PointRow, Rows, SampleRow, Series};
use crate::model::{Id, place};

/// Columns as they come.
#[derive(Default)]
struct Columns(HashMap<&'static str, ArrayRef>);

impl Columns {
    fn add(&mut self, name: &'static str, array: ArrayRef) {
        self.0.insert(name, array);
    }

    fn texts<'a>(&mut self, name: &'static str, texts: impl Iterator<Item = &'a str>) {
        let array: DictionaryArray<Int32Type> = texts.collect();
        self.add(name, Arc::new(array));
    }

    /// Texts by number: a dictionary needs each of them once.
    fn numbered(
        &mut self,
        name: &'static str,
        rows: &Rows,
        numbers: impl Iterator<Item = u32>,
    ) -> Result<(), ArrowError> {
        let mut entries: HashMap<u32, i32> = HashMap::new();
        let mut texts: Vec<&str> = Vec::new();
        let keys: Vec<i32> = numbers
            .map(|number| {
                *entries.entry(number).or_insert_with(|| {
                    texts.push(rows.texts.text(number));
                    i32::try_from(texts.len().saturating_sub(1)).unwrap_or(i32::MAX)
                })
            })
            .collect();
        let array = DictionaryArray::<Int32Type>::try_new(keys.into(), Arc::new(StringArray::from(texts)))?;
        self.add(name, Arc::new(array));
        Ok(())
    }

    fn integers(&mut self, name: &'static str, numbers: impl Iterator<Item = i64>) {
        self.add(name, Arc::new(Int64Array::from_iter_values(numbers)));
    }

    fn times(&mut self, name: &'static str, times: impl Iterator<Item = Option<i64>>) {
        let array: TimestampNanosecondArray = times.collect();
        self.add(name, Arc::new(array.with_timezone(UTC)));
    }

    fn ids<'a>(&mut self, name: &'static str, ids: impl Iterator<Item = &'a Id>) -> Result<(), ArrowError> {
        let mut builder = FixedSizeBinaryBuilder::new(ID_BYTES);
        for id in ids {
            builder.append_value(id)?;
        }
        let array: FixedSizeBinaryArray = builder.finish();
        self.add(name, Arc::new(array));
        Ok(())
    }

    /// In the order of the table, all of which must be there.
    fn batch(mut self, table: Table) -> Result<RecordBatch, ArrowError> {
        let schema = schema(table);
        let arrays = schema.fields().iter().map(|field| {
            let missing = || ArrowError::SchemaError(format!("there is no column {}", field.name()));
            self.0.remove(field.name().as_str()).ok_or_else(missing)
        });
        let arrays: Vec<ArrayRef> = arrays.collect::<Result<_, _>>()?;
        RecordBatch::try_new(schema, arrays)
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn series_of(rows: &Rows, number: u32) -> Series {
    const NONE: Series = Series {
        service: 0,
        name: 0,
        unit: 0,
        host: 0,
        labels: 0,
        period_type: 0,
        period_unit: 0,
        period: 0,
    };
    rows.series.get(place(number)).copied().unwrap_or(NONE)
}

/// `samples`, of rows in order.
pub(super) fn samples(tenant: &str, rows: &Rows, samples: &[SampleRow]) -> Result<RecordBatch, ArrowError> {
    let mut columns = Columns::default();
    let series = || samples.iter().map(|row| series_of(rows, row.series));
    columns.texts("tenant", samples.iter().map(|_| tenant));
    columns.numbered("service", rows, series().map(|it| it.service))?;
    columns.numbered("type", rows, series().map(|it| it.name))?;
    columns.numbered("unit", rows, series().map(|it| it.unit))?;
    columns.numbered("host", rows, series().map(|it| it.host))?;
    columns.numbered("labels", rows, series().map(|it| it.labels))?;
    columns.times("time", samples.iter().map(|row| Some(signed(row.time_unix_ns))));
    columns.integers("duration_ns", samples.iter().map(|row| signed(row.duration_ns)));
    columns.numbered("sample_labels", rows, samples.iter().map(|row| row.labels))?;
    columns.ids("stack", samples.iter().map(|row| &row.stack))?;
    columns.integers("value", samples.iter().map(|row| row.value));
    columns.numbered("period_type", rows, series().map(|it| it.period_type))?;
    columns.numbered("period_unit", rows, series().map(|it| it.period_unit))?;
    columns.integers("period", series().map(|it| it.period));
    columns.ids("batch", samples.iter().map(|row| &row.batch.0))?;
    columns.batch(Table::Samples)
}

/// `stacks`, of those that are wanted.
pub(super) fn stacks(tenant: &str, rows: &Rows, wanted: &[Id]) -> Result<RecordBatch, ArrowError> {
    let mut columns = Columns::default();
    columns.texts("tenant", wanted.iter().map(|_| tenant));
    columns.ids("stack", wanted.iter())?;
    let mut lists = ListBuilder::new(FixedSizeBinaryBuilder::new(ID_BYTES)).with_field(item());
    for stack in wanted {
        for frame in rows.stacks.get(stack).into_iter().flatten() {
            lists.values().append_value(frame)?;
        }
        lists.append(true);
    }
    columns.add("frames", Arc::new(lists.finish()));
    columns.batch(Table::Stacks)
}

/// `frames`, of those that are wanted.
pub(super) fn frames(tenant: &str, rows: &Rows, wanted: &[Id]) -> Result<RecordBatch, ArrowError> {
    let frames = wanted.iter().filter_map(|id| Some((id, rows.frames.get(id)?)));
    let frames: Vec<(&Id, &FrameRow)> = frames.collect();
    let all = || frames.iter().map(|(_, row)| *row);
    let mut columns = Columns::default();
    columns.texts("tenant", frames.iter().map(|_| tenant));
    columns.ids("frame", frames.iter().map(|(id, _)| *id))?;
    columns.numbered("function", rows, all().map(|row| row.function))?;
    columns.numbered("file", rows, all().map(|row| row.file))?;
    columns.integers("line", all().map(|row| i64::from(row.line)));
    columns.numbered("mapping", rows, all().map(|row| row.mapping))?;
    columns.numbered("build_id", rows, all().map(|row| row.build_id))?;
    columns.integers("address", all().map(|row| signed(row.address)));
    columns.numbered("kind", rows, all().map(|row| row.kind))?;
    let inlined: BooleanArray = all().map(|row| Some(row.is_inlined)).collect();
    columns.add("is_inlined", Arc::new(inlined));
    columns.batch(Table::Frames)
}

/// `metrics`, of rows in order.
pub(super) fn metrics(tenant: &str, rows: &Rows, points: &[PointRow]) -> Result<RecordBatch, ArrowError> {
    let mut columns = Columns::default();
    let series = || points.iter().map(|row| series_of(rows, row.series));
    columns.texts("tenant", points.iter().map(|_| tenant));
    columns.numbered("service", rows, series().map(|it| it.service))?;
    columns.numbered("name", rows, series().map(|it| it.name))?;
    columns.numbered("unit", rows, series().map(|it| it.unit))?;
    columns.numbered("host", rows, series().map(|it| it.host))?;
    columns.numbered("labels", rows, series().map(|it| it.labels))?;
    columns.times("time", points.iter().map(|row| Some(signed(row.time_unix_ns))));
    columns.texts("kind", points.iter().map(|row| kind(row.kind)));
    let start = |row: &PointRow| i64::try_from(row.start_unix_ns).ok().filter(|start| *start != 0);
    columns.times("start", points.iter().map(start));
    let values = Float64Array::from_iter_values(points.iter().map(|row| row.value));
    columns.add("value", Arc::new(values));
    columns.ids("batch", points.iter().map(|row| &row.batch.0))?;
    columns.batch(Table::Metrics)
}

const fn kind(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Unspecified => "unknown",
        MetricKind::Gauge => "gauge",
        MetricKind::Counter => "counter",
        MetricKind::UpDownCounter => "up_down_counter",
        MetricKind::Delta => "delta",
    }
}

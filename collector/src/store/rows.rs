//! Batches as rows: texts by number, sorted, each row where it belongs in time. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use proto::log::MetricKind;

use super::path::Period;
use crate::model::{Batch, Id, Key, frame_id, place, stack_id};

/// Texts, each once.
#[derive(Debug, Default)]
pub(super) struct Texts {
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Texts {
    pub(super) fn number(&mut self, text: &str) -> u32 {
        if let Some(&known) = self.numbers.get(text) {
            return known;
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }

    pub(super) fn text(&self, number: u32) -> &str {
        self.texts.get(place(number)).map_or("", String::as_str)
    }

    /// Where each text stands in their order.
    fn ranks(&self) -> Vec<u32> {
        let mut order: Vec<usize> = (0..self.texts.len()).collect();
        order.sort_unstable_by_key(|&at| self.texts.get(at));
        let mut ranks = vec![0; order.len()];
        for (rank, at) in (0..).zip(order) {
            if let Some(place) = ranks.get_mut(at) {
                *place = rank;
            }
        }
        ranks
    }
}

/// What does not change from row to row of a profile: texts by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Series {
    pub(super) service: u32,
    pub(super) name: u32,
    pub(super) unit: u32,
    pub(super) host: u32,
    pub(super) labels: u32,
    pub(super) period_type: u32,
    pub(super) period_unit: u32,
    pub(super) period: i64,
}

/// A row of `samples`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SampleRow {
    pub(super) series: u32,
    pub(super) time_unix_ns: u64,
    pub(super) duration_ns: u64,
    pub(super) labels: u32,
    pub(super) stack: Id,
    pub(super) value: i64,
    pub(super) batch: Key,
}

/// A row of `frames`: texts by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameRow {
    pub(super) function: u32,
    pub(super) file: u32,
    pub(super) line: u32,
    pub(super) mapping: u32,
    pub(super) build_id: u32,
    pub(super) address: u64,
    pub(super) kind: u32,
    pub(super) is_inlined: bool,
}

/// A row of `metrics`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PointRow {
    pub(super) series: u32,
    pub(super) kind: MetricKind,
    pub(super) start_unix_ns: u64,
    pub(super) time_unix_ns: u64,
    pub(super) value: f64,
    pub(super) batch: Key,
}

/// All rows of a tenant.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) texts: Texts,
    pub(super) series: Vec<Series>,
    series_numbers: HashMap<Series, u32>,
    pub(super) samples: BTreeMap<Period, Vec<SampleRow>>,
    pub(super) points: BTreeMap<Period, Vec<PointRow>>,
    pub(super) stacks: HashMap<Id, Vec<Id>>,
    pub(super) frames: HashMap<Id, FrameRow>,
    /// Stacks that a day has samples on.
    pub(super) stacks_of: BTreeMap<Period, HashSet<Id>>,
}

impl Rows {
    /// Adds a batch.
    pub(super) fn add(&mut self, key: Key, batch: &Batch) {
        let tables = batch.tables();
        let frame_ids: Vec<Id> = tables.frames.iter().map(|frame| frame_id(tables, frame)).collect();
        let stack_ids: Vec<Id> = tables.stacks.iter().map(|stack| stack_id(stack, &frame_ids)).collect();
        let labels: Vec<u32> = (0..u32::try_from(tables.labels.len()).unwrap_or(u32::MAX))
            .map(|index| self.texts.number(&labels_text(batch, index)))
            .collect();
        let labels_at = |index: u32| labels.get(place(index)).copied().unwrap_or_default();
        for (stack, id) in tables.stacks.iter().zip(&stack_ids) {
            let ids =
                || stack.frames.iter().filter_map(|&frame| frame_ids.get(place(frame)).copied()).collect();
            self.stacks.entry(*id).or_insert_with(ids);
        }
        for (frame, id) in tables.frames.iter().zip(&frame_ids) {
            if !self.frames.contains_key(id) {
                let mut number = |index| self.texts.number(batch.text(index));
                let row = FrameRow {
                    function: number(frame.function),
                    file: number(frame.file),
                    line: frame.line,
                    mapping: number(frame.mapping),
                    build_id: number(frame.build_id),
                    address: frame.address,
                    kind: number(frame.kind),
                    is_inlined: frame.is_inlined,
                };
                self.frames.insert(*id, row);
            }
        }
        for profile in &tables.profiles {
            let Some(source) = tables.sources.get(place(profile.source)) else { continue };
            let mut number = |index| self.texts.number(batch.text(index));
            let series = Series {
                service: number(source.service),
                name: number(profile.r#type),
                unit: number(profile.unit),
                host: number(source.host),
                labels: labels_at(source.labels),
                period_type: number(profile.period_type),
                period_unit: number(profile.period_unit),
                period: profile.period,
            };
            let series = self.series_number(series);
            let hour = Period::hour_of(profile.time_unix_ns);
            let used = self.stacks_of.entry(hour.day()).or_default();
            let rows = self.samples.entry(hour).or_default();
            for sample in &profile.samples {
                let Some(&stack) = stack_ids.get(place(sample.stack)) else { continue };
                used.insert(stack);
                rows.push(SampleRow {
                    series,
                    time_unix_ns: profile.time_unix_ns,
                    duration_ns: profile.duration_ns,
                    labels: labels_at(sample.labels),
                    stack,
                    value: sample.value,
                    batch: key,
                });
            }
        }
        for metric in &tables.metrics {
            let Some(source) = tables.sources.get(place(metric.source)) else { continue };
            let mut number = |index| self.texts.number(batch.text(index));
            let series = Series {
                service: number(source.service),
                name: number(metric.name),
                unit: number(metric.unit),
                host: number(source.host),
                labels: labels_at(source.labels),
                period_type: 0,
                period_unit: 0,
                period: 0,
            };
            let series = self.series_number(series);
            for point in &metric.points {
                let rows = self.points.entry(Period::hour_of(point.time_unix_ns)).or_default();
                rows.push(PointRow {
                    series,
                    kind: metric.kind(),
                    start_unix_ns: point.start_unix_ns,
                    time_unix_ns: point.time_unix_ns,
                    value: point.value,
                    batch: key,
                });
            }
        }
    }

    /// Puts rows in the order of the files.
    pub(super) fn sort(&mut self) {
        let ranks = self.texts.ranks();
        let rank = |number: u32| ranks.get(place(number)).copied().unwrap_or_default();
        let series_key = |series: &Series| {
            let Series { service, name, unit, host, labels, period_type, period_unit, period } = *series;
            ([service, name, unit, host, labels, period_type, period_unit].map(rank), period)
        };
        let keys: Vec<_> = self.series.iter().map(series_key).collect();
        let key = |series: u32| keys.get(place(series)).copied().unwrap_or_default();
        for rows in self.samples.values_mut() {
            rows.sort_unstable_by(|a, b| {
                let of = |it: &SampleRow| {
                    (it.time_unix_ns, rank(it.labels), it.stack, it.batch, it.value, it.duration_ns)
                };
                key(a.series).cmp(&key(b.series)).then_with(|| of(a).cmp(&of(b)))
            });
        }
        for rows in self.points.values_mut() {
            rows.sort_unstable_by(|a, b| {
                let of = |it: &PointRow| (it.time_unix_ns, it.batch, it.start_unix_ns);
                let by_value = || a.value.total_cmp(&b.value);
                key(a.series).cmp(&key(b.series)).then_with(|| of(a).cmp(&of(b))).then_with(by_value)
            });
        }
    }

    fn series_number(&mut self, series: Series) -> u32 {
        let next = u32::try_from(self.series.len()).unwrap_or(u32::MAX);
        let known = *self.series_numbers.entry(series).or_insert(next);
        if known == next {
            self.series.push(series);
        }
        known
    }
}

/// A JSON object, names in order.
fn labels_text(batch: &Batch, index: u32) -> String {
    let labels: BTreeMap<&str, &str> = batch.labels(index).collect();
    // A map of texts is always one.
    serde_json::to_string(&labels).unwrap_or_default()
}

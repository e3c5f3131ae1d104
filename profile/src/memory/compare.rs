//! What lies between two snapshots: by field, by process and by mapping.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Field, MappingClass, MappingUse, MemoryUse, Snapshot, SnapshotProcess};

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// The name that the user gave.
    pub label: String,
    /// Where.
    pub host: String,
    /// What was watched.
    pub command: String,
    /// When, in nanoseconds since the Unix epoch.
    pub taken_unix_ns: u64,
    /// How many processes.
    pub n_processes: usize,
}

/// The second snapshot less the first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The first snapshot.
    pub before: Side,
    /// The second.
    pub after: Side,
    /// Sums over all processes, by field; without those that one side has not read.
    pub tree: BTreeMap<&'static str, FieldChange>,
    /// Every process of either side, the largest change first.
    pub processes: Vec<ProcessChange>,
    /// Mappings of all processes by class, the largest change first.
    pub classes: Vec<MappingChange>,
    /// Mappings of all processes by class and name, the largest change first.
    pub mappings: Vec<MappingChange>,
    /// Processes of either side whose mappings could not be read.
    pub n_processes_without_mappings: usize,
}

/// One quantity on both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// On the first side.
    pub before_bytes: u64,
    /// On the second.
    pub after_bytes: u64,
    /// The second less the first.
    pub change_bytes: i64,
}

/// One process on both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProcessChange {
    /// Its ID.
    pub pid: u32,
    /// Its name, on the second side if it is there.
    pub name: String,
    /// Whether the first side has it.
    pub is_before: bool,
    /// Whether the second side has it.
    pub is_after: bool,
    /// By field.
    pub fields: BTreeMap<&'static str, FieldChange>,
}

/// Mappings of one class, or of one class and name, on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MappingChange {
    /// What stands behind them.
    pub class: MappingClass,
    /// Path or name; empty for memory without one, and for a whole class.
    pub name: String,
    /// How many on the first side.
    pub n_before: u64,
    /// How many on the second.
    pub n_after: u64,
    /// Address space.
    pub size: FieldChange,
    /// Pages in memory.
    pub resident: FieldChange,
    /// Pages in memory, shared ones by their share.
    pub proportional: FieldChange,
    /// Pages that no other process maps.
    pub private: FieldChange,
    /// Swapped out.
    pub swap: FieldChange,
}

impl FieldChange {
    fn new(before_bytes: u64, after_bytes: u64) -> Self {
        let size = i64::try_from(after_bytes.abs_diff(before_bytes)).unwrap_or(i64::MAX);
        let change_bytes = if after_bytes < before_bytes { -size } else { size };
        Self { before_bytes, after_bytes, change_bytes }
    }
}

impl Comparison {
    /// Compares `after` with `before`.
    #[must_use]
    pub fn new(before: &Snapshot, after: &Snapshot) -> Self {
        let all = || before.processes.iter().chain(&after.processes);
        let classes = mappings(before, after, |mapping| (mapping.class, String::new()));
        Self {
            before: side(before),
            after: side(after),
            tree: fields(Some(&before.tree), Some(&after.tree)),
            processes: processes(before, after),
            classes,
            mappings: mappings(before, after, |mapping| (mapping.class, mapping.name.clone())),
            n_processes_without_mappings: all().filter(|process| process.mappings.is_none()).count(),
        }
    }
}

fn side(snapshot: &Snapshot) -> Side {
    Side {
        label: snapshot.label.clone(),
        host: snapshot.host.clone(),
        command: snapshot.command.clone(),
        taken_unix_ns: snapshot.taken_unix_ns,
        n_processes: snapshot.processes.len(),
    }
}

/// A process that is on one side only counts as nothing on the other.
fn fields(before: Option<&MemoryUse>, after: Option<&MemoryUse>) -> BTreeMap<&'static str, FieldChange> {
    let of = |usage: Option<&MemoryUse>, field| usage.map_or(Some(0), |usage| usage.get(field));
    let change = |field: Field| Some((field.name(), FieldChange::new(of(before, field)?, of(after, field)?)));
    Field::ALL.into_iter().filter_map(change).collect()
}

fn processes(before: &Snapshot, after: &Snapshot) -> Vec<ProcessChange> {
    type Sides<'a> = (Option<&'a SnapshotProcess>, Option<&'a SnapshotProcess>);
    let mut sides: BTreeMap<(u32, u64), Sides<'_>> = BTreeMap::new();
    for process in &before.processes {
        sides.entry((process.pid, process.start_time_ticks)).or_default().0 = Some(process);
    }
    for process in &after.processes {
        sides.entry((process.pid, process.start_time_ticks)).or_default().1 = Some(process);
    }
    let mut changes: Vec<ProcessChange> = sides
        .into_iter()
        .map(|((pid, _), (before, after))| ProcessChange {
            pid,
            name: after.or(before).map(|process| process.name.clone()).unwrap_or_default(),
            is_before: before.is_some(),
            is_after: after.is_some(),
            fields: fields(before.map(|it| &it.usage), after.map(|it| &it.usage)),
        })
        .collect();
    let size = |change: &ProcessChange| {
        change.fields.get(Field::Resident.name()).map_or(0, |it| it.change_bytes.unsigned_abs())
    };
    changes.sort_by_key(|change| (std::cmp::Reverse(size(change)), change.pid));
    changes
}

fn mappings(
    before: &Snapshot,
    after: &Snapshot,
    key: impl Fn(&MappingUse) -> (MappingClass, String),
) -> Vec<MappingChange> {
    let mut sides: BTreeMap<(MappingClass, String), [MappingUse; 2]> = BTreeMap::new();
    for (index, snapshot) in [before, after].into_iter().enumerate() {
        for mapping in snapshot.processes.iter().filter_map(|process| process.mappings.as_ref()).flatten() {
            let key = key(mapping);
            let empty = || [0, 1].map(|_| MappingUse::new(key.0, key.1.clone()));
            if let Some(sum) = sides.entry(key.clone()).or_insert_with(empty).get_mut(index) {
                sum.add(mapping);
            }
        }
    }
    let mut changes: Vec<MappingChange> = sides
        .into_iter()
        .map(|((class, name), [before, after])| {
            let change = |of: fn(&MappingUse) -> u64| FieldChange::new(of(&before), of(&after));
            MappingChange {
                class,
                name,
                n_before: before.n_mappings,
                n_after: after.n_mappings,
                size: change(|it| it.size_bytes),
                resident: change(|it| it.resident_bytes),
                proportional: change(|it| it.proportional_bytes),
                private: change(|it| it.private_bytes),
                swap: change(|it| it.swap_bytes),
            }
        })
        .collect();
    // Sorted by name before, and the sort is stable.
    changes.sort_by_key(|change| std::cmp::Reverse(change.resident.change_bytes.unsigned_abs()));
    changes
}

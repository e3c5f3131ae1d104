//! The rows of each table, from what was sampled: sorted, and those that the filter leaves.

use profile::{Profile, hotspots};

/// A function, or a thread.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name; of a thread with the process.
    pub name: String,
    /// The file it lies in.
    pub module: Option<String>,
    /// In the function itself, in percent of all CPU time; of a thread in percent of a CPU.
    pub self_percent: f64,
    /// With all that it called.
    pub total_percent: f64,
}

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Time in the function itself.
    #[default]
    SelfTime,
    /// Time with all that it called.
    TotalTime,
    /// The name.
    Name,
}

impl Sort {
    /// The next one, in a circle.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::SelfTime => Self::TotalTime,
            Self::TotalTime => Self::Name,
            Self::Name => Self::SelfTime,
        }
    }

    /// As the title says it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SelfTime => "self",
            Self::TotalTime => "total",
            Self::Name => "name",
        }
    }
}

/// The functions of a profile.
#[must_use]
pub fn functions(profile: &Profile, sort: Sort, filter: &str) -> Vec<Row> {
    let all = profile.total(profile.weight_idx()).max(1) as f64;
    let percent = |value: i64| 100.0 * value as f64 / all;
    let row = |spot: hotspots::Hotspot| Row {
        self_percent: percent(spot.self_value),
        total_percent: percent(spot.total_value),
        name: spot.name,
        module: spot.module,
    };
    let all = hotspots::top(profile, profile.weight_idx()).into_iter().map(row);
    sorted(all.filter(|row| is_left(row, filter)).collect(), sort)
}

/// The threads of a profile, by the share of a CPU that each took.
#[must_use]
pub fn threads(profile: &Profile, sort: Sort, filter: &str) -> Vec<Row> {
    let cpu = profile.value_types().iter().position(|it| it.kind == "cpu");
    let duration_ns = profile.meta().duration_ns.max(1) as f64;
    let row = |(handle, value): (profile::ThreadHandle, i64)| {
        let thread = profile.thread_at(handle)?;
        let process = profile.process_at(thread.process)?;
        let percent = 100.0 * value as f64 / duration_ns;
        Some(Row {
            name: format!("{} {}", thread.tid, profile.text(thread.name)),
            module: Some(format!("{} {}", process.pid, profile.text(process.name))),
            self_percent: percent,
            total_percent: percent,
        })
    };
    let all = cpu.map(|cpu| hotspots::by_thread(profile, cpu)).unwrap_or_default();
    sorted(all.into_iter().filter_map(row).filter(|row| is_left(row, filter)).collect(), sort)
}

/// A filter is a part of a name, whatever its case.
#[must_use]
pub fn matches(name: &str, filter: &str) -> bool {
    filter.is_empty() || name.to_lowercase().contains(&filter.to_lowercase())
}

fn is_left(row: &Row, filter: &str) -> bool {
    matches(&row.name, filter) || row.module.as_ref().is_some_and(|module| matches(module, filter))
}

fn sorted(mut rows: Vec<Row>, sort: Sort) -> Vec<Row> {
    rows.sort_by(|a, b| {
        let by_name = || (&a.name, &a.module).cmp(&(&b.name, &b.module));
        match sort {
            Sort::SelfTime => b.self_percent.total_cmp(&a.self_percent).then_with(by_name),
            Sort::TotalTime => b.total_percent.total_cmp(&a.total_percent).then_with(by_name),
            Sort::Name => by_name(),
        }
    });
    rows
}

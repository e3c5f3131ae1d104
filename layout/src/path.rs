//! Names of files, and what they tell. Pure.

use std::fmt;

use chrono::{DateTime, Datelike as _, NaiveDate, Timelike as _};

/// A directory of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Numbers on stacks.
    Samples,
    /// Frames in their order.
    Stacks,
    /// What has a name.
    Frames,
    /// Numbers at times.
    Metrics,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Samples, Self::Stacks, Self::Frames, Self::Metrics];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Samples => "samples",
            Self::Stacks => "stacks",
            Self::Frames => "frames",
            Self::Metrics => "metrics",
        }
    }

    const fn is_by_hour(self) -> bool {
        matches!(self, Self::Samples | Self::Metrics)
    }
}

/// A day in UTC, and for tables that have them an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    day: NaiveDate,
    hour: Option<u32>,
}

impl Period {
    /// The hour of a time.
    #[must_use]
    pub fn hour_of(unix_ns: u64) -> Self {
        let time = DateTime::from_timestamp_nanos(i64::try_from(unix_ns).unwrap_or(i64::MAX));
        Self { day: time.date_naive(), hour: Some(time.hour()) }
    }

    /// The days that have a moment of this time: from the first until before the last. No more than `max`.
    #[must_use]
    pub fn days(from_unix_ns: u64, until_unix_ns: u64, max: usize) -> Option<Vec<Self>> {
        let mut days = Vec::new();
        let mut day = Self::hour_of(from_unix_ns).day();
        while day.start_unix_ns() < until_unix_ns {
            if days.len() >= max {
                return None;
            }
            days.push(day);
            let next = Self::hour_of(day.end_unix_ns()).day();
            // The end of what can be counted.
            if next == day {
                break;
            }
            day = next;
        }
        Some(days)
    }

    /// The day that it is, or lies in.
    #[must_use]
    pub const fn day(self) -> Self {
        Self { day: self.day, hour: None }
    }

    /// The first moment that is in it, in nanoseconds since the Unix epoch.
    #[must_use]
    pub fn start_unix_ns(self) -> u64 {
        self.after_hours(self.hour.map_or(0, i64::from))
    }

    /// The first moment that is not in it any more.
    #[must_use]
    pub fn end_unix_ns(self) -> u64 {
        self.after_hours(self.hour.map_or(24, |hour| i64::from(hour).saturating_add(1)))
    }

    /// Whether a moment of it is of this time, which ends before `until`.
    #[must_use]
    pub fn overlaps(self, from_unix_ns: u64, until_unix_ns: u64) -> bool {
        self.start_unix_ns() < until_unix_ns && from_unix_ns < self.end_unix_ns()
    }

    fn after_hours(self, n_hours: i64) -> u64 {
        const HOUR_NS: i64 = 3_600_000_000_000;
        let midnight = self.day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_nanos_opt();
        let start = midnight.unwrap_or(i64::MAX);
        u64::try_from(start.saturating_add(n_hours.saturating_mul(HOUR_NS))).unwrap_or(0)
    }
}

/// What the path of a file says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath {
    /// The table.
    pub table: Table,
    /// Whose it is.
    pub tenant: String,
    /// When.
    pub period: Period,
    /// Who wrote it: 16 hexadecimal digits.
    pub collector: String,
    /// The first segment whose rows it holds.
    pub first: u64,
    /// The last.
    pub last: u64,
}

impl FilePath {
    /// Of a path below the store.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let mut parts = path.split('/');
        let table = parts.next()?;
        let table = Table::ALL.into_iter().find(|known| known.name() == table)?;
        let tenant = plain(parts.next()?)?;
        let day = NaiveDate::parse_from_str(parts.next()?, "%Y-%m-%d").ok()?;
        let hour = if table.is_by_hour() {
            Some(parts.next()?.parse().ok().filter(|hour| *hour < 24)?)
        } else {
            None
        };
        let mut name = parts.next()?.strip_suffix(".parquet")?.splitn(3, '-');
        let collector = name.next()?.to_owned();
        let mut number = || u64::from_str_radix(name.next()?, 16).ok();
        let (first, last) = (number()?, number()?);
        let it = Self { table, tenant, period: Period { day, hour }, collector, first, last };
        // Only what is ours to the letter.
        (parts.next().is_none() && first <= last && it.to_string() == path).then_some(it)
    }

    /// Whether all rows of another file are in this one, too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let is_beside = (self.table, self.period, &self.tenant, &self.collector)
            == (other.table, other.period, &other.tenant, &other.collector);
        is_beside && self != other && self.first <= other.first && other.last <= self.last
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, tenant, period, collector, first, last } = self;
        write!(f, "{}/", directory(*table, tenant, Some(*period)))?;
        if let Some(hour) = period.hour {
            write!(f, "{hour:02}/")?;
        }
        write!(f, "{collector}-{first:016x}-{last:016x}.parquet")
    }
}

/// Those of many files that are to be read: all but those whose rows another one has, too.
#[must_use]
pub fn visible(mut paths: Vec<FilePath>) -> Vec<FilePath> {
    // What covers another begins no later, and of two that begin together it ends later: it stands before it.
    let key = |path: &FilePath| {
        let beside = (path.table, path.tenant.clone(), path.period, path.collector.clone());
        (beside, path.first, std::cmp::Reverse(path.last))
    };
    paths.sort_by_cached_key(key);
    let mut visible: Vec<FilePath> = Vec::with_capacity(paths.len());
    for path in paths {
        // One that covers this also covers, or is, the last that was not covered itself.
        if !visible.last().is_some_and(|last| last.covers(&path) || *last == path) {
            visible.push(path);
        }
    }
    visible
}

/// The directory of a tenant in a table; of one day, if it is given.
#[must_use]
pub fn directory(table: Table, tenant: &str, day: Option<Period>) -> String {
    let of_tenant = format!("{}/{}", table.name(), encoded(tenant));
    day.map_or_else(
        || of_tenant.clone(),
        |Period { day, .. }| format!("{of_tenant}/{:04}-{:02}-{:02}", day.year(), day.month(), day.day()),
    )
}

/// A tenant's name as a directory, on any file system.
fn encoded(name: &str) -> String {
    let one = |c: u8| match c {
        b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => char::from(c).to_string(),
        other => format!("={other:02x}"),
    };
    name.bytes().map(one).collect()
}

fn plain(encoded_name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded_name.len());
    let mut rest = encoded_name.as_bytes();
    while let Some((&c, behind)) = rest.split_first() {
        if c == b'=' {
            let (digits, behind) = behind.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = behind;
        } else {
            bytes.push(c);
            rest = behind;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NS: u64 = 1_000_000_000;
    /// 2026-11-21 17:13:50.
    const UNIX_NS: u64 = 1_795_281_230 * NS;

    fn path(table: Table, first: u64, last: u64) -> FilePath {
        let hour = Period::hour_of(UNIX_NS);
        let period = if table.is_by_hour() { hour } else { hour.day() };
        let collector = "0123456789abcdef".to_owned();
        FilePath { table, tenant: "Team.a".to_owned(), period, collector, first, last }
    }

    #[test]
    fn a_path_says_all_and_is_read_back() {
        let samples = path(Table::Samples, 1, 0x1f);
        let text =
            "samples/=54eam=2ea/2026-11-21/17/0123456789abcdef-0000000000000001-000000000000001f.parquet";
        assert_eq!(samples.to_string(), text);
        assert_eq!(FilePath::parse(text), Some(samples));
        let stacks = path(Table::Stacks, 7, 7);
        assert_eq!(FilePath::parse(&stacks.to_string()), Some(stacks));
        for other in [
            "",
            "samples",
            "samples/a/2026-11-21/0123456789abcdef-0000000000000001-0000000000000001.parquet",
            "samples/a/2026-11-21/24/0123456789abcdef-0000000000000001-0000000000000001.parquet",
            "samples/a/2026-11-21/7/0123456789abcdef-0000000000000001-0000000000000001.parquet",
            "samples/A/2026-11-21/07/0123456789abcdef-0000000000000001-0000000000000001.parquet",
            "samples/a/2026-11-21/07/0123456789abcdef-0000000000000002-0000000000000001.parquet",
            "samples/a/2026-11-21/07/x/0123456789abcdef-0000000000000001-0000000000000001.parquet",
            "others/a/2026-11-21/07/0123456789abcdef-0000000000000001-0000000000000001.parquet",
        ] {
            assert_eq!(FilePath::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_period_ends_where_the_next_begins() {
        let hour = Period::hour_of(UNIX_NS);
        assert_eq!(Period::hour_of(hour.end_unix_ns() - 1), hour);
        assert_ne!(Period::hour_of(hour.end_unix_ns()), hour);
        let day = hour.day();
        assert_eq!(Period::hour_of(day.end_unix_ns() - 1).day(), day);
        assert_ne!(Period::hour_of(day.end_unix_ns()).day(), day);
    }

    #[test]
    fn a_time_has_days_and_hours_and_what_only_touches_it_is_not_of_it() {
        let hour = Period::hour_of(UNIX_NS);
        let (start, end) = (hour.start_unix_ns(), hour.end_unix_ns());
        assert_eq!(end - start, 3_600 * NS);
        assert!(hour.overlaps(start, start + 1) && hour.overlaps(end - 1, end + 5), "{hour:?}");
        assert!(!hour.overlaps(end, end + 5) && !hour.overlaps(start - 5, start), "{hour:?}");
        let day = hour.day();
        let days = |from, until, max| Period::days(from, until, max).map(|days| days.len());
        assert_eq!(days(UNIX_NS, UNIX_NS + 1, 9), Some(1));
        assert_eq!(days(UNIX_NS, day.end_unix_ns(), 9), Some(1));
        assert_eq!(days(UNIX_NS, day.end_unix_ns() + 1, 9), Some(2));
        assert_eq!(days(UNIX_NS, UNIX_NS, 9), Some(1), "nothing, and the day that it would be in");
        assert_eq!(days(0, u64::MAX, 9), None);
        assert_eq!(days(u64::MAX - 1, u64::MAX, 9), Some(1), "the end of what can be counted");
    }

    #[test]
    fn files_that_were_merged_are_not_read_beside_what_they_became() {
        let at = |first, last| path(Table::Samples, first, last);
        let files = vec![
            at(3, 3),
            at(1, 4),
            at(1, 1),
            at(5, 5),
            at(1, 2),
            at(4, 4),
            at(5, 6),
            path(Table::Stacks, 2, 2),
        ];
        let seen = visible(files);
        assert_eq!(seen, [at(1, 4), at(5, 6), path(Table::Stacks, 2, 2)]);
    }
}

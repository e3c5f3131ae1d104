//! Which files are merged, and which are removed. Pure: a listing and the time in, a plan out.

use std::collections::{BTreeMap, BTreeSet};

use super::path::{FilePath, Period, Table, visible};

/// What is merged at once: it is in memory, as it is stored.
const MAX_MERGE_BYTES: u64 = 16 << 20;
/// So many at once: segments wait while files are merged.
const MAX_FILES: usize = 64;
/// While an hour lasts, so many small files become one; afterwards, two.
const MIN_FILES: usize = 8;
/// So long after the end of an hour or a day, nearly all of it is there.
const SETTLED_NS: u64 = 300_000_000_000;

/// Files that become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// In the order of their segments.
    pub inputs: Vec<FilePath>,
    /// What they become.
    pub output: FilePath,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// For so long; for ever, if it does not say.
    pub max_age_ns: Option<u64>,
    /// So much; everything, if it does not say.
    pub max_bytes: Option<u64>,
}

/// Files of a collector that another one of its files has the rows of: what a crash has left between two steps.
#[must_use]
pub fn leftovers(files: &[(FilePath, u64)], collector: &str) -> Vec<FilePath> {
    let own: Vec<FilePath> =
        files.iter().map(|(path, _)| path).filter(|path| path.collector == collector).cloned().collect();
    let seen: BTreeSet<FilePath> = visible(own.clone()).into_iter().collect();
    own.into_iter().filter(|path| !seen.contains(path)).collect()
}

/// What to merge of a collector's own files. All of its segments up to the last that has a file must be in the store.
#[must_use]
pub fn merges(files: &[(FilePath, u64)], collector: &str, now_unix_ns: u64) -> Vec<Merge> {
    let mut directories: BTreeMap<_, Vec<(&FilePath, u64)>> = BTreeMap::new();
    for (path, n_bytes) in files.iter().filter(|(path, _)| path.collector == collector) {
        directories
            .entry((path.table, path.tenant.as_str(), path.period))
            .or_default()
            .push((path, *n_bytes));
    }
    let mut merges = Vec::new();
    for ((_, _, period), mut files) in directories {
        files.sort();
        let is_settled = period.end_unix_ns().saturating_add(SETTLED_NS) < now_unix_ns;
        let min_files = if is_settled { 2 } else { MIN_FILES };
        let mut run: Vec<&FilePath> = Vec::new();
        let mut run_bytes = 0_u64;
        for (path, n_bytes) in files {
            // What is large enough stays as it is: it would be written again and again.
            let is_small = n_bytes.saturating_mul(2) < MAX_MERGE_BYTES;
            if !is_small || run.len() >= MAX_FILES || run_bytes.saturating_add(n_bytes) > MAX_MERGE_BYTES {
                merges.extend(merge(&std::mem::take(&mut run), min_files));
                run_bytes = 0;
            }
            if is_small {
                run.push(path);
                run_bytes = run_bytes.saturating_add(n_bytes);
            }
        }
        merges.extend(merge(&run, min_files));
    }
    merges
}

fn merge(run: &[&FilePath], min_files: usize) -> Option<Merge> {
    let (first, last) = (run.first()?, run.last()?);
    (run.len() >= min_files).then(|| Merge {
        inputs: run.iter().map(|path| (*path).clone()).collect(),
        output: FilePath { last: last.last, ..(*first).clone() },
    })
}

/// What to remove: by age, then the oldest hours until the rest is small enough, and stacks and frames of days that have
/// nothing else.
#[must_use]
pub fn expired(files: &[(FilePath, u64)], retention: Retention, now_unix_ns: u64) -> Vec<FilePath> {
    let mut kept: BTreeSet<(&FilePath, u64)> = files.iter().map(|(path, n_bytes)| (path, *n_bytes)).collect();
    if let Some(max_age_ns) = retention.max_age_ns {
        let until = now_unix_ns.saturating_sub(max_age_ns);
        kept.retain(|(path, _)| path.period.end_unix_ns() > until);
    }
    if let Some(max_bytes) = retention.max_bytes {
        let mut n_bytes = kept.iter().fold(0_u64, |sum, (_, n_bytes)| sum.saturating_add(*n_bytes));
        let hours: BTreeSet<Period> = rows(&kept).map(|path| path.period).collect();
        // The hour that is written stays: it would be gone before it is read.
        for hour in hours.into_iter().filter(|hour| hour.end_unix_ns() <= now_unix_ns) {
            if n_bytes <= max_bytes {
                break;
            }
            kept.retain(|(path, _)| path.period != hour);
            drop_unused(&mut kept, now_unix_ns);
            n_bytes = kept.iter().fold(0, |sum, (_, n_bytes)| sum.saturating_add(*n_bytes));
        }
    }
    drop_unused(&mut kept, now_unix_ns);
    let kept: BTreeSet<&FilePath> = kept.into_iter().map(|(path, _)| path).collect();
    files.iter().map(|(path, _)| path).filter(|path| !kept.contains(path)).cloned().collect()
}

fn rows<'a>(files: &'a BTreeSet<(&FilePath, u64)>) -> impl Iterator<Item = &'a FilePath> {
    files.iter().map(|(path, _)| *path).filter(|path| matches!(path.table, Table::Samples | Table::Metrics))
}

/// Stacks and frames of days that are over and have no samples.
fn drop_unused(kept: &mut BTreeSet<(&FilePath, u64)>, now_unix_ns: u64) {
    let samples = rows(kept).filter(|path| path.table == Table::Samples);
    let days: BTreeSet<(String, Period)> =
        samples.map(|path| (path.tenant.clone(), path.period.day())).collect();
    kept.retain(|(path, _)| {
        let is_of_stacks = matches!(path.table, Table::Stacks | Table::Frames);
        let is_over = path.period.end_unix_ns().saturating_add(SETTLED_NS) < now_unix_ns;
        !is_of_stacks || !is_over || days.contains(&(path.tenant.clone(), path.period))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_NS: u64 = 3_600_000_000_000;
    /// 2026-11-21 00:00.
    const DAY_NS: u64 = 1_795_219_200_000_000_000;
    const OWN: &str = "0123456789abcdef";

    fn file(table: Table, hour: u64, first: u64, last: u64) -> FilePath {
        let period = Period::hour_of(DAY_NS + hour * HOUR_NS);
        let period = if matches!(table, Table::Samples | Table::Metrics) { period } else { period.day() };
        FilePath { table, tenant: "t".to_owned(), period, collector: OWN.to_owned(), first, last }
    }

    fn samples(hour: u64, segments: impl IntoIterator<Item = u64>, n_bytes: u64) -> Vec<(FilePath, u64)> {
        segments.into_iter().map(|n| (file(Table::Samples, hour, n, n), n_bytes)).collect()
    }

    fn spans(merges: &[Merge]) -> Vec<(u64, u64, usize)> {
        merges.iter().map(|merge| (merge.output.first, merge.output.last, merge.inputs.len())).collect()
    }

    #[test]
    fn small_files_become_one_sooner_when_their_hour_is_over() {
        let files = samples(3, 1..=4, 1_000);
        assert_eq!(spans(&merges(&files, OWN, DAY_NS + 3 * HOUR_NS)), []);
        assert_eq!(spans(&merges(&files, OWN, DAY_NS + 5 * HOUR_NS)), [(1, 4, 4)]);
        assert_eq!(spans(&merges(&files, "another", DAY_NS + 5 * HOUR_NS)), []);
        let files = samples(3, 1..=130, 1_000);
        assert_eq!(
            spans(&merges(&files, OWN, DAY_NS + 5 * HOUR_NS)),
            [(1, 64, 64), (65, 128, 64), (129, 130, 2)]
        );
        let files = samples(3, 1..=9, 1_000);
        assert_eq!(spans(&merges(&files, OWN, DAY_NS + 3 * HOUR_NS)), [(1, 9, 9)]);
    }

    #[test]
    fn merges_are_bounded_and_large_files_are_left() {
        let mut files = samples(3, 1..=3, 7 << 20);
        files.extend(samples(3, 4..=4, 9 << 20));
        files.extend(samples(3, 5..=6, 10));
        assert_eq!(spans(&merges(&files, OWN, DAY_NS + 5 * HOUR_NS)), [(1, 2, 2), (5, 6, 2)]);
    }

    #[test]
    fn what_a_crash_left_is_found() {
        let mut files = samples(3, 1..=3, 10);
        files.push((file(Table::Samples, 3, 1, 2), 20));
        let other = FilePath { collector: "f".repeat(16), ..file(Table::Samples, 3, 1, 1) };
        files.push((other, 10));
        let seen = leftovers(&files, OWN);
        assert_eq!(seen, [file(Table::Samples, 3, 1, 1), file(Table::Samples, 3, 2, 2)]);
    }

    #[test]
    fn what_is_too_old_or_too_much_goes_the_oldest_first_and_stacks_with_their_last_hour() {
        let mut files: Vec<(FilePath, u64)> =
            (0..4).flat_map(|hour| samples(hour, [hour + 1], 100)).collect();
        files.push((file(Table::Stacks, 0, 1, 1), 50));
        let hours =
            |removed: &[FilePath]| removed.iter().map(|path| (path.table, path.first)).collect::<Vec<_>>();
        let at = |hour: u64| DAY_NS + hour * HOUR_NS;
        let keep = |max_age_ns, max_bytes| Retention { max_age_ns, max_bytes };

        assert_eq!(hours(&expired(&files, Retention::default(), at(1_000))), []);
        let by_age = expired(&files, keep(Some(2 * HOUR_NS), None), at(4));
        assert_eq!(hours(&by_age), [(Table::Samples, 1), (Table::Samples, 2)]);
        let by_bytes = expired(&files, keep(None, Some(260)), at(30));
        assert_eq!(hours(&by_bytes), [(Table::Samples, 1), (Table::Samples, 2)]);
        let all = expired(&files, keep(None, Some(10)), at(30));
        assert_eq!(all.len(), files.len(), "{all:?}");
        let under_way = expired(&files, keep(None, Some(10)), at(3) + 1);
        assert_eq!(hours(&under_way), [(Table::Samples, 1), (Table::Samples, 2), (Table::Samples, 3)]);
    }
}

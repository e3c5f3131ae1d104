//! What was lost, by cause: counters of the kernel side and our own under one set of names.

use std::collections::BTreeMap;

use abi::counter::Counter;

use super::figures::sum;
use crate::run::Losses;

/// Counts by cause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Samples that were due and are in no profile.
    pub samples: BTreeMap<&'static str, u64>,
    /// All else: what makes stacks worse, or was seen later than it should have been.
    pub others: BTreeMap<&'static str, u64>,
}

impl Lost {
    /// Adds what one session, or one window of it, has counted.
    pub fn add(&mut self, counters: &[(Counter, u64)], losses: &Losses) {
        for (counter, count) in counters {
            match counter {
                Counter::Taken => {}
                Counter::RingFull | Counter::SlotsBusy => add(&mut self.samples, counter.name(), *count),
                _ => add(&mut self.others, counter.name(), *count),
            }
        }
        // Named one by one, so that a new one is not forgotten here.
        let Losses {
            process_events,
            unknown_process,
            undecoded,
            table_writes,
            files_unopened,
            tables_without_room,
            tables_too_large,
            tables_evicted,
            tables_refused,
            captures_dropped,
            mappings_refused,
            threads_full,
            unexplained,
        } = *losses;
        for (cause, count) in [
            ("unknown_process", unknown_process),
            ("undecoded_records", undecoded),
            ("unexplained", unexplained),
        ] {
            add(&mut self.samples, cause, count);
        }
        for (cause, count) in [
            ("process_events", process_events),
            ("table_writes", table_writes),
            ("files_unopened", files_unopened),
            ("tables_without_room", tables_without_room),
            ("tables_too_large", tables_too_large),
            ("tables_evicted", tables_evicted),
            ("tables_refused", tables_refused),
            ("captures_dropped", captures_dropped),
            ("mappings_refused", mappings_refused),
            ("threads_not_followed", threads_full),
        ] {
            add(&mut self.others, cause, count);
        }
    }

    /// Samples of all causes.
    #[must_use]
    pub fn n_samples(&self) -> u64 {
        sum(self.samples.values())
    }

    /// Of the others, those of one cause.
    #[must_use]
    pub fn others_by(&self, cause: &str) -> u64 {
        self.others.get(cause).copied().unwrap_or_default()
    }
}

/// A cause stands there from the first time it is asked for, with 0: a metric that appears late has no beginning.
fn add(counts: &mut BTreeMap<&'static str, u64>, cause: &'static str, count: u64) {
    let n = counts.entry(cause).or_default();
    *n = n.saturating_add(count);
}

#[cfg(test)]
mod tests {
    use abi::counter::Counter;

    use super::Lost;
    use crate::run::Losses;

    #[test]
    fn samples_are_told_from_other_losses_and_those_taken_are_none() {
        let counters: Vec<_> = Counter::ALL.iter().map(|counter| (*counter, 10)).collect();
        let losses = Losses { unknown_process: 3, process_events: 7, ..Losses::default() };
        let mut lost = Lost::default();
        lost.add(&counters, &losses);
        lost.add(&counters, &losses);
        assert_eq!(lost.n_samples(), 46, "{lost:?}");
        assert_eq!(lost.others_by("process_events"), 14, "{lost:?}");
        assert!(!lost.others.contains_key("samples_taken"), "{lost:?}");
        assert_eq!(lost.others_by("targets_full"), 20, "{lost:?}");
        assert_eq!(lost.samples.get("unexplained"), Some(&0), "{lost:?}");
    }
}

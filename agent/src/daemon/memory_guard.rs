//! What is done when the agent itself nears its memory limit. Pure: decisions, in the time of the caller.

use std::time::Duration;

/// From here on caches go.
const DROP_CACHES_AT: f64 = 0.8;
/// Caches that were dropped fill again; dropping them more often only costs time.
const CACHES_REST: Duration = Duration::from_secs(60);
/// What a new session leaves behind takes as long to be given back.
const RECYCLE_REST: Duration = Duration::from_secs(30);
/// A session that has to be recycled more often than this is no cure.
const RECYCLE_HELPS_FOR: Duration = Duration::from_secs(300);

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryAction {
    /// Forget names, files and tables that can be had again.
    DropCaches,
    /// End the session and begin a new one: all that grew with it goes.
    RecycleSession,
    /// Deliver what can be delivered and end, for a restart by whoever supervises.
    Exit,
}

/// Remembers what has been tried.
#[derive(Clone, Debug, Default)]
pub struct MemoryGuard {
    dropped_ns: Option<u64>,
    recycled_ns: Option<u64>,
}

impl MemoryGuard {
    /// What to do at this size. A limit of 0 is none.
    pub fn decide(&mut self, now_ns: u64, rss_bytes: u64, limit_bytes: u64) -> Option<MemoryAction> {
        let share = rss_bytes as f64 / limit_bytes as f64;
        if limit_bytes == 0 || share < DROP_CACHES_AT {
            return None;
        }
        let within = |since: Option<u64>, time: Duration| {
            since.is_some_and(|ns| u128::from(now_ns.saturating_sub(ns)) < time.as_nanos())
        };
        // Each is given time to show before the next one is tried.
        if within(self.recycled_ns, RECYCLE_REST) {
            return None;
        }
        if !within(self.dropped_ns, CACHES_REST) {
            self.dropped_ns = Some(now_ns);
            return Some(MemoryAction::DropCaches);
        }
        if share < 1.0 {
            return None;
        }
        if within(self.recycled_ns, RECYCLE_HELPS_FOR) {
            return Some(MemoryAction::Exit);
        }
        self.recycled_ns = Some(now_ns);
        Some(MemoryAction::RecycleSession)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::{MemoryAction, MemoryGuard};

    /// Actions of so many seconds, each with its second; the size is in percent of the limit.
    fn run(guard: &mut MemoryGuard, from: u64, to: u64, percent: u64) -> Vec<(u64, MemoryAction)> {
        let mut at = |second: u64| guard.decide(second * 1_000_000_000, percent, 100);
        (from..to).filter_map(|second| Some((second, at(second)?))).collect()
    }

    #[test]
    fn caches_go_first_then_the_session_then_the_agent_each_with_time_to_show() {
        let mut guard = MemoryGuard::default();
        assert_eq!(run(&mut guard, 0, 100, 79), []);
        let nearly = run(&mut guard, 100, 200, 85);
        assert_eq!(nearly, [(100, MemoryAction::DropCaches), (160, MemoryAction::DropCaches)]);
        let full = run(&mut guard, 200, 232, 101);
        let last = [MemoryAction::RecycleSession, MemoryAction::DropCaches, MemoryAction::Exit];
        assert_eq!(full, [200, 230, 231].into_iter().zip(last).collect::<Vec<_>>());
    }

    #[test]
    fn a_limit_that_is_passed_at_once_has_caches_dropped_and_the_session_recycled() {
        let mut guard = MemoryGuard::default();
        let seen = run(&mut guard, 0, 5, 120);
        assert_eq!(seen, [(0, MemoryAction::DropCaches), (1, MemoryAction::RecycleSession)]);
        // It helped, for long enough.
        assert_eq!(run(&mut guard, 5, 1000, 50), []);
        let again = run(&mut guard, 1000, 1002, 120);
        assert_eq!(again, [(1000, MemoryAction::DropCaches), (1001, MemoryAction::RecycleSession)]);
    }

    proptest! {
        #[test]
        fn no_session_ends_for_less_than_the_limit(sizes in proptest::collection::vec(0..100_u64, 1..500)) {
            let mut guard = MemoryGuard::default();
            for (second, size) in sizes.into_iter().enumerate() {
                let action = guard.decide(second as u64 * 1_000_000_000, size, 100);
                prop_assert!(matches!(action, None | Some(MemoryAction::DropCaches)), "{:?}", action);
                prop_assert!(action.is_none() || size >= 80, "{:?} at {size}", action);
            }
        }
    }
}

//! What is done when the agent itself nears its memory limit. Pure: decisions, in the time of the caller.

use std::time::Duration;

/// From here on caches go.
const DROP_CACHES_AT: f64 = 0.8;
/// Caches that were dropped fill again; dropping them more often only costs time.
const CACHES_REST: Duration = Duration::from_secs(60);
/// From here on a window ends before its time: most of what it holds goes with it.
const END_WINDOW_AT: f64 = 0.9;
/// It has to be named and delivered before the next one.
const WINDOW_REST: Duration = Duration::from_secs(3);
/// What a new session or a lower rate leaves behind takes as long to be given back.
const EASED_REST: Duration = Duration::from_secs(30);
/// A session that has to be recycled more often than this is no cure.
const RECYCLE_HELPS_FOR: Duration = Duration::from_secs(300);
/// A sixteenth of the rate: if that is too much, it is not the samples.
const MAX_LOWERED: u32 = 4;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryAction {
    /// Forget names, files and tables that can be had again.
    DropCaches,
    /// Hand over what the window has, now.
    EndWindow,
    /// End the session and begin a new one: all that grew with it goes.
    RecycleSession,
    /// Sample half as often.
    LowerRate,
    /// Deliver what can be delivered and end, for a restart by whoever supervises.
    Exit,
}

/// Remembers what has been tried.
#[derive(Clone, Debug, Default)]
pub struct MemoryGuard {
    dropped_ns: Option<u64>,
    ended_ns: Option<u64>,
    recycled_ns: Option<u64>,
    /// Recycled, or the rate lowered.
    eased_ns: Option<u64>,
    /// So many times, since it was recycled.
    n_lowered: u32,
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
        if !within(self.dropped_ns, CACHES_REST) {
            self.dropped_ns = Some(now_ns);
            return Some(MemoryAction::DropCaches);
        }
        if share < END_WINDOW_AT {
            return None;
        }
        if !within(self.ended_ns, WINDOW_REST) {
            self.ended_ns = Some(now_ns);
            return Some(MemoryAction::EndWindow);
        }
        if share < 1.0 || within(self.eased_ns, EASED_REST) {
            return None;
        }
        self.eased_ns = Some(now_ns);
        if !within(self.recycled_ns, RECYCLE_HELPS_FOR) {
            self.recycled_ns = Some(now_ns);
            self.n_lowered = 0;
            return Some(MemoryAction::RecycleSession);
        }
        if self.n_lowered < MAX_LOWERED {
            self.n_lowered += 1;
            return Some(MemoryAction::LowerRate);
        }
        Some(MemoryAction::Exit)
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
    fn caches_go_first_then_the_window_the_session_half_of_the_rate_and_the_agent_each_with_time_to_show() {
        use MemoryAction::{DropCaches, EndWindow, Exit, LowerRate, RecycleSession};
        let mut guard = MemoryGuard::default();
        assert_eq!(run(&mut guard, 0, 100, 79), []);
        assert_eq!(run(&mut guard, 100, 200, 85), [(100, DropCaches), (160, DropCaches)]);
        assert_eq!(run(&mut guard, 200, 207, 95), [(200, EndWindow), (203, EndWindow), (206, EndWindow)]);
        let full = run(&mut guard, 207, 500, 101);
        let end = full.iter().position(|(_, action)| *action == Exit).expect("it ends");
        let rare: Vec<_> =
            full[..=end].iter().filter(|it| !matches!(it.1, EndWindow | DropCaches)).copied().collect();
        let steps = [RecycleSession, LowerRate, LowerRate, LowerRate, LowerRate, Exit];
        assert_eq!(rare.iter().map(|it| it.1).collect::<Vec<_>>(), steps, "{full:?}");
        assert!(rare.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 30), "{rare:?}");
    }

    #[test]
    fn a_limit_that_is_passed_at_once_has_everything_tried_that_costs_no_samples() {
        use MemoryAction::{DropCaches, EndWindow, RecycleSession};
        let mut guard = MemoryGuard::default();
        let seen = run(&mut guard, 0, 3, 120);
        assert_eq!(seen, [(0, DropCaches), (1, EndWindow), (2, RecycleSession)]);
        // It helped, for long enough.
        assert_eq!(run(&mut guard, 3, 1000, 50), []);
        let again = run(&mut guard, 1000, 1003, 120);
        assert_eq!(again, [(1000, DropCaches), (1001, EndWindow), (1002, RecycleSession)]);
    }

    proptest! {
        #[test]
        fn no_session_ends_for_less_than_the_limit(sizes in proptest::collection::vec(0..100_u64, 1..500)) {
            let mut guard = MemoryGuard::default();
            for (second, size) in sizes.into_iter().enumerate() {
                let action = guard.decide(second as u64 * 1_000_000_000, size, 100);
                prop_assert!(matches!(action, None | Some(MemoryAction::DropCaches | MemoryAction::EndWindow)), "{:?}", action);
                prop_assert!(action.is_none() || size >= 80, "{:?} at {size}", action);
            }
        }
    }
}

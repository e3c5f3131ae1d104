//! How often something costly may be done, so that it takes a bounded share of the time.

/// One two-hundredth: half a percent.
const REST_PER_WORK: u64 = 200;

/// When the next round may begin, by how long the last one took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Budget {
    next_ns: u64,
    /// Rest that can be had after the work, if there was none before.
    saved_ns: u64,
    /// Rounds so far.
    pub(super) n_rounds: u64,
    /// Time of all of them.
    pub(super) spent_ns: u64,
}

impl Budget {
    /// Many small rounds in a row, as long as the rest after them all is no longer than this.
    pub(super) fn in_bursts(saved_ns: u64) -> Self {
        Self { saved_ns, ..Self::default() }
    }

    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        now_ns.saturating_add(self.saved_ns) >= self.next_ns
    }

    /// A round has been done.
    pub(super) fn spend(&mut self, began_ns: u64, ended_ns: u64) {
        let took_ns = ended_ns.saturating_sub(began_ns);
        self.n_rounds += 1;
        self.spent_ns = self.spent_ns.saturating_add(took_ns);
        let rest_ns = took_ns.saturating_mul(REST_PER_WORK);
        self.next_ns = self.next_ns.max(ended_ns).saturating_add(rest_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    #[test]
    fn small_rounds_come_in_bursts_and_take_the_same_share_of_the_time() {
        for (cost_ns, share_bounds) in [(100_000, 0.0040..0.0056), (1_000, 0.0..0.0001)] {
            let mut budget = Budget::in_bursts(5_000_000_000);
            let (mut now_ns, mut longest_burst_ns) = (0, 0);
            // A hundred calls, five seconds apart, with a thousand rounds to do each.
            for call in 0..100_u64 {
                now_ns = now_ns.max(call * 5_000_000_000);
                let began_ns = now_ns;
                for _ in 0..(if cost_ns < 10_000 { 10 } else { 1000 }) {
                    if budget.is_due(now_ns) {
                        budget.spend(now_ns, now_ns + cost_ns);
                        now_ns += cost_ns;
                    }
                }
                longest_burst_ns = longest_burst_ns.max(now_ns - began_ns);
            }
            let share = budget.spent_ns as f64 / (100.0 * 5e9);
            assert!(share_bounds.contains(&share), "{cost_ns} ns a round: {share} of the time");
            assert!(longest_burst_ns <= 5_000_000_000 / 200 + 2 * cost_ns, "{longest_burst_ns} ns at once");
        }
    }

    #[test]
    fn whatever_a_round_costs_its_share_of_the_time_is_bounded() {
        for cost_ns in [1_000, 3_000_000, 2_000_000_000_u64] {
            let mut budget = Budget::default();
            let (mut now_ns, interval_ns) = (0, 1_000_000_000);
            while budget.n_rounds < 5 {
                if budget.is_due(now_ns) {
                    budget.spend(now_ns, now_ns + cost_ns);
                    now_ns += cost_ns;
                }
                now_ns += interval_ns;
            }
            // The last round has not been rested from yet.
            let share = 4.0 * cost_ns as f64 / (now_ns - cost_ns - interval_ns) as f64;
            assert!(share < 0.01, "{cost_ns} ns a round: {share} of the time");
        }
    }
}

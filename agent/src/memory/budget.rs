//! How often something costly may be done, so that it takes a bounded share of the time.

/// One two-hundredth: half a percent.
const REST_PER_WORK: u64 = 200;

/// When the next round may begin, by how long the last one took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Budget {
    next_ns: u64,
    /// Rounds so far.
    pub(super) n_rounds: u64,
    /// Time of all of them.
    pub(super) spent_ns: u64,
}

impl Budget {
    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        now_ns >= self.next_ns
    }

    /// A round has been done.
    pub(super) fn spend(&mut self, began_ns: u64, ended_ns: u64) {
        let took_ns = ended_ns.saturating_sub(began_ns);
        self.n_rounds += 1;
        self.spent_ns = self.spent_ns.saturating_add(took_ns);
        self.next_ns = ended_ns.saturating_add(took_ns.saturating_mul(REST_PER_WORK));
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

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

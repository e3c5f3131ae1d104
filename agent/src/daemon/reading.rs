//! From what was spent to what the governor goes by, and from its steps to figures.

use std::{collections::BTreeMap, time::Duration};

use super::{
    figures::BudgetFigures,
    governor::{Reading, Step, StepReason},
};
use crate::kernel::Cost;

/// What was spent until a moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Spent {
    /// The moment.
    pub(super) taken_ns: u64,
    /// By program of the kernel side; none where this kernel keeps no statistics for us.
    pub(super) programs: BTreeMap<String, Cost>,
    /// By the agent, user and system.
    pub(super) agent_cpu: Duration,
}

impl Reading {
    /// What was used between two moments. `sampling` are the programs that sample at the rate.
    pub(super) fn between(before: &Spent, after: &Spent, sampling: &[&str], n_cpus: u32) -> Self {
        // The run time of a program that was loaded anew begins at 0 again: nothing is known of that second.
        let used = |name: &str| {
            let run_time = |spent: &Spent| spent.programs.get(name).map(|cost| cost.run_time);
            let (before, after) = (run_time(before).unwrap_or_default(), run_time(after).unwrap_or_default());
            after.saturating_sub(before)
        };
        let (sampling, others): (Vec<_>, Vec<_>) =
            after.programs.keys().partition(|name| sampling.contains(&name.as_str()));
        let sum = |names: Vec<&String>| names.into_iter().map(|name| used(name)).sum::<Duration>();
        Self {
            elapsed: Duration::from_nanos(after.taken_ns.saturating_sub(before.taken_ns)),
            n_cpus,
            sampling: (!after.programs.is_empty()).then(|| sum(sampling)),
            rest: after.agent_cpu.saturating_sub(before.agent_cpu).saturating_add(sum(others)),
        }
    }
}

impl BudgetFigures {
    /// The rate has changed.
    pub(super) fn note(&mut self, step: &Step) {
        self.frequency_hz = step.to_hz;
        self.last_step = Some(step.reason);
        let n = match step.reason {
            StepReason::OverBudget { .. } | StepReason::ShortOfMemory { .. } => &mut self.n_lowered,
            StepReason::BelowBudget { .. } => &mut self.n_raised,
        };
        *n = n.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BudgetFigures, Reading, Spent, Step, StepReason};
    use crate::kernel::Cost;

    fn figures(taken_s: u64, programs: &[(&str, u64)], agent_ms: u64) -> Spent {
        let cost = |ms: u64| Cost { run_time: Duration::from_millis(ms), n_runs: ms };
        Spent {
            taken_ns: taken_s * 1_000_000_000,
            programs: programs.iter().map(|(name, ms)| ((*name).to_owned(), cost(*ms))).collect(),
            agent_cpu: Duration::from_millis(agent_ms),
        }
    }

    #[test]
    fn what_the_rate_causes_is_told_from_the_rest() {
        let before = figures(10, &[("brazier_cpu", 100), ("brazier_fork", 10)], 1_000);
        let after = figures(11, &[("brazier_cpu", 130), ("brazier_fork", 14), ("new", 2)], 1_050);
        let seen = Reading::between(&before, &after, &["brazier_cpu"], 4);
        let ms = Duration::from_millis;
        assert_eq!(seen, Reading { elapsed: ms(1_000), n_cpus: 4, sampling: Some(ms(30)), rest: ms(56) });
        let none = Reading::between(&before, &figures(11, &[], 1_050), &["brazier_cpu"], 4);
        assert_eq!((none.sampling, none.rest), (None, ms(50)), "{none:?}");
        let anew = Reading::between(&after, &figures(12, &[("brazier_cpu", 5)], 1_060), &["brazier_cpu"], 4);
        assert_eq!((anew.sampling, anew.rest), (Some(ms(0)), ms(10)), "{anew:?}");
    }

    #[test]
    fn steps_for_the_sake_of_the_budget_are_counted() {
        let mut budget = BudgetFigures::default();
        let over = StepReason::OverBudget { used_percent: 2.0, budget_percent: 1.0 };
        let below = StepReason::BelowBudget { expected_percent: 0.5, budget_percent: 1.0 };
        let short = StepReason::ShortOfMemory { rss_bytes: 70 << 20, limit_bytes: 64 << 20 };
        for (to_hz, reason) in [(49, over), (24, short), (49, below)] {
            budget.note(&Step { from_hz: 99, to_hz, reason });
        }
        assert_eq!((budget.n_lowered, budget.n_raised, budget.frequency_hz), (2, 1, 49), "{budget:?}");
    }
}

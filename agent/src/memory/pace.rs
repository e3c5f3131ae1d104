//! A timer that does not run after the times that it has slept through.

/// When the next reading is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    due_ns: u64,
    interval_ns: u64,
}

impl Pace {
    /// The first one is due at once.
    pub(super) fn new(now_ns: u64, interval_ns: u64) -> Self {
        Self { due_ns: now_ns, interval_ns: interval_ns.max(1) }
    }

    pub(super) fn due_ns(&self) -> u64 {
        self.due_ns
    }

    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        now_ns >= self.due_ns
    }

    /// A reading was taken. How many more were due by then: they are missed.
    pub(super) fn step(&mut self, now_ns: u64) -> u64 {
        self.due_ns = self.due_ns.saturating_add(self.interval_ns);
        let n_late = now_ns.saturating_sub(self.due_ns) / self.interval_ns;
        self.due_ns = self.due_ns.saturating_add(n_late.saturating_mul(self.interval_ns));
        n_late
    }
}

#[cfg(test)]
mod tests {
    use super::Pace;

    #[test]
    fn times_that_were_slept_through_are_told_and_not_made_up_for() {
        let mut pace = Pace::new(1000, 10);
        assert!(pace.is_due(1000) && !pace.is_due(999), "{pace:?}");
        // What was due at 1050 is read late, what was due at 1040 never.
        let missed = [1000, 1010, 1020, 1055, 1056].map(|now_ns| pace.step(now_ns));
        assert_eq!(missed, [0, 0, 0, 1, 0], "{pace:?}");
        assert_eq!(pace.due_ns(), 1060);
    }
}

//! What the steps of a test run added up to.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::suite::libtest::Counts;

/// What a step has to say about itself.
pub(crate) enum Outcome {
    /// It ran tests, which are counted one by one. The flag says whether the whole command succeeded.
    Ran { counts: Counts, succeeded: bool },
    /// It is a check of its own, and held.
    Held,
    /// It could not run here.
    Skipped(String),
}

#[derive(Default)]
pub(crate) struct Tally {
    steps: Vec<Step>,
}

struct Step {
    name: &'static str,
    took: Duration,
    counts: Counts,
    remark: String,
}

impl Tally {
    /// Runs one step; an error is a failure of the step, never of the run.
    pub(crate) fn step(&mut self, name: &'static str, body: impl FnOnce() -> Result<Outcome>) {
        println!("\n== {name}");
        let start = Instant::now();
        let outcome = body();
        let (counts, remark) = judge(outcome);
        if !remark.is_empty() {
            println!("{name}: {remark}");
        }
        self.steps.push(Step { name, took: start.elapsed(), counts, remark });
    }

    /// Prints the summary, its last line the verdict, and returns the number of failures.
    pub(crate) fn print(&self) -> u64 {
        println!("\n== summary");
        let mut total = Counts::default();
        for step in &self.steps {
            total += step.counts;
            let first = step.remark.lines().next().unwrap_or_default();
            println!("{:>7.1} s  {:<28} {}  {first}", step.took.as_secs_f64(), step.name, step.counts);
        }
        println!("{total}");
        total.failed
    }
}

fn judge(outcome: Result<Outcome>) -> (Counts, String) {
    match outcome {
        Ok(Outcome::Held) => (Counts { passed: 1, ..Counts::default() }, String::new()),
        Ok(Outcome::Skipped(reason)) => {
            (Counts { skipped: 1, ..Counts::default() }, format!("skipped: {reason}"))
        }
        Ok(Outcome::Ran { counts, succeeded }) if succeeded && counts.passed == 0 && counts.failed == 0 => {
            (Counts { failed: 1, ..counts }, "failed: no test ran".to_owned())
        }
        // A binary that does not compile, or that dies, prints no count; it is a failure all the same.
        Ok(Outcome::Ran { counts, succeeded: false }) if counts.failed == 0 => {
            (Counts { failed: 1, ..counts }, "failed without naming a test".to_owned())
        }
        Ok(Outcome::Ran { counts, .. }) => (counts, String::new()),
        Err(error) => (Counts { failed: 1, ..Counts::default() }, format!("failed: {error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(outcome: Result<Outcome>) -> u64 {
        judge(outcome).0.failed
    }

    #[test]
    fn a_command_that_fails_without_a_failed_test_counts_as_one_failure() {
        let counts = Counts { passed: 3, ..Counts::default() };
        assert_eq!(failures(Ok(Outcome::Ran { counts, succeeded: false })), 1);
        assert_eq!(failures(Ok(Outcome::Ran { counts, succeeded: true })), 0);
    }

    #[test]
    fn a_command_that_ran_no_test_counts_as_one_failure() {
        let counts = Counts { skipped: 2, ..Counts::default() };
        assert_eq!(failures(Ok(Outcome::Ran { counts, succeeded: true })), 1);
    }

    #[test]
    fn an_error_counts_as_one_failure_and_a_skipped_step_as_none() {
        assert_eq!(failures(Err(anyhow::anyhow!("no"))), 1);
        assert_eq!(failures(Ok(Outcome::Skipped("why".into()))), 0);
    }
}

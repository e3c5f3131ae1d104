//! Keeps what measuring costs within its budget. Pure: what it is told once a second makes all of it.
//!
//! The rate of sampling goes in steps, each half of the one before. What a step changes is the run time of the kernel
//! programs that sample at this rate; it is taken to be in proportion to the rate. All the rest (other programs, and
//! the agent itself) comes in bursts that have other causes: a new program is symbolized, a window is encoded. So of the
//! rest counts what it takes all the time, not what it takes in a burst, and however much that is, a part of the budget
//! stays for sampling: a lower rate would not help then.

mod rest;

use std::{collections::VecDeque, fmt, time::Duration};

use rest::Rest;

/// Nothing is sampled less often.
const FLOOR_HZ: u64 = 1;
/// The mean over so much time has to be above the budget before the rate falls.
const LOWERED_AFTER: Duration = Duration::from_secs(3);
/// What is to come has to be below [`RAISED_BELOW`] for so long before the rate rises.
const RAISED_AFTER: Duration = Duration::from_secs(10);
/// Of the budget. A rate that was left at more than the whole of it, and would be gone back to at less than this, is
/// not gone back to in a circle.
const RAISED_BELOW: f64 = 0.7;
/// The rate that is chosen is to need no more of the room than this, so that the next second is not one too many.
const FILLED_TO: f64 = 0.9;
/// Of the budget, at the least, for kernel programs, whatever the rest takes.
const LEAST_ROOM: f64 = 0.25;
/// A step up that is taken back within this time was wrong, and the next one waits for twice as long: what the rest
/// takes at a higher rate shows late...
const WRONG_WITHIN: Duration = Duration::from_secs(120);
/// ...up to this...
const LONGEST_WAIT: Duration = Duration::from_secs(160);
/// ...until the last wrong one is as long ago.
const FORGIVEN_AFTER: Duration = Duration::from_secs(300);

/// What was used since the last reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// How long ago that was.
    pub elapsed: Duration,
    /// CPUs of this host.
    pub n_cpus: u32,
    /// Kernel programs that sample at the rate; none if this kernel keeps no statistics for us.
    pub sampling: Option<Duration>,
    /// All other kernel programs, and all CPU time of the agent.
    pub rest: Duration,
}

/// A change of the rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Samples a second on each CPU until now.
    pub from_hz: u64,
    /// And from now on.
    pub to_hz: u64,
    /// Why.
    pub reason: StepReason,
}

/// Why the rate is changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StepReason {
    /// It cost more than the budget.
    OverBudget {
        /// What it took, of all CPUs.
        used_percent: f64,
        /// What it may take.
        budget_percent: f64,
    },
    /// A higher rate is expected to cost well below the budget.
    BelowBudget {
        /// What the higher rate is expected to take.
        expected_percent: f64,
        /// What it may take.
        budget_percent: f64,
    },
    /// What is sampled takes too much memory.
    ShortOfMemory {
        /// What the agent has resident.
        rss_bytes: u64,
        /// What it may have.
        limit_bytes: u64,
    },
}

impl fmt::Display for StepReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OverBudget { used_percent, budget_percent } => {
                write!(f, "took {used_percent:.2} % of this host, and the budget is {budget_percent} %")
            }
            Self::BelowBudget { expected_percent, budget_percent } => {
                write!(
                    f,
                    "expected to take {expected_percent:.2} % of this host, and the budget is {budget_percent} %"
                )
            }
            Self::ShortOfMemory { rss_bytes, limit_bytes } => {
                write!(f, "{rss_bytes} bytes are resident, and the limit is {limit_bytes}")
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "samples a second: {} -> {} ({})", self.from_hz, self.to_hz, self.reason)
    }
}

/// What was used in the time of one reading, in percent of the host.
#[derive(Clone, Copy, Debug)]
struct Used {
    elapsed: Duration,
    /// By the programs that sample, for each sample a second.
    per_hz: f64,
    /// By all.
    used: f64,
}

/// Chooses the rate.
#[derive(Debug)]
pub struct Governor {
    budget_percent: f64,
    configured_hz: u64,
    /// The configured rate was halved so many times.
    n_halved: u32,
    /// Since the last step, the youngest last, for [`LOWERED_AFTER`].
    recent: VecDeque<Used>,
    /// What the programs that sample took over the last reading includes some of the rate before.
    is_settling: bool,
    rest: Rest,
    used_percent: f64,
    /// For how long a higher rate has been within [`RAISED_BELOW`].
    calm_for: Duration,
    raised_ago: Option<Duration>,
    wrong_ago: Option<Duration>,
    wait: Duration,
}

impl Governor {
    /// Begins at the configured rate. The budget is in percent of all CPUs.
    #[must_use]
    pub fn new(configured_hz: u64, budget_percent: f64) -> Self {
        Self {
            budget_percent,
            configured_hz: configured_hz.max(FLOOR_HZ),
            n_halved: 0,
            recent: VecDeque::new(),
            is_settling: true,
            rest: Rest::default(),
            used_percent: 0.0,
            calm_for: Duration::ZERO,
            raised_ago: None,
            wrong_ago: None,
            wait: RAISED_AFTER,
        }
    }

    /// Samples a second on each CPU, now.
    #[must_use]
    pub fn rate_hz(&self) -> u64 {
        self.rate_at(self.n_halved)
    }

    /// What all of it took over the last seconds, in percent of the host; bursts count.
    #[must_use]
    pub const fn used_percent(&self) -> f64 {
        self.used_percent
    }

    /// The part of it that is not sampling, and that it takes all the time; so much of the budget is not for the rate to
    /// give back.
    #[must_use]
    pub fn lasting_rest_percent(&self) -> f64 {
        self.rest.lasting_percent().unwrap_or_default()
    }

    /// Takes a reading, once a second or thereabouts; the step that follows from it.
    pub fn read(&mut self, reading: &Reading) -> Option<Step> {
        let host_seconds = reading.elapsed.as_secs_f64() * f64::from(reading.n_cpus.max(1));
        if host_seconds <= 0.0 {
            return None;
        }
        let percent = |used: Duration| 100.0 * used.as_secs_f64() / host_seconds;
        let rest = percent(reading.rest);
        self.rest.add(reading.elapsed, rest);
        self.note_time(reading.elapsed);
        if self.is_settling {
            self.is_settling = false;
            self.used_percent = reading.sampling.map_or(0.0, percent) + rest;
            return None;
        }
        // Without statistics there is nothing but the agent's own time to go by: what lasts of it counts as caused by
        // the rate, once it is known.
        let (sampling, lasting, used) = match reading.sampling.map(percent) {
            Some(sampling) => (sampling, self.lasting_rest_percent(), sampling + rest),
            None => (self.rest.lasting_percent().unwrap_or_default(), 0.0, rest),
        };
        let is_known = reading.sampling.is_some() || self.rest.lasting_percent().is_some();
        self.recent.push_back(Used {
            elapsed: reading.elapsed,
            per_hz: sampling / self.rate_hz() as f64,
            used,
        });
        while self.time_without_oldest() >= LOWERED_AFTER {
            self.recent.pop_front();
        }
        let mean = self.mean();
        self.used_percent = mean.used;
        if !is_known {
            return None;
        }
        let step = self.lower(&mean, lasting).or_else(|| self.raise(&mean, lasting, reading.elapsed));
        if step.is_some() && reading.sampling.is_none() {
            // It is of the rate before.
            self.rest = Rest::default();
        }
        step
    }

    /// Memory is short: half of the rate, for as long as after a step up that was wrong. None where it is the lowest.
    pub fn lower_for_memory(&mut self, rss_bytes: u64, limit_bytes: u64) -> Option<Step> {
        if self.n_halved >= self.configured_hz.ilog2() {
            return None;
        }
        self.raised_ago = None;
        self.wrong_ago = Some(Duration::ZERO);
        self.wait = LONGEST_WAIT;
        Some(self.step(self.n_halved + 1, StepReason::ShortOfMemory { rss_bytes, limit_bytes }))
    }

    fn note_time(&mut self, elapsed: Duration) {
        let later = |ago: Duration| ago.saturating_add(elapsed);
        self.raised_ago = self.raised_ago.map(later).filter(|ago| *ago < WRONG_WITHIN);
        self.wrong_ago = self.wrong_ago.map(later).filter(|ago| *ago < FORGIVEN_AFTER);
        if self.wrong_ago.is_none() {
            self.wait = RAISED_AFTER;
        }
    }

    fn lower(&mut self, mean: &Used, lasting: f64) -> Option<Step> {
        let room = self.room(lasting);
        let sampling = mean.per_hz * self.rate_hz() as f64;
        // What the last second did not take is over.
        let last = self.recent.back().map_or(0.0, |used| used.per_hz) * self.rate_hz() as f64;
        if mean.elapsed < LOWERED_AFTER || sampling <= room || last <= room {
            return None;
        }
        let floor = self.configured_hz.ilog2();
        let fits = |n_halved: &u32| mean.per_hz * self.rate_at(*n_halved) as f64 <= room * FILLED_TO;
        let n_halved = (self.n_halved..floor).find(fits).unwrap_or(floor);
        if n_halved == self.n_halved {
            return None;
        }
        if self.raised_ago.take().is_some() {
            self.wrong_ago = Some(Duration::ZERO);
            self.wait = self.wait.saturating_mul(2).min(LONGEST_WAIT);
        }
        let budget_percent = self.budget_percent;
        let used_percent = sampling + lasting;
        Some(self.step(n_halved, StepReason::OverBudget { used_percent, budget_percent }))
    }

    fn raise(&mut self, mean: &Used, lasting: f64, elapsed: Duration) -> Option<Step> {
        let n_halved = self.n_halved.checked_sub(1)?;
        let expected = mean.per_hz * self.rate_at(n_halved) as f64;
        if expected >= self.room(lasting) * RAISED_BELOW {
            self.calm_for = Duration::ZERO;
            return None;
        }
        self.calm_for = self.calm_for.saturating_add(elapsed);
        if self.calm_for < self.wait {
            return None;
        }
        let budget_percent = self.budget_percent;
        let expected_percent = expected + lasting;
        self.raised_ago = Some(Duration::ZERO);
        Some(self.step(n_halved, StepReason::BelowBudget { expected_percent, budget_percent }))
    }

    fn step(&mut self, n_halved: u32, reason: StepReason) -> Step {
        let from_hz = self.rate_hz();
        self.n_halved = n_halved;
        self.recent.clear();
        self.is_settling = true;
        self.calm_for = Duration::ZERO;
        Step { from_hz, to_hz: self.rate_hz(), reason }
    }

    /// What sampling may take.
    fn room(&self, lasting: f64) -> f64 {
        (self.budget_percent - lasting).max(self.budget_percent * LEAST_ROOM)
    }

    fn rate_at(&self, n_halved: u32) -> u64 {
        self.configured_hz.checked_shr(n_halved).unwrap_or(0).max(FLOOR_HZ)
    }

    fn time_without_oldest(&self) -> Duration {
        self.recent.iter().skip(1).map(|used| used.elapsed).sum()
    }

    fn mean(&self) -> Used {
        let elapsed: Duration = self.recent.iter().map(|used| used.elapsed).sum();
        let seconds = elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        let mean = |of: fn(&Used) -> f64| {
            self.recent.iter().map(|used| of(used) * used.elapsed.as_secs_f64()).sum::<f64>() / seconds
        };
        Used { elapsed, per_hz: mean(|used| used.per_hz), used: mean(|used| used.used) }
    }
}

#[cfg(test)]
mod tests;

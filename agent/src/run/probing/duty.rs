//! When probes are on. Pure: what it is told makes all of it.
//!
//! Time is cut into stretches, and in each there is one window in which probes count. A stretch is as many windows long
//! as it takes for its cost to be within the budget, and all places for the window are equally likely. So any moment
//! of a stretch of `n` windows is in its window with probability `1 / n`, and what is seen there stands for `n` times
//! as much. `n` and the place are settled before the stretch begins. So whatever came before, what is seen in a
//! stretch is expected to stand for what is in it, and that holds for the sum of all of them.

use std::{collections::VecDeque, ops::Range, time::Duration};

/// The length of a window: many times what it takes to put probes in, and short for those who wait for a result.
const WINDOW: Duration = Duration::from_millis(50);
/// And never less than so many times the lead.
const WINDOW_IN_LEADS: u64 = 2;
/// What the agent may be late by.
const SLACK: Duration = Duration::from_millis(8);
/// While probes stay in, the cost is looked at as often as this at least.
const LONGEST_LOOK: Duration = Duration::from_secs(1);
/// Nobody waits for a longer stretch.
const MAX_WINDOWS: f64 = 10_000.0;
/// The part of what is above the budget that the next stretch makes good.
const PAID_BACK: f64 = 0.25;
/// Samples ask late what they stand for, but not after so many stretches.
const N_REMEMBERED: usize = 512;

/// A stretch of time, with a window in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stretch {
    time: Range<u64>,
    window: Range<u64>,
    /// It is a single window, and lasts until the next stretch is settled.
    is_open: bool,
    /// Probes were in place for it.
    is_served: bool,
}

/// What the kernel side is to know of a window; it has room for two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gate {
    pub(super) number: u32,
    pub(super) window: Range<u64>,
}

/// The schedule.
#[derive(Debug)]
pub(super) struct Duty {
    /// Of one CPU.
    budget_share: f64,
    past: VecDeque<Stretch>,
    current: Stretch,
    next: Option<Stretch>,
    /// The gate of the last stretch that has one.
    gate: u32,
    /// From when probes are put in to when they count.
    lead_ns: u64,
    /// When, and what had been spent by then.
    began: (u64, f64),
    /// When a stretch was settled last, and what had been spent.
    settled_at: u64,
    settled_spent_ns: f64,
    /// What windows cost while they last, of one CPU, with what it takes to put probes in and out.
    cost_share: Option<f64>,
    /// In windows of stretches that are over.
    on_ns: u64,
}

impl Duty {
    /// Probes are in, and count from now on.
    pub(super) fn new(now_ns: u64, budget_share: f64, spent_ns: f64) -> Self {
        let time = now_ns..now_ns + nanos(WINDOW);
        Self {
            budget_share,
            past: VecDeque::new(),
            current: Stretch { window: time.clone(), time, is_open: true, is_served: true },
            next: None,
            gate: 0,
            lead_ns: nanos(SLACK),
            began: (now_ns, spent_ns),
            settled_at: now_ns,
            settled_spent_ns: spent_ns,
            cost_share: None,
            on_ns: 0,
        }
    }

    /// The gate of the first stretch.
    pub(super) fn first_gate(&self) -> Gate {
        Gate { number: self.gate, window: self.current.window.start..u64::MAX }
    }

    /// Whether probes have to be in place.
    pub(super) fn wants_probes(&self, now_ns: u64) -> bool {
        let wants = |stretch: &Stretch| {
            stretch.window.start.saturating_sub(self.lead_ns) <= now_ns
                && (now_ns < stretch.window.end || !stretch.is_served)
        };
        self.current.is_open && self.next.is_none()
            || wants(&self.current)
            || self.next.as_ref().is_some_and(wants)
    }

    /// Probes were in all the time since this was last asked for.
    pub(super) fn stayed_in(&mut self, now_ns: u64) {
        for stretch in std::iter::once(&mut self.current).chain(&mut self.next) {
            stretch.is_served |= stretch.window.start.saturating_sub(self.lead_ns) <= now_ns;
        }
    }

    /// Probes are in again, after so long. Gives what the kernel side is to know if that was late: the window is moved
    /// then, so that it is as long as it was to be.
    pub(super) fn were_put_in(&mut self, now_ns: u64, took: Duration) -> Option<Gate> {
        self.lead_ns = (2 * nanos(took) + nanos(SLACK)).min(nanos(LONGEST_LOOK));
        let stretch = std::iter::once(&mut self.current).chain(&mut self.next).find(|it| !it.is_served)?;
        stretch.is_served = true;
        if now_ns <= stretch.window.start {
            return None;
        }
        let Range { start, end } = stretch.window;
        stretch.window = now_ns..now_ns + (end - start);
        stretch.time.end = stretch.time.end.max(stretch.window.end);
        let until = if stretch.is_open { u64::MAX } else { stretch.window.end };
        Some(Gate { number: self.gate, window: now_ns..until })
    }

    /// When there is something to do next.
    pub(super) fn wakes_at(&self, now_ns: u64) -> u64 {
        let settles = if self.next.is_none() { self.settles_at() } else { self.current.time.end };
        let windows = std::iter::once(&self.current).chain(&self.next).map(|stretch| &stretch.window);
        let others = windows.flat_map(|window| [window.start.saturating_sub(self.lead_ns), window.end]);
        others.chain([settles]).filter(|at| *at > now_ns).fold(u64::MAX, u64::min)
    }

    /// Whether the next stretch is to be settled now.
    pub(super) fn is_to_settle(&self, now_ns: u64) -> bool {
        self.next.is_none() && self.current.is_served && now_ns >= self.settles_at()
    }

    /// When its window is over, but early enough for the next one to begin in time.
    fn settles_at(&self) -> u64 {
        let latest = self.current.time.end.saturating_sub(self.lead_ns);
        if self.current.is_open { latest } else { latest.min(self.current.window.end) }
    }

    /// Settles the next stretch, by what was spent on probes in all and by chance. Gives what the kernel side is to
    /// know.
    pub(super) fn settle(&mut self, now_ns: u64, spent_ns: f64, random: u64) -> Vec<Gate> {
        self.note_cost(now_ns, spent_ns);
        let window = nanos(WINDOW).max(WINDOW_IN_LEADS * self.lead_ns);
        let n_windows = self.n_windows(now_ns, spent_ns, window);
        let is_open = n_windows == 1;
        // What lasts until the next is settled has lasted until now.
        let begins =
            if self.current.is_open { self.current.time.end.max(now_ns) } else { self.current.time.end };
        let length = match (is_open, self.current.is_open) {
            (true, true) => (2 * (self.current.time.end - self.current.time.start)).min(nanos(LONGEST_LOOK)),
            _ => window,
        };
        // What is over before it could be settled belongs to the stretch, but no window can be there.
        let first = begins.max(now_ns);
        let start = first + random % n_windows * length;
        let time = begins..first + n_windows * length;
        let next = Stretch { time, window: start..start + length, is_open, is_served: false };
        let mut gates = Vec::new();
        if self.current.is_open {
            self.current.time.end = begins;
            self.current.window.end = begins;
        }
        if !(self.current.is_open && is_open) {
            if self.current.is_open {
                gates.push(Gate { number: self.gate, window: self.current.window.clone() });
            }
            self.gate = 1 - self.gate;
            let until = if is_open { u64::MAX } else { next.window.end };
            gates.push(Gate { number: self.gate, window: next.window.start..until });
        }
        self.next = Some(next);
        gates
    }

    /// How many windows long a stretch is for its cost to be within the budget, with a part of what was spent above
    /// it before that was known.
    fn n_windows(&self, now_ns: u64, spent_ns: f64, window_ns: u64) -> u64 {
        let budget = self.budget_share.max(f64::MIN_POSITIVE);
        if self.cost_share() <= budget {
            return 1;
        }
        let (since_ns, before_ns) = self.began;
        let above = (spent_ns - before_ns - budget * (now_ns - since_ns) as f64).max(0.0);
        let share = self.cost_share() + above * PAID_BACK / window_ns as f64;
        (share / budget).ceil().clamp(1.0, MAX_WINDOWS) as u64
    }

    fn note_cost(&mut self, now_ns: u64, spent_ns: f64) {
        let within =
            |window: &Range<u64>| window.end.min(now_ns).saturating_sub(window.start.max(self.settled_at));
        let Stretch { window, is_open, .. } = &self.current;
        // It has lasted until now, and may have been meant to be over.
        let current = window.start..if *is_open { now_ns } else { window.end };
        let on_ns = within(&current) + self.past.back().map_or(0, |past| within(&past.window));
        if on_ns > 0 {
            let share = (spent_ns - self.settled_spent_ns) / on_ns as f64;
            self.cost_share = Some(self.cost_share.map_or(share, |before| f64::midpoint(before, share)));
        }
        (self.settled_at, self.settled_spent_ns) = (now_ns, spent_ns);
    }

    /// Moves on to the stretch that has begun.
    pub(super) fn go_on(&mut self, now_ns: u64) {
        if let Some(next) = self.next.take_if(|next| next.time.start <= now_ns) {
            let over = std::mem::replace(&mut self.current, next);
            self.on_ns += over.window.end - over.window.start;
            if self.past.len() == N_REMEMBERED {
                self.past.pop_front();
            }
            self.past.push_back(over);
        }
    }

    /// What is seen at a moment stands for so many times as much; for nothing, if nothing was to be seen then.
    pub(super) fn weight_at(&self, time_ns: u64) -> f64 {
        let all = self.next.iter().chain([&self.current]).chain(self.past.iter().rev());
        let stretch = all.into_iter().find(|stretch| stretch.time.start <= time_ns).or(self.past.front());
        let stretch = stretch.unwrap_or(&self.current);
        if time_ns < stretch.window.start || time_ns >= stretch.window.end && !stretch.is_open {
            return 0.0;
        }
        let length = |range: &Range<u64>| (range.end - range.start).max(1) as f64;
        length(&stretch.time) / length(&stretch.window)
    }

    /// What they cost while they count, of one CPU.
    pub(super) fn cost_share(&self) -> f64 {
        self.cost_share.unwrap_or(0.0)
    }

    /// Time in windows.
    pub(super) fn on_ns(&self, now_ns: u64) -> u64 {
        let Stretch { window, is_open, .. } = &self.current;
        let until = if *is_open { now_ns } else { window.end.min(now_ns) };
        self.on_ns + until.saturating_sub(window.start)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Duration, Duty};

    const MS: u64 = 1_000_000;

    /// Simulates allocations at a rate that changes with time; gives their number, what is estimated, the share of time
    /// that probes were in, and what they cost in that of one CPU.
    fn simulate(seed: &mut u64, rate_per_ms: impl Fn(u64) -> u64, budget: f64) -> (f64, f64, f64, f64) {
        const HIT_NS: f64 = 500.0;
        const RUN_MS: u64 = 60_000;
        let (mut truth, mut estimate, mut spent_ns, mut in_ms) = (0.0, 0.0, 0.0, 0.0);
        let mut duty = Duty::new(0, budget, 0.0);
        let mut gates = [0..0, 0..0];
        let mut was_in = true;
        let first = duty.first_gate();
        gates[first.number as usize] = first.window;
        for ms in 0..RUN_MS {
            let now = ms * MS;
            if duty.is_to_settle(now) {
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                for gate in duty.settle(now, spent_ns, *seed >> 33) {
                    gates[gate.number as usize] = gate.window;
                }
            }
            duty.go_on(now);
            let n = rate_per_ms(ms) as f64;
            truth += n;
            let is_in = duty.wants_probes(now);
            if is_in && was_in {
                duty.stayed_in(now);
            } else if is_in && let Some(gate) = duty.were_put_in(now, Duration::ZERO) {
                gates[gate.number as usize] = gate.window;
            }
            was_in = is_in;
            if is_in {
                in_ms += 1.0;
                spent_ns += n * HIT_NS;
                if gates.iter().any(|gate| gate.contains(&now)) {
                    estimate += n * duty.weight_at(now);
                }
            } else {
                assert!(!gates.iter().any(|gate| gate.contains(&now)), "{now} {duty:?}");
            }
        }
        (truth, estimate, in_ms / RUN_MS as f64, spent_ns / (RUN_MS * MS) as f64)
    }

    #[test]
    fn probes_that_are_cheap_stay_in() {
        let (truth, estimate, share, _) = simulate(&mut 1, |_| 10, 0.05);
        assert_eq!((truth, share), (estimate, 1.0));
    }

    #[test]
    fn the_cost_stays_within_the_budget_and_the_estimate_is_right_on_average() {
        let steady: fn(u64) -> u64 = |_| 1000;
        let swinging: fn(u64) -> u64 = |ms| 200 + 1500 * u64::from(ms / 100 % 7 == 3);
        let growing: fn(u64) -> u64 = |ms| ms / 30;
        let mut seed = 42;
        for (name, rate) in [("steady", steady), ("swinging", swinging), ("growing", growing)] {
            let runs: Vec<_> = (0..40).map(|_| simulate(&mut seed, rate, 0.05)).collect();
            let mean = |of: fn(&(f64, f64, f64, f64)) -> f64| runs.iter().map(of).sum::<f64>() / 40.0;
            let (ratio, cost) = (mean(|run| run.1 / run.0), mean(|run| run.3));
            assert!((ratio - 1.0).abs() < 0.03, "{name}: {ratio}");
            assert!(cost < 0.0525, "{name}: {cost}");
            assert!(mean(|run| run.2) < 0.6, "{name}");
        }
    }

    #[test]
    fn probes_that_cost_a_little_more_than_they_may_are_in_for_a_little_less() {
        // 7 % of one CPU.
        let (truth, estimate, share, cost) = simulate(&mut 3, |_| 140, 0.05);
        assert!((0.4..0.8).contains(&share) && cost < 0.0525, "{share} {cost}");
        assert!((estimate / truth - 1.0).abs() < 0.01, "{estimate} {truth}");
    }

    #[test]
    fn what_stops_costing_is_seen_all_the_time_again() {
        let mut seed = 7;
        let (_, _, share, _) = simulate(&mut seed, |ms| if ms < 10_000 { 1000 } else { 1 }, 0.05);
        assert!(share > 0.7, "{share}");
    }

    #[test]
    fn a_late_window_is_moved_and_nothing_before_it_counts() {
        let mut duty = Duty::new(0, 0.05, 0.0);
        duty.settle(45 * MS, 45e6, 3);
        duty.go_on(50 * MS);
        let window = duty.current.window.clone();
        let (before, weight) = (duty.weight_at(window.start - 1), duty.weight_at(window.start));
        assert!(before == 0.0 && weight > 10.0, "{before} {weight} {duty:?}");
        // Not looked at until it was over.
        let late = window.end + MS;
        assert!(duty.wants_probes(late) && !duty.is_to_settle(late), "{duty:?}");
        let gate = duty.were_put_in(late, Duration::ZERO).expect("late");
        assert_eq!(gate.window, late..late + (window.end - window.start));
        assert_eq!((duty.weight_at(window.start), duty.weight_at(late)), (0.0, weight), "{duty:?}");
        assert!(!duty.wants_probes(gate.window.end) && duty.is_to_settle(gate.window.end), "{duty:?}");
    }
}

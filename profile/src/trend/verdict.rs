//! Is it a leak? Rules over the points of one quantity, and their answer in words.
//!
//! 1. The points are split where more than half of what was reached is given back.
//! 2. The longest run between such drops is judged, if it covers at least a third of the window, and if nothing says
//!    that it is one cycle of several.
//! 3. Its trend must be increasing, and in its last quarter it must still climb.
//! 4. The low points must rise, too: what is given back again and again is not lost.
//! 5. The rate must matter: 5 % of the limit an hour, or 50 MB an hour.

use serde::Serialize;

use super::{
    Direction, Fit, Point, Trend,
    fit::median,
    noise_bytes,
    runs::split,
    trend,
    wording::{amount_text, clock_text, rate_text},
};

/// With fewer points no run can be judged: its last quarter needs three.
pub const MIN_POINTS: usize = 12;
/// Of the window, which the run that is judged must cover.
const MIN_RUN_SHARE: f64 = 1.0 / 3.0;
/// A run after the last drop that is so much longer than any before is no cycle like them.
const BEYOND_CYCLES: f64 = 2.0;
/// Of the rate of the whole run, which the last quarter must reach to count as climbing.
const CLIMBING_SHARE: f64 = 0.25;
/// Of the growth that the line promises, which the low points must show.
const FLOOR_SHARE: f64 = 0.5;
/// Growth begins and ends where less than this share of it is missing.
const EDGE_SHARE: f64 = 0.05;
/// A rate that matters: of the limit in an hour,
const MIN_LIMIT_SHARE_PER_HOUR: f64 = 0.05;
/// or, whatever the limit, 50 MB in an hour.
const MIN_BYTES_PER_HOUR: f64 = 50e6;

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// It grows, does not stop, and the rate matters.
    Leak,
    /// One of the rules does not hold.
    NoLeak,
    /// The points do not say; watching for longer may.
    Undecided,
}

/// What the points look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// Grows to the end.
    Growing,
    /// Grows to the end, but too slowly to matter.
    SlowGrowth,
    /// Grew, then stayed.
    Plateau,
    /// Grows and is given back, more than half at a time.
    Sawtooth,
    /// Goes up and down; the low points do not rise.
    UpAndDown,
    /// Stays where it is.
    Stable,
    /// Shrinks.
    Decreasing,
    /// Stayed, and began to grow shortly before the end.
    JustBegan,
    /// Grew, and most was given back once.
    DroppedOnce,
    /// Too few points.
    TooShort,
}

/// Whether memory leaks, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The answer.
    pub kind: VerdictKind,
    /// What the points look like.
    pub pattern: Pattern,
    /// Growth of the run that was judged, from where it began to grow; 0 if there is no line.
    pub rate_bytes_per_second: f64,
    /// When the growth began, in the time of the points.
    pub since_ns: Option<u64>,
    /// Until when it grew.
    pub until_ns: Option<u64>,
    /// From the lowest point of the run to its last; of a plateau, to its level.
    pub gained_bytes: u64,
    /// Times that more than half was given back.
    pub n_drops: usize,
    /// The line behind the rate.
    pub fit: Option<Fit>,
    /// Which rules decided, in words, the decisive one first.
    pub reasons: Vec<String>,
}

impl Verdict {
    /// The rate of a growth that goes on; 0 if it has ended, or never was.
    #[must_use]
    pub fn rate_ahead_bytes_per_second(&self) -> f64 {
        match self.pattern {
            Pattern::Growing | Pattern::SlowGrowth | Pattern::JustBegan => {
                self.rate_bytes_per_second.max(0.0)
            }
            _ => 0.0,
        }
    }
}

/// Judges the points of one quantity, in the order of their times. `limit_bytes` is what the process may have.
#[must_use]
pub fn judge(points: &[Point], limit_bytes: Option<u64>) -> Verdict {
    let runs = split(points);
    let spans: Vec<f64> =
        runs.iter().map(|run| span_s(points.get(run.clone()).unwrap_or_default())).collect();
    let longest = spans.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1)).map(|(index, _)| index);
    let run = longest.and_then(|index| runs.get(index)).cloned().unwrap_or(0..0);
    let window_s = span_s(points);
    let judged = Judged::new(points.get(run).unwrap_or_default(), runs.len().saturating_sub(1), window_s);
    if points.len() < MIN_POINTS {
        let reason = format!("{} points are too few: {MIN_POINTS} at least", points.len());
        return judged.verdict(VerdictKind::Undecided, Pattern::TooShort, [reason]);
    }
    let cycles = Cycles { window_s, spans: &spans, longest: longest.unwrap_or(0) };
    if let Some(verdict) = cycles.verdict(points, &judged) {
        return verdict;
    }
    judged.rules(limit_bytes)
}

/// How the longest run lies among the others.
struct Cycles<'a> {
    window_s: f64,
    spans: &'a [f64],
    longest: usize,
}

impl Cycles<'_> {
    /// A verdict, if the longest run is only one cycle of several, or may be.
    fn verdict(&self, points: &[Point], judged: &Judged<'_>) -> Option<Verdict> {
        let n_drops = judged.n_drops;
        if n_drops == 0 {
            return None;
        }
        let longest_s = self.spans.get(self.longest).copied().unwrap_or(0.0);
        let is_last = self.longest + 1 == self.spans.len();
        let before_s = self.spans.iter().rev().skip(1).fold(0.0, |longest: f64, it| longest.max(*it));
        let start_ns = judged.points.first().map_or(0, |point| point.time_ns);
        let before = points.iter().filter(|point| point.time_ns < start_ns);
        let peak_before = before.map(|point| point.high_bytes).max().unwrap_or(0);
        let goes_beyond = judged.high_bytes > peak_before || longest_s >= BEYOND_CYCLES * before_s;
        if longest_s >= self.window_s * MIN_RUN_SHARE && is_last && goes_beyond {
            return None;
        }
        let longest = clock_text((longest_s * 1e9) as u64);
        let window = clock_text((self.window_s * 1e9) as u64);
        if n_drops == 1 {
            let reason = if is_last {
                format!(
                    "more than half was given back once, and it is not above its peak of then ({longest} since)"
                )
            } else {
                let until = judged.points.last().map_or(0, |point| point.time_ns);
                format!(
                    "grew {} until {}, then gave back more than half: a leak that a restart ended, or a cycle",
                    amount_text(judged.gained_bytes as f64),
                    clock_text(until)
                )
            };
            let advice = "watch it for longer: a second drop makes it a sawtooth".to_owned();
            return Some(judged.verdict(VerdictKind::Undecided, Pattern::DroppedOnce, [reason, advice]));
        }
        let reason = format!(
            "sawtooth: gave back more than half of its memory {n_drops} times; the longest run between two drops lasted \
             {longest} of {window}"
        );
        Some(judged.verdict(VerdictKind::NoLeak, Pattern::Sawtooth, [reason]))
    }
}

/// The run that is judged, and what all rules ask of it.
struct Judged<'a> {
    points: &'a [Point],
    /// From where it began to grow, if that covers enough of the window; all points, else.
    grown: &'a [Point],
    n_drops: usize,
    low_bytes: u64,
    high_bytes: u64,
    gained_bytes: u64,
    since_ns: u64,
    /// From where it began to grow, however short that is.
    climbing: Trend,
}

impl<'a> Judged<'a> {
    fn new(points: &'a [Point], n_drops: usize, window_s: f64) -> Self {
        let low_bytes = points.iter().map(|point| point.bytes).min().unwrap_or(0);
        let high_bytes = points.iter().map(|point| point.bytes).max().unwrap_or(0);
        let spread = high_bytes.saturating_sub(low_bytes) as f64;
        let edge = spread * EDGE_SHARE;
        let gained_bytes = points.last().map_or(0, |point| point.bytes.saturating_sub(low_bytes));
        let start_ns = points.first().map_or(0, |point| point.time_ns);
        let end_ns = points.last().map_or(0, |point| point.time_ns);
        let is_low = |point: &&Point| point.bytes as f64 <= low_bytes as f64 + edge;
        let low_until_ns = points.iter().rev().find(is_low).map_or(start_ns, |point| point.time_ns);
        // A line that climbs from the very beginning is within its own edge for a moment, too.
        // What was as high before, and came back, is up and down and no beginning.
        let was_high = points
            .iter()
            .filter(|point| point.time_ns < low_until_ns)
            .any(|point| point.bytes as f64 > low_bytes as f64 + spread * FLOOR_SHARE);
        let is_from_start = was_high
            || low_until_ns.saturating_sub(start_ns) as f64 <= 2.0 * EDGE_SHARE * (end_ns - start_ns) as f64;
        let since_ns = if is_from_start { start_ns } else { low_until_ns };
        let start = points.partition_point(|point| point.time_ns < since_ns);
        let climbing: &[Point] = points.get(start..).unwrap_or_default();
        let is_enough = climbing.len() >= MIN_POINTS && span_s(climbing) >= window_s * MIN_RUN_SHARE;
        let grown = if is_enough { climbing } else { points };
        let climbing = if climbing.len() < MIN_POINTS / 2 { points } else { climbing };
        Self {
            points,
            grown,
            climbing: trend(climbing),
            n_drops,
            low_bytes,
            high_bytes,
            gained_bytes,
            since_ns,
        }
    }

    fn rate(&self) -> f64 {
        self.climbing.fit.map_or(0.0, |fit| fit.rate_bytes_per_second)
    }

    /// Rules 3 to 5.
    fn rules(&self, limit_bytes: Option<u64>) -> Verdict {
        let whole = trend(self.grown);
        let last = trend(self.quarter(3));
        let late = last.fit.map_or(0.0, |fit| fit.rate_bytes_per_second);
        let late_high = last.fit.and_then(|fit| fit.rate_high_bytes_per_second);
        let has_gained = self.gained_bytes as f64 >= noise_bytes(self.points);
        let is_climbing = late > 0.0 && late >= CLIMBING_SHARE * self.rate();

        if whole.direction == Direction::Decreasing {
            let rate = whole.fit.map_or(0.0, |fit| fit.rate_bytes_per_second);
            let reason = format!("decreasing by {}", rate_text(-rate));
            return self.verdict(VerdictKind::NoLeak, Pattern::Decreasing, [reason]);
        }
        if whole.direction != Direction::Increasing {
            if has_gained && self.climbing.direction == Direction::Increasing && is_climbing {
                let reason = format!(
                    "stayed until {}, and grows by {} since: watch it for longer",
                    clock_text(self.since_ns),
                    rate_text(self.rate())
                );
                return self.verdict(VerdictKind::Undecided, Pattern::JustBegan, [reason]);
            }
            if has_gained && self.has_stayed() {
                return self.plateau();
            }
            return self.stable();
        }
        if !is_climbing {
            if late_high.is_none_or(|high| high >= self.rate()) && !self.has_stayed() {
                let reason = format!(
                    "grew by {}, but its last quarter is too uneven to tell whether it still does: watch it for longer",
                    rate_text(self.rate())
                );
                return self.verdict(VerdictKind::Undecided, Pattern::Growing, [reason]);
            }
            return self.plateau();
        }
        if let Some(reason) = self.sunken_floor() {
            return self.verdict(VerdictKind::NoLeak, Pattern::UpAndDown, [reason]);
        }
        self.by_rate(late, limit_bytes)
    }

    fn by_rate(&self, late: f64, limit_bytes: Option<u64>) -> Verdict {
        let grew = format!(
            "grew {} from {} to {} without giving back half of it",
            amount_text(self.gained_bytes as f64),
            clock_text(self.since_ns),
            clock_text(self.points.last().map_or(0, |point| point.time_ns))
        );
        let climbing = format!("still climbing in its last quarter, by {}", rate_text(late));
        let per_hour = self.rate() * 3600.0;
        let is_fast = per_hour >= MIN_BYTES_PER_HOUR;
        let limit_share = limit_bytes.filter(|limit| *limit > 0).map(|limit| per_hour / limit as f64);
        let takes_limit = limit_share.is_some_and(|share| share >= MIN_LIMIT_SHARE_PER_HOUR);
        let mut rate = format!("{} an hour", amount_text(per_hour));
        if let Some(share) = limit_share {
            rate.push_str(&format!(", which is {:.1} % of the limit", share * 100.0));
        }
        if is_fast || takes_limit {
            let which = if takes_limit { "5 % of the limit an hour" } else { "50 MB an hour" };
            rate.push_str(&format!(": more than {which}"));
            return self.verdict(VerdictKind::Leak, Pattern::Growing, [grew, climbing, rate]);
        }
        let unless = if limit_share.is_some() { " and less than 5 % of the limit" } else { "" };
        let slow = format!("too slow to matter: {rate}; less than 50 MB{unless}");
        self.verdict(VerdictKind::NoLeak, Pattern::SlowGrowth, [slow, grew, climbing])
    }

    fn plateau(&self) -> Verdict {
        let settled = self.settled();
        let gained = settled - self.low_bytes as f64;
        // A peak that went again is no growth.
        if gained < noise_bytes(self.points) {
            return self.stable();
        }
        let until_ns = self.settled_since_ns();
        let reason = format!("grew {} until {}, then stayed", amount_text(gained), clock_text(until_ns));
        let verdict = self.verdict(VerdictKind::NoLeak, Pattern::Plateau, [reason]);
        Verdict { gained_bytes: gained as u64, until_ns: Some(until_ns.max(self.since_ns)), ..verdict }
    }

    fn stable(&self) -> Verdict {
        let (low, high) = (amount_text(self.low_bytes as f64), amount_text(self.high_bytes as f64));
        let reason = format!("stable: between {low} and {high} all the time");
        self.verdict(VerdictKind::NoLeak, Pattern::Stable, [reason])
    }

    /// The level of the last quarter.
    fn settled(&self) -> f64 {
        let mut levels: Vec<f64> = self.quarter(3).iter().map(|point| point.bytes as f64).collect();
        levels.sort_unstable_by(f64::total_cmp);
        median(&levels)
    }

    /// What the level may be missed by.
    fn settled_edge(&self) -> f64 {
        ((self.settled() - self.low_bytes as f64) * EDGE_SHARE).max(noise_bytes(self.points))
    }

    /// From when on it was never below the level of the last quarter.
    fn settled_since_ns(&self) -> u64 {
        let floor = self.settled() - self.settled_edge();
        let n_before =
            self.points.iter().rposition(|point| (point.bytes as f64) < floor).map_or(0, |it| it + 1);
        self.points.get(n_before).or(self.points.last()).map_or(0, |point| point.time_ns)
    }

    /// The last quarter stays on one level, but for noise.
    fn has_stayed(&self) -> bool {
        let (settled, edge) = (self.settled(), self.settled_edge());
        self.quarter(3).iter().all(|point| (point.bytes as f64 - settled).abs() <= edge)
    }

    /// Why the growth is none, if the low points of the last quarter are not above those of the first.
    fn sunken_floor(&self) -> Option<String> {
        let floor = |points: &[Point]| points.iter().map(|point| point.low_bytes).min();
        let (first, last) = (floor(self.quarter(0))?, floor(self.quarter(3))?);
        let promised = self.rate() * span_s(self.grown) * 0.75;
        let risen = last as f64 - first as f64;
        (risen < promised * FLOOR_SHARE).then(|| {
            format!(
                "up and down: the lowest point of the last quarter is {}, that of the first {}",
                amount_text(last as f64),
                amount_text(first as f64)
            )
        })
    }

    /// Points of a quarter of the time of growth, 0 to 3.
    fn quarter(&self, index: u64) -> &'a [Point] {
        let (Some(first), Some(last)) = (self.grown.first(), self.grown.last()) else { return &[] };
        let quarter_ns = last.time_ns.saturating_sub(first.time_ns) / 4;
        let start_ns = first.time_ns.saturating_add(quarter_ns.saturating_mul(index));
        let end_ns = if index == 3 { u64::MAX } else { start_ns.saturating_add(quarter_ns) };
        let start = self.grown.partition_point(|point| point.time_ns < start_ns);
        let end = self.grown.partition_point(|point| point.time_ns <= end_ns);
        self.grown.get(start..end).unwrap_or_default()
    }

    fn verdict<const N: usize>(&self, kind: VerdictKind, pattern: Pattern, reasons: [String; N]) -> Verdict {
        let has_grown = self.gained_bytes > 0;
        Verdict {
            kind,
            pattern,
            rate_bytes_per_second: self.rate(),
            since_ns: has_grown.then_some(self.since_ns),
            until_ns: self.points.last().filter(|_| has_grown).map(|point| point.time_ns),
            gained_bytes: self.gained_bytes,
            n_drops: self.n_drops,
            fit: self.climbing.fit,
            reasons: reasons.into(),
        }
    }
}

fn span_s(points: &[Point]) -> f64 {
    match (points.first(), points.last()) {
        (Some(first), Some(last)) => last.time_ns.saturating_sub(first.time_ns) as f64 / 1e9,
        _ => 0.0,
    }
}

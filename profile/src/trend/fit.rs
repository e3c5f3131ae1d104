//! A line through points: Theil and Sen's slope, with an interval that allows for readings that depend on each other.
//!
//! The slope is the median of the slopes between all pairs of points. Least squares would be cheaper, but memory
//! grows in steps and jumps (a cache that fills, a configuration that is read again), and one jump bends a least-squares
//! line; the median bears 29 % of such points. Its interval is Sen's (1968): the slopes whose ranks are
//! `1.96 * sqrt(n (n - 1) (2 n + 5) / 18)` apart around the middle. That holds for readings that do not depend on each
//! other, which those of memory do; the distance is therefore widened by `sqrt((1 + r) / (1 - r))`, where `r` is the
//! correlation of neighbouring residuals.
//!
//! What is a sum of random steps (live bytes estimated from samples) wanders around its line: neighbouring residuals
//! are nearly equal, and ranks tell nothing however many points there are. Its steps do not hang together, so the
//! interval is then that of their mean, `sum +- 1.96 * sqrt(sum of squared deviations)` over the time, widened in the
//! same way where they do.

use serde::Serialize;

use super::{MIN_POINTS, Point};

/// More points are thinned: the pairs grow with the square. 256 points have 32,640 pairs.
const MAX_FIT_POINTS: usize = 256;
/// Of the normal distribution, for 95 %.
const Z_95: f64 = 1.96;
/// Beyond this, the widening would have no end.
const MAX_CORRELATION: f64 = 0.99;

/// A line.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Fit {
    /// Slope: the median over all pairs of points.
    pub rate_bytes_per_second: f64,
    /// Lower end of the slope's 95 % interval; none if the points are too few, or too much alike, for one.
    pub rate_low_bytes_per_second: Option<f64>,
    /// Upper end of it.
    pub rate_high_bytes_per_second: Option<f64>,
    /// The share of the points' variance that the line explains, from 0 to 1.
    pub r_squared: f64,
    /// Points that were used.
    pub n_points: usize,
    /// From the first to the last.
    pub span_s: f64,
}

/// A line through points in the order of their times; none if they do not span any time.
#[must_use]
pub fn fit(points: &[Point]) -> Option<Fit> {
    let used = thinned(points);
    let (first, last) = (used.first()?, used.last()?);
    let seconds = |point: &Point| point.time_ns.saturating_sub(first.time_ns) as f64 / 1e9;
    let xy: Vec<(f64, f64)> = used.iter().map(|point| (seconds(point), point.bytes as f64)).collect();

    let mut slopes = Vec::with_capacity(xy.len() * xy.len() / 2);
    for (index, (x, y)) in xy.iter().enumerate() {
        let later = xy.iter().skip(index + 1).filter(|(later, _)| later > x);
        slopes.extend(later.map(|(later_x, later_y)| (later_y - y) / (later_x - x)));
    }
    if slopes.is_empty() {
        return None;
    }
    slopes.sort_unstable_by(f64::total_cmp);
    let slope = median(&slopes);

    let mut levels: Vec<f64> = xy.iter().map(|(x, y)| y - slope * x).collect();
    levels.sort_unstable_by(f64::total_cmp);
    let level = median(&levels);
    let residuals: Vec<f64> = xy.iter().map(|(x, y)| y - level - slope * x).collect();

    let interval =
        interval(&slopes, xy.len(), correlation(&residuals)).or_else(|| interval_of_steps(&xy, slope));
    Some(Fit {
        rate_bytes_per_second: slope,
        rate_low_bytes_per_second: interval.map(|(low, _)| low),
        rate_high_bytes_per_second: interval.map(|(_, high)| high),
        r_squared: r_squared(&xy, &residuals),
        n_points: xy.len(),
        span_s: seconds(last),
    })
}

/// Evenly chosen points, the first and the last among them.
fn thinned(points: &[Point]) -> Vec<Point> {
    let n = points.len();
    if n <= MAX_FIT_POINTS {
        return points.to_vec();
    }
    let nth = |index: usize| points.get(index * (n - 1) / (MAX_FIT_POINTS - 1)).copied();
    (0..MAX_FIT_POINTS).filter_map(nth).collect()
}

fn interval(sorted_slopes: &[f64], n_points: usize, correlation: f64) -> Option<(f64, f64)> {
    let n = n_points as f64;
    let deviation = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let r = correlation.clamp(0.0, MAX_CORRELATION);
    let apart = Z_95 * deviation * ((1.0 + r) / (1.0 - r)).sqrt();
    let n_slopes = sorted_slopes.len() as f64;
    let (low, high) = (((n_slopes - apart) / 2.0).floor(), ((n_slopes + apart) / 2.0).ceil());
    if low < 0.0 || high >= n_slopes {
        return None;
    }
    Some((*sorted_slopes.get(low as usize)?, *sorted_slopes.get(high as usize)?))
}

/// Holds the slope, too, which bears jumps that the mean does not.
fn interval_of_steps(xy: &[(f64, f64)], slope: f64) -> Option<(f64, f64)> {
    if xy.len() < MIN_POINTS {
        return None;
    }
    let (first, last) = (xy.first()?, xy.last()?);
    let span_s = last.0 - first.0;
    let mean = (last.1 - first.1) / span_s;
    let steps = xy.iter().zip(xy.iter().skip(1));
    let deviations: Vec<f64> = steps.map(|(a, b)| b.1 - a.1 - mean * (b.0 - a.0)).collect();
    let squares: f64 = deviations.iter().map(|it| it * it).sum();
    let r = correlation(&deviations).clamp(0.0, MAX_CORRELATION);
    let apart = Z_95 * (squares * (1.0 + r) / (1.0 - r)).sqrt() / span_s;
    Some(((mean - apart).min(slope), (mean + apart).max(slope)))
}

/// Of each residual with the next one.
fn correlation(residuals: &[f64]) -> f64 {
    let own: f64 = residuals.iter().map(|it| it * it).sum();
    let next: f64 = residuals.iter().zip(residuals.iter().skip(1)).map(|(a, b)| a * b).sum();
    // Rounding alone is no residual.
    if own < residuals.len() as f64 { 0.0 } else { next / own }
}

fn r_squared(xy: &[(f64, f64)], residuals: &[f64]) -> f64 {
    let mean = xy.iter().map(|(_, y)| y).sum::<f64>() / xy.len() as f64;
    let total: f64 = xy.iter().map(|(_, y)| (y - mean) * (y - mean)).sum();
    let left: f64 = residuals.iter().map(|it| it * it).sum();
    if total > 0.0 { (1.0 - left / total).clamp(0.0, 1.0) } else { 1.0 }
}

pub(super) fn median(sorted: &[f64]) -> f64 {
    let upper = sorted.len() / 2;
    match (sorted.get(upper.saturating_sub(1)), sorted.get(upper)) {
        (Some(a), Some(b)) if sorted.len().is_multiple_of(2) => f64::midpoint(*a, *b),
        (_, Some(b)) => *b,
        _ => 0.0,
    }
}

// Axes: from values to pixels, and where the marks go.

/** Marks at round values, about `n` of them, from 0 to at least `most`. `base`: 2 for bytes. */
export function ticks(most, n, base = 10) {
  if (!(most > 0)) return [0];
  const rough = most / n;
  const power = base ** Math.floor(Math.log(rough) / Math.log(base));
  const step = (base === 2 ? [1, 2] : [1, 2, 5, 10]).map((it) => it * power).find((it) => it >= rough * 0.999);
  const marks = [];
  for (let value = 0; value < most + step; value += step) {
    marks.push(value);
    if (value >= most) break;
  }
  return marks;
}

const STEPS_MS = [1e3, 5e3, 10e3, 30e3, 60e3, 5 * 60e3, 10 * 60e3, 15 * 60e3, 30 * 60e3, 3600e3, 2 * 3600e3, 3 * 3600e3,
  6 * 3600e3, 12 * 3600e3, 86400e3, 2 * 86400e3, 7 * 86400e3, 30 * 86400e3];

/** Round times of the reader's zone; `offsetMs` is what it is ahead of UTC. */
export function timeTicks(from, until, n, offsetMs = 0) {
  const step = STEPS_MS.find((it) => (until - from) / it <= n) ?? (until - from) / n;
  const marks = [];
  for (let at = Math.ceil((from + offsetMs) / step) * step - offsetMs; at <= until; at += step) marks.push(at);
  return { marks, step };
}

export const linear = (from, until, a, b) => (value) => a + (value - from) / (until - from || 1) * (b - a);

/** Sums of several series at each time; gaps stay gaps. */
export function summed(series) {
  const sums = new Map();
  for (const { points } of series) for (const [t, value] of points) sums.set(t, (sums.get(t) ?? 0) + value);
  return [...sums].sort((a, b) => a[0] - b[0]);
}

/** An SVG path of lines, broken where more than `gapMs` is missing. */
export function linePath(points, x, y, gapMs) {
  let path = "", before = null;
  for (const [t, value] of points) {
    path += `${before === null || t - before > gapMs ? "M" : "L"}${x(t).toFixed(1)} ${y(value).toFixed(1)}`;
    before = t;
  }
  return path;
}

/** Stairs: each point holds for a step, and what is not there is nothing. */
export function stairs(points, step, x, y) {
  let path = "", end = null;
  for (const [t, value] of points) {
    if (t !== end) path += `${end === null ? "" : `L${x(end).toFixed(1)} ${y(0).toFixed(1)}`}M${x(t).toFixed(1)} ${y(0).toFixed(1)}`;
    end = t + step;
    path += `L${x(t).toFixed(1)} ${y(value).toFixed(1)}L${x(end).toFixed(1)} ${y(value).toFixed(1)}`;
  }
  return end === null ? "" : `${path}L${x(end).toFixed(1)} ${y(0).toFixed(1)}`;
}

/** The part between two places that were dragged, in order, at least `least` long; null if it was a click. */
export function dragged(a, b, least) {
  return Math.abs(b - a) < least ? null : { from: Math.min(a, b), until: Math.max(a, b) };
}

// Which parts of the timeline are looked at, and what is asked of the collector for them.

import { stepMs } from "./time.js";

const part = (from, until) => {
  const a = Number(from), b = Number(until);
  return from !== "" && until !== "" && Number.isFinite(a) && Number.isFinite(b) && b > a ? { from: a, until: b } : null;
};

/** As they were dragged over; null where nothing was. */
export const chosen = (state) => ({ main: part(state.a, state.b), base: part(state.base_a, state.base_b) });

/** With what stands for nothing: all of it; in a comparison of one selector, the first half against the second. */
export function wanted(state, range) {
  const { main, base } = chosen(state);
  const whole = { from: range.from, until: range.until };
  if (state.tab !== "compare") return { main: main ?? whole, base: null };
  if (state.base_other === "1") return { main: main ?? whole, base: base ?? main ?? whole };
  const middle = Math.round((range.from + range.until) / 2);
  return { main: main ?? { from: middle, until: range.until }, base: base ?? { from: range.from, until: middle } };
}

/** Nodes beyond are folded into their callers by the collector. */
const MAX_NODES = 100_000;

export function profileRequest(state, range) {
  const { main, base } = wanted(state, range);
  const given = { type: state.type, match: state.match, from: main.from, until: main.until, max_nodes: MAX_NODES };
  if (!base) return { path: "flamegraph", parameters: given };
  return { path: "diff", parameters: { ...given,
    // None at all would mean the same selector.
    baseline_match: (state.base_other === "1" ? state.base_match : state.match) || "{}",
    baseline_from: base.from, baseline_until: base.until } };
}

const N_POINTS = 240;

export function timelineRequest(state, range, match) {
  const step = stepMs(range.until - range.from, N_POINTS);
  // Whole steps: half a step at an edge would look like a fall.
  return { type: state.type, match, from: Math.floor(range.from / step) * step, until: range.until, step_ms: step };
}

/** The newest point that is not zero of a timeline over a long time, or null. */
export function newest(points) {
  const found = points.findLast(([, value]) => value > 0);
  return found ? found[0] : null;
}

/** The metric to begin with: memory of what is watched, then of anything. */
export function firstMetric(names) {
  const liked = ["brazier.memory.usage", "process.memory.usage"].find((it) => names.includes(it));
  return liked ?? names.find((it) => it.includes("memory")) ?? names[0] ?? "";
}

/** The type to begin with: CPU time if there is any. */
export function firstType(types) {
  const names = types.map((it) => `${it.type}:${it.unit}`);
  if (names.includes("cpu:nanoseconds")) return "cpu:nanoseconds";
  const most = [...types].sort((a, b) => (b.n_rows ?? 0) - (a.n_rows ?? 0))[0];
  return most ? `${most.type}:${most.unit}` : "";
}

// Numbers as people read them: a value and its unit, a share, a point in time.

const NS_STEPS = [[1, "ns"], [1e3, "µs"], [1e6, "ms"], [1e9, "s"], [60e9, "min"], [3600e9, "h"], [86400e9, "d"]];
const BYTE_STEPS = [[1, "B"], [2 ** 10, "KiB"], [2 ** 20, "MiB"], [2 ** 30, "GiB"], [2 ** 40, "TiB"], [2 ** 50, "PiB"]];
const COUNT_STEPS = [[1, ""], [1e3, "k"], [1e6, "M"], [1e9, "G"], [1e12, "T"]];

/** Three digits, or two of what is small; no zeros behind the point that say nothing. */
export function digits(value) {
  const size = Math.abs(value);
  if (size < 0.1) return String(Number(value.toPrecision(2)));
  const n = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return String(Number(value.toFixed(n)));
}

const scaled = (value, steps) => {
  if (value === 0) return "0";
  const size = Math.abs(value);
  let chosen = steps[0];
  // A value that would be rounded up to 1,000 is one of the next step.
  for (const step of steps) if (size >= step[0] * 0.9995) chosen = step;
  const number = digits(value / chosen[0]);
  return chosen[1] ? `${number} ${chosen[1]}` : number;
};

/** `1.5e9, "nanoseconds"` -> `1.5 s`. A unit that is not known is put behind the number. */
export function quantity(value, unit) {
  if (!Number.isFinite(value)) return "–";
  if (unit?.endsWith("/s")) return `${quantity(value, unit.slice(0, -2))}/s`;
  // What stands in braces says what is counted, and is no unit.
  if (unit?.startsWith("{")) return scaled(value, COUNT_STEPS);
  switch (unit) {
    case "nanoseconds": case "ns": return scaled(value, NS_STEPS);
    case "microseconds": case "us": return scaled(value * 1e3, NS_STEPS);
    case "milliseconds": case "ms": return scaled(value * 1e6, NS_STEPS);
    case "seconds": case "s": return scaled(value * 1e9, NS_STEPS);
    case "bytes": case "By": return scaled(value, BYTE_STEPS);
    case "count": case "samples": case "objects": case "faults": case "1": case "": case undefined: case null:
      return scaled(value, COUNT_STEPS);
    default: return `${scaled(value, COUNT_STEPS)} ${unit}`;
  }
}

/** What is used in a second, of what was used in some milliseconds. Time is a number: of CPUs, or of threads that wait. */
export function perSecond(value, unit, ms) {
  return unit === "nanoseconds" ? value / (ms * 1e6) : value / (ms / 1e3);
}

export function rate(value, unit, type = "") {
  if (unit !== "nanoseconds") return `${quantity(value, unit)}/s`;
  return `${digits(value)} ${type.startsWith("cpu:") ? "CPU" : "s/s"}`;
}

export function share(part, whole) {
  if (!(whole > 0)) return "–";
  const percent = part / whole * 100;
  if (percent !== 0 && Math.abs(percent) < 0.01) return percent > 0 ? "<0.01 %" : ">−0.01 %";
  return `${percent.toFixed(2)} %`;
}

/** A difference of two shares, in points of a percent, with its sign. */
export function points(difference) {
  const value = difference * 100;
  if (Math.abs(value) < 0.005) return "0.00";
  return `${value > 0 ? "+" : "−"}${Math.abs(value).toFixed(2)}`;
}

export const count = (n) => n.toLocaleString("en-US");

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** `1 h 5 min`: two steps, as nobody needs a third. */
export function duration(ms) {
  const steps = [[86400e3, "d"], [3600e3, "h"], [60e3, "min"], [1e3, "s"]];
  let rest = Math.round(Math.max(0, ms) / 1e3) * 1e3;
  const parts = [];
  for (const [size, name] of steps) {
    const n = Math.floor(rest / size);
    if (n > 0) parts.push(`${n} ${name}`);
    else if (parts.length) break;
    rest -= n * size;
    if (parts.length === 2) break;
  }
  return parts.join(" ") || `${Math.round(Math.max(0, ms))} ms`;
}

const two = (n) => String(n).padStart(2, "0");

/** The reader's own time zone. `2026-11-21 14:03:07`; parts that are zero or given by `beside` are left out. */
export function time(ms, beside) {
  const it = new Date(ms);
  if (Number.isNaN(it.getTime())) return "–";
  const day = `${it.getFullYear()}-${two(it.getMonth() + 1)}-${two(it.getDate())}`;
  const clock = `${two(it.getHours())}:${two(it.getMinutes())}${it.getSeconds() ? `:${two(it.getSeconds())}` : ""}`;
  if (beside !== undefined && new Date(beside).toDateString() === it.toDateString()) return clock;
  return `${day} ${clock}`;
}

export function range(from, until) {
  return `${time(from)} – ${time(until, from)}`;
}

// Points in time as the address and the fields have them: `now`, `now-90m`, Unix milliseconds.

const UNITS_MS = { s: 1e3, m: 60e3, h: 3600e3, d: 86400e3, w: 7 * 86400e3 };
/** What the year 2200 begins with; a number beyond is no time of ours. */
const MAX_MS = Date.UTC(2200, 0, 1);

export const PRESETS = [
  ["now-5m", "5 minutes"], ["now-15m", "15 minutes"], ["now-1h", "1 hour"], ["now-3h", "3 hours"],
  ["now-12h", "12 hours"], ["now-1d", "1 day"], ["now-7d", "7 days"], ["now-30d", "30 days"],
];

/** Milliseconds, or null if it is none of the forms. */
export function resolve(text, nowMs) {
  const relative = /^now(?:-(\d{1,9})([smhdw]))?$/.exec(text);
  if (relative) return nowMs - (relative[1] ? Number(relative[1]) * UNITS_MS[relative[2]] : 0);
  if (/^\d{1,16}$/.test(text) && Number(text) <= MAX_MS) return Number(text);
  return null;
}

export const isRelative = (text) => text.startsWith("now");

/** A range in which something can be; what is wrong becomes the last hour. */
export function resolveRange(from, until, nowMs) {
  const a = resolve(from, nowMs), b = resolve(until, nowMs);
  if (a === null || b === null || b <= a) return { from: nowMs - UNITS_MS.h, until: nowMs };
  return { from: a, until: b };
}

/** What the button says. */
export function presetName(from, until) {
  if (until !== "now") return null;
  const known = PRESETS.find(([value]) => value === from);
  return known ? `Last ${known[1]}` : null;
}

/** For <input type="datetime-local">, which knows no zone. */
export function toField(ms) {
  const it = new Date(ms);
  const two = (n) => String(n).padStart(2, "0");
  return `${it.getFullYear()}-${two(it.getMonth() + 1)}-${two(it.getDate())}`
    + `T${two(it.getHours())}:${two(it.getMinutes())}:${two(it.getSeconds())}`;
}

export function fromField(text) {
  const ms = new Date(text).getTime();
  return Number.isNaN(ms) ? null : ms;
}

/**
 * The step of a timeline: a round one, with about as many points as wanted. Agents send windows of 10 s: with steps that are no
 * multiple of it, one window and two would take turns.
 */
export function stepMs(rangeMs, nPoints) {
  const rounds = [10e3, 20e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1800e3, 3600e3,
    7200e3, 14400e3, 21600e3, 43200e3, 86400e3];
  return rounds.find((round) => rangeMs / round <= nPoints) ?? Math.ceil(rangeMs / nPoints / 86400e3) * 86400e3;
}

// What is shown <-> the query of the address. A link has everything that differs from what is shown at first.

export const DEFAULTS = Object.freeze({
  tab: "profile", // profile | compare | memory
  type: "",
  match: "",
  from: "now-1h",
  until: "now",
  // A part of the timeline, as it was dragged over; empty: all of it.
  a: "", b: "",
  // The baseline of a comparison: a part of the timeline, and a selector if it is not the same one.
  base_a: "", base_b: "", base_match: "",
  base_other: "", // 1: the baseline has its own selector, even an empty one
  show: "both", // graph | table | both
  up: "", // 1: a flame, root at the bottom
  colour: "", // package | self | diff; empty: what suits the tab
  q: "",
  at: "", // the frame that is zoomed to, by the hash of its path
  fn: "", fn_package: "", // the function of a sandwich
  sort: "", // of the table: a column, -column for the largest first; empty: what suits the tab
  metric: "",
  live: "",
});

const CHOICES = {
  tab: ["profile", "compare", "memory"],
  show: ["graph", "table", "both"],
  up: ["", "1"],
  live: ["", "1"],
  base_other: ["", "1"],
  colour: ["", "package", "self", "diff"],
};
const MAX_LENGTH = 4096;

export function fromSearch(search) {
  const given = new URLSearchParams(search);
  const state = { ...DEFAULTS };
  for (const key of Object.keys(DEFAULTS)) {
    const value = given.get(key);
    if (value === null || value.length > MAX_LENGTH) continue;
    if (CHOICES[key] && !CHOICES[key].includes(value)) continue;
    state[key] = value;
  }
  return state;
}

export function toSearch(state) {
  const query = new URLSearchParams();
  for (const [key, initial] of Object.entries(DEFAULTS)) {
    if (state[key] !== initial) query.set(key, state[key]);
  }
  const text = query.toString();
  return text ? `?${text}` : "";
}

/** The same with times that stay where they are, for somebody who opens it tomorrow. */
export function pinned(state, range) {
  return { ...state, from: String(Math.round(range.from)), until: String(Math.round(range.until)), live: "" };
}

/** What asks for other data, and what only shows the same in another way: `data`, `view` or "" for nothing. */
export function change(before, after) {
  const of = ["tab", "type", "match", "from", "until", "a", "b", "base_a", "base_b", "base_match", "base_other", "metric"];
  if (of.some((key) => before[key] !== after[key])) return "data";
  return Object.keys(DEFAULTS).some((key) => before[key] !== after[key]) ? "view" : "";
}

/** What the type is called, out of `cpu:nanoseconds`. */
export function unitOf(type) {
  const colon = type.lastIndexOf(":");
  return colon < 0 ? "" : type.slice(colon + 1);
}

const TYPE_NAMES = {
  "cpu:nanoseconds": "CPU time", "samples:count": "Samples",
  "alloc_space:bytes": "Allocated bytes", "alloc_objects:count": "Allocated objects",
  "inuse_space:bytes": "Live bytes", "inuse_objects:count": "Live objects",
  "pool_space:bytes": "Bytes from pools", "pool_objects:count": "Objects from pools",
  "rss_growth:bytes": "Growth of memory", "rss_growth_anonymous:bytes": "Growth, anonymous", "rss_growth_file:bytes": "Growth, files",
  "rss_growth_shared:bytes": "Growth, shared", "rss_released:bytes": "Memory given back",
  "off_cpu:nanoseconds": "Off-CPU time", "offcpu:nanoseconds": "Off-CPU time", "off-cpu:nanoseconds": "Off-CPU time",
};

export const typeName = (type) => TYPE_NAMES[type] ?? type.replace(":", " · ");

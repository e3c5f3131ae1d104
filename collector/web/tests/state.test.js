import assert from "node:assert/strict";
import { test } from "node:test";
import { change, DEFAULTS, fromSearch, pinned, toSearch, typeName, unitOf } from "../pure/state.js";
import { chosen, firstMetric, firstType, newest, profileRequest, timelineRequest, wanted } from "../pure/parts.js";
import { fromField, presetName, resolve, resolveRange, stepMs, toField } from "../pure/time.js";

const NOW = Date.UTC(2026, 10, 21, 12);
const RANGE = { from: NOW - 3_600_000, until: NOW };

test("a link has what differs from the first view, and reproduces it", () => {
  assert.equal(toSearch({ ...DEFAULTS }), "");
  const state = { ...DEFAULTS, tab: "compare", match: "{a=\"ü & b\"}", q: "a+b|c", at: "0123456789abcdef", fn: "f<int>(x)", up: "1", colour: "self" };
  assert.deepEqual(fromSearch(toSearch(state)), state);
});

test("what is not understood in a link is what stands there at first", () => {
  const state = fromSearch(`?tab=nonsense&show=1&up=7&unknown=1&q=${"x".repeat(5000)}&colour=red&sort=-total`);
  assert.deepEqual(state, { ...DEFAULTS, sort: "-total" });
});

test("a link for somebody else has times that stay", () => {
  const state = pinned({ ...DEFAULTS, live: "1" }, { from: 1000.4, until: 2000 });
  assert.deepEqual([state.from, state.until, state.live], ["1000", "2000", ""]);
});

test("only what asks for other data asks for data", () => {
  assert.equal(change(DEFAULTS, { ...DEFAULTS }), "");
  for (const key of ["match", "from", "a", "base_match", "tab", "type"]) assert.equal(change(DEFAULTS, { ...DEFAULTS, [key]: "x" }), "data", key);
  for (const key of ["q", "at", "fn", "up", "sort", "colour", "show"]) assert.equal(change(DEFAULTS, { ...DEFAULTS, [key]: "x" }), "view", key);
});

test("times are read in both forms and nothing else", () => {
  assert.equal(resolve("now", NOW), NOW);
  assert.equal(resolve("now-90m", NOW), NOW - 5_400_000);
  assert.equal(resolve("1700000000000", NOW), 1_700_000_000_000);
  for (const text of ["", "now-", "now-1y", "-5", "1e3", "99999999999999999", "yesterday", "now-1h30m"]) assert.equal(resolve(text, NOW), null, text);
});

test("a range that is none is the last hour", () => {
  assert.deepEqual(resolveRange("now-15m", "now", NOW), { from: NOW - 900_000, until: NOW });
  for (const [from, until] of [["now", "now-1h"], ["x", "now"], ["5", "5"]]) assert.deepEqual(resolveRange(from, until, NOW), RANGE);
});

test("a range has the name of its preset", () => {
  assert.equal(presetName("now-1h", "now"), "Last 1 hour");
  assert.equal(presetName("now-1h", "1700000000000"), null);
  assert.equal(fromField(toField(NOW)), NOW);
  assert.equal(fromField("nonsense"), null);
});

test("steps are round and about as many as there is room for", () => {
  for (const rangeMs of [60_000, 3_600_000, 86_400_000, 30 * 86_400_000, 400 * 86_400_000]) {
    const n = rangeMs / stepMs(rangeMs, 240);
    assert.ok(n <= 240 && (n >= 30 || rangeMs < 300_000), `${rangeMs}: ${n} points`);
    assert.equal(stepMs(rangeMs, 240) % 10_000, 0, "windows of 10 s fall into steps evenly");
  }
});

test("all of the range is looked at unless a part was dragged over", () => {
  assert.deepEqual(wanted(DEFAULTS, RANGE), { main: RANGE, base: null });
  const state = { ...DEFAULTS, a: "1000", b: "2000" };
  assert.deepEqual(wanted(state, RANGE).main, { from: 1000, until: 2000 });
  for (const [a, b] of [["", "5"], ["x", "5"], ["9", "5"]]) assert.equal(chosen({ ...DEFAULTS, a, b }).main, null);
});

test("a comparison is of two halves, or of two selectors at the same time", () => {
  const compare = { ...DEFAULTS, tab: "compare", type: "cpu:nanoseconds", match: "{a=\"1\"}" };
  const middle = (RANGE.from + RANGE.until) / 2;
  assert.deepEqual(wanted(compare, RANGE), { main: { from: middle, until: NOW }, base: { from: RANGE.from, until: middle } });
  const { path, parameters } = profileRequest(compare, RANGE);
  assert.deepEqual([path, parameters.baseline_match, parameters.baseline_until], ["diff", "{a=\"1\"}", middle]);
  const other = { ...compare, base_other: "1", base_match: "" };
  assert.deepEqual(wanted(other, RANGE), { main: RANGE, base: RANGE });
  assert.equal(profileRequest(other, RANGE).parameters.baseline_match, "{}", "none is another selector, not the same one");
});

test("a profile is asked for by its part, and the timeline by whole steps", () => {
  const { path, parameters } = profileRequest({ ...DEFAULTS, type: "t:u", a: "1000", b: "2000" }, RANGE);
  assert.deepEqual([path, parameters.from, parameters.until], ["flamegraph", 1000, 2000]);
  const asked = timelineRequest({ ...DEFAULTS, type: "t:u" }, RANGE, "");
  assert.equal(asked.from % asked.step_ms, 0);
});

test("the newest of what there is", () => {
  assert.equal(newest([[1, 5], [2, 0], [3, 7], [4, 0]]), 3);
  assert.equal(newest([[1, 0]]), null);
});

test("CPU time comes first, else what there is most of", () => {
  assert.equal(firstType([{ type: "samples", unit: "count", n_rows: 9 }, { type: "cpu", unit: "nanoseconds", n_rows: 1 }]), "cpu:nanoseconds");
  assert.equal(firstType([{ type: "a", unit: "b", n_rows: 1 }, { type: "c", unit: "d", n_rows: 2 }]), "c:d");
  assert.equal(firstType([]), "");
});

test("memory of what is watched comes first, whatever else is sent", () => {
  assert.equal(firstMetric(["brazier.agent.memory", "brazier.memory.usage", "x"]), "brazier.memory.usage");
  assert.equal(firstMetric(["a", "jvm.memory.used"]), "jvm.memory.used");
  assert.equal(firstMetric(["a", "b"]), "a");
  assert.equal(firstMetric([]), "");
});

test("types have names and units", () => {
  assert.equal(unitOf("cpu:nanoseconds"), "nanoseconds");
  assert.equal(typeName("cpu:nanoseconds"), "CPU time");
  assert.equal(typeName("wall:nanoseconds"), "wall · nanoseconds");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { digits, duration, perSecond, plural, points, quantity, range, rate, share, time } from "../pure/format.js";
import { dragged, linear, linePath, stairs, summed, ticks, timeTicks } from "../pure/scale.js";

test("amounts have three digits and the unit that fits", () => {
  const cases = [[0, "0"], [1, "1 ns"], [999, "999 ns"], [1500, "1.5 µs"], [999_999, "1 ms"], [12_345_678, "12.3 ms"],
    [1.5e9, "1.5 s"], [59.99e9, "1 min"], [90e9, "1.5 min"], [7200e9, "2 h"], [30 * 3600e9, "1.25 d"]];
  for (const [value, text] of cases) assert.equal(quantity(value, "nanoseconds"), text);
  assert.equal(quantity(1536, "bytes"), "1.5 KiB");
  assert.equal(quantity(2 ** 40, "By"), "1 TiB");
  assert.equal(quantity(1_234_567, "count"), "1.23 M");
  assert.equal(quantity(12, "{request}"), "12");
  assert.equal(quantity(2048, "By/s"), "2 KiB/s");
  assert.equal(quantity(12, "Hz"), "12 Hz");
  assert.equal(quantity(NaN, "bytes"), "–");
  assert.equal(quantity(-1.5e9, "nanoseconds"), "-1.5 s");
  assert.deepEqual([0.5, 0.00767, 0, 0.0999].map(digits), ["0.5", "0.0077", "0", "0.1"]);
});

test("CPU time in a second is a number of CPUs", () => {
  assert.equal(rate(perSecond(15e9, "nanoseconds", 10_000), "nanoseconds", "cpu:nanoseconds"), "1.5 CPU");
  assert.equal(rate(perSecond(2048, "bytes", 2000), "bytes", "alloc_space:bytes"), "1 KiB/s");
});

test("shares and their changes", () => {
  assert.equal(share(1, 3), "33.33 %");
  assert.equal(share(0, 3), "0.00 %");
  assert.equal(share(1, 1e9), "<0.01 %");
  assert.equal(share(1, 0), "–");
  assert.deepEqual([points(0.0123), points(-0.5), points(0.00001)], ["+1.23", "−50.00", "0.00"]);
});

test("spans have two steps at most", () => {
  const cases = [[0, "0 ms"], [400, "400 ms"], [1000, "1 s"], [61_000, "1 min 1 s"], [3_600_000, "1 h"], [90_061_000, "1 d 1 h"], [86_405_000, "1 d"]];
  for (const [ms, text] of cases) assert.equal(duration(ms), text);
  assert.equal(plural(1, "frame"), "1 frame");
  assert.equal(plural(2000, "frame"), "2,000 frames");
});

test("a time of the same day needs no day", () => {
  const at = new Date(2026, 10, 21, 9, 5).getTime();
  assert.equal(time(at), "2026-11-21 09:05");
  assert.equal(time(at + 7000, at), "09:05:07");
  assert.equal(range(at, at + 60_000), "2026-11-21 09:05 – 09:06");
  assert.equal(time(NaN), "–");
});

test("marks are round, and reach what they mark", () => {
  for (const most of [0.013, 1, 2.4, 7, 99, 1e6, 3.3e9]) {
    const marks = ticks(most, 4);
    assert.ok(marks.length >= 2 && marks.length <= 8 && marks.at(-1) >= most, `${most}: ${marks}`);
  }
  assert.deepEqual(ticks(1.2 * 2 ** 30, 5, 2).map((it) => it / 2 ** 20), [0, 256, 512, 768, 1024, 1280]);
  assert.deepEqual(ticks(0, 4), [0]);
});

test("marks of time are round in the reader's zone", () => {
  const from = Date.UTC(2026, 10, 21, 10, 7), { marks, step } = timeTicks(from, from + 3_600_000, 8, 30 * 60_000);
  assert.equal(step, 600_000);
  for (const mark of marks) assert.equal((mark + 30 * 60_000) % step, 0);
});

test("lines begin with a move, and break where something is missing", () => {
  const same = (value) => value;
  assert.equal(linePath([[0, 1], [1, 2], [9, 3]], same, same, 2), "M0.0 1.0L1.0 2.0M9.0 3.0");
  assert.ok(linePath([[0, 1], [9, 2]], same, same, Infinity).startsWith("M"));
  assert.equal(linePath([], same, same, 1), "");
  assert.equal(linear(0, 10, 100, 200)(5), 150);
});

test("stairs go down to nothing where there is nothing", () => {
  const same = (value) => value;
  assert.equal(stairs([[0, 5], [10, 7], [30, 2]], 10, same, same),
    "M0.0 0.0L0.0 5.0L10.0 5.0L10.0 7.0L20.0 7.0L20.0 0.0M30.0 0.0L30.0 2.0L40.0 2.0L40.0 0.0");
  assert.equal(stairs([], 10, same, same), "");
});

test("series are summed by time", () => {
  assert.deepEqual(summed([{ points: [[1, 2], [3, 4]] }, { points: [[3, 1], [0, 7]] }]), [[0, 7], [1, 2], [3, 5]]);
});

test("a drag has an order, and a click is none", () => {
  assert.deepEqual(dragged(9, 4, 1), { from: 4, until: 9 });
  assert.equal(dragged(5, 5, 1), null);
});

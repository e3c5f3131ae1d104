import assert from "node:assert/strict";
import { test } from "node:test";
import { between, clampView, ease, Layout, NARROW_PX, zoomAround } from "../pure/layout.js";
import { fromAnswer } from "../pure/tree.js";
import { answer, large } from "./trees.js";

const of = (given) => new Layout(fromAnswer(given));

test("boxes stand on their callers, side by side", () => {
  const layout = of(answer([["a;x", 1], ["a;y", 2], ["b", 1]]));
  const place = (name) => {
    const node = [...layout.nodes].find((it) => layout.tree.name(it) === name);
    return [layout.start[node], layout.width[node]];
  };
  assert.deepEqual(place("total"), [0, 1]);
  assert.deepEqual(place("a"), [0, 0.75]);
  assert.deepEqual(place("y"), [0, 0.5]);
  assert.deepEqual(place("x"), [0.5, 0.25]);
  assert.deepEqual(place("b"), [0.75, 0.25]);
});

test("a box of a comparison is as wide as the mean of its shares, so that what is gone is seen", () => {
  const layout = of(answer([["stays", 5, 10], ["gone", 0, 10], ["new", 5, 0]], true));
  const widths = Object.fromEntries([...layout.nodes].map((it) => [layout.tree.name(it), layout.width[it]]));
  assert.deepEqual(widths, { total: 1, stays: 0.5, gone: 0.25, new: 0.25 });
});

test("a place is found as a scan of the row finds it", () => {
  const layout = of(large(5000));
  const { tree } = layout;
  for (let row = 0; row <= tree.nRows; row += 1) {
    for (let i = 0; i < 50; i += 1) {
      const x = (i * 0.618034) % 1;
      let expected = -1;
      for (let node = 0; node < tree.n; node += 1) {
        if (tree.depth[node] === row && layout.start[node] <= x && x < layout.start[node] + layout.width[node]) expected = node;
      }
      assert.equal(layout.hit(row, x), expected, `row ${row}, x ${x}`);
    }
  }
  assert.equal(layout.hit(-1, 0.5), -1);
});

function visited(layout, row, left, right, pixels) {
  const boxes = [], runs = [];
  layout.visit(row, left, right, pixels, (node, x, width) => boxes.push({ node, x, width }),
    (node, x, width) => runs.push({ node, x, width }));
  return { boxes, runs };
}

test("every box that is wide enough is drawn, once, where it is", () => {
  const layout = of(large(20_000));
  const { tree } = layout;
  for (const [left, right, pixels] of [[0, 1, 1400], [0.25, 0.5, 900], [0.4, 0.4001, 1400]]) {
    const scale = pixels / (right - left);
    for (let row = 0; row < tree.nRows; row += 1) {
      const { boxes } = visited(layout, row, left, right, pixels);
      const expected = [...layout.nodes.subarray(layout.rowStart[row], layout.rowStart[row + 1])].filter((node) =>
        layout.width[node] * scale >= NARROW_PX && layout.start[node] < right && layout.start[node] + layout.width[node] > left);
      assert.deepEqual(boxes.map((it) => it.node), expected, `row ${row} of ${left}..${right}`);
      for (const { node, x } of boxes) assert.ok(Math.abs(x - (layout.start[node] - left) * scale) < 1e-6);
    }
  }
});

test("where a box is, something is drawn, and a row costs no more than its pixels", () => {
  const layout = of(large(50_000));
  const { tree } = layout, pixels = 300;
  for (let row = 0; row < tree.nRows; row += 1) {
    const { boxes, runs } = visited(layout, row, 0, 1, pixels);
    assert.ok(boxes.length + runs.length <= pixels, `row ${row}: ${boxes.length} boxes and ${runs.length} runs`);
    const drawn = [...boxes, ...runs];
    for (const node of layout.nodes.subarray(layout.rowStart[row], layout.rowStart[row + 1])) {
      const middle = (layout.start[node] + layout.width[node] / 2) * pixels;
      assert.ok(drawn.some(({ x, width }) => middle >= x - 2 && middle <= x + width + 2), `row ${row}, node ${node} at ${middle}`);
    }
  }
});

test("neighbours of a row are those of the row, to its ends", () => {
  const layout = of(answer([["a;x", 3], ["b;y", 2], ["c", 1]]));
  const [a, b, c] = layout.nodes.subarray(1, 4);
  assert.deepEqual([layout.beside(a, 1), layout.beside(b, 1), layout.beside(c, 1), layout.beside(a, -1)], [b, c, -1, -1]);
});

test("zooming keeps what is under the pointer where it is, and stays within the whole", () => {
  let view = { left: 0, width: 1 };
  for (const factor of [0.5, 0.3, 0.9, 1.4]) {
    const at = view.left + view.width * 0.3;
    view = zoomAround(view, at, factor);
    assert.ok(Math.abs((at - view.left) / view.width - 0.3) < 1e-9, JSON.stringify(view));
  }
  assert.deepEqual(zoomAround(view, 0.1, 1e9), { left: 0, width: 1 });
  assert.deepEqual(clampView(0.9, 0.5), { left: 0.5, width: 0.5 });
  assert.ok(zoomAround(view, 0.5, 0).width > 0);
});

test("a move between two views begins and ends at them", () => {
  const from = { left: 0, width: 1 }, to = { left: 0.4, width: 0.01 };
  const close = (a, b) => assert.ok(Math.abs(a.left - b.left) < 1e-9 && Math.abs(a.width - b.width) < 1e-9, JSON.stringify([a, b]));
  close(between(from, to, 0), from);
  close(between(from, to, 1), to);
  close(between(from, { left: 0, width: 1 }, 0.5), from);
  close(between(to, { left: 0.2, width: 0.01 }, 1), { left: 0.2, width: 0.01 });
  assert.deepEqual([ease(0), ease(0.5), ease(1)], [0, 0.5, 1]);
  const all = { left: 0, width: 1 };
  for (let i = 1; i < 1000; i += 1) assert.deepEqual(between({ left: 0, width: i / 1000 }, all, 1), all, `from ${i / 1000}`);
});

test("an empty tree is laid out as nothing", () => {
  const layout = of({ names: [], packages: [], nodes: { parent: [], name: [], package: [], kind: [], self: [], total: [] } });
  assert.equal(layout.hit(0, 0.5), -1);
});

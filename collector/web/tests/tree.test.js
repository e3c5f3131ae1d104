import assert from "node:assert/strict";
import { test } from "node:test";
import { AnswerError, callees, callers, fromAnswer, outermost, sorted, top } from "../pure/tree.js";
import { answer, drawing, large } from "./trees.js";

test("an answer becomes a tree in pre-order, larger siblings first", () => {
  const tree = fromAnswer(answer([["main;read", 1], ["main;write;copy", 5], ["main;write", 2], ["idle", 3]]));
  assert.deepEqual(drawing(tree), ["total 11/0", " main 8/0", "  write 7/2", "   copy 5/5", "  read 1/1", " idle 3/3"]);
  assert.deepEqual([...tree.end], [6, 5, 4, 4, 5, 6]);
  assert.equal(tree.nRows, 4);
  assert.deepEqual(tree.path(3).map((node) => tree.name(node)), ["total", "main", "write", "copy"]);
});

test("an answer that is none is refused with what is wrong, and never followed", () => {
  const good = () => answer([["main;read", 1]]);
  const cases = [
    [null, "table"], [{}, "table"],
    [{ ...good(), names: "main" }, "table"],
    [(() => { const it = good(); it.nodes.parent[1] = 1; return it; })(), "parent"],
    [(() => { const it = good(); it.nodes.parent[2] = -1; return it; })(), "parent"],
    [(() => { const it = good(); it.nodes.parent[1] = 0.5; return it; })(), "parent"],
    [(() => { const it = good(); it.nodes.name[1] = 99; return it; })(), "name"],
    [(() => { const it = good(); it.nodes.self[1] = -1; return it; })(), "amount"],
    [(() => { const it = good(); it.nodes.total[1] = "many"; return it; })(), "amount"],
    [(() => { const it = good(); it.nodes.self.pop(); return it; })(), "length"],
    [(() => { const it = good(); it.nodes.baseline_total = [1]; return it; })(), "length"],
  ];
  for (const [given, word] of cases) {
    assert.throws(() => fromAnswer(given), (error) => error instanceof AnswerError && error.message.includes(word), JSON.stringify(given));
  }
});

test("no box is narrower than what stands on it, whatever the answer says", () => {
  const given = answer([["main;read", 4]]);
  given.nodes.total[1] = 1;
  assert.deepEqual(drawing(fromAnswer(given)), ["total 4/0", " main 4/0", "  read 4/4"]);
});

test("an answer without nodes is a tree of nothing", () => {
  const given = { names: [], packages: [], nodes: { parent: [], name: [], package: [], kind: [], self: [], total: [] } };
  assert.equal(fromAnswer(given).n, 0);
});

test("a recursion counts once", () => {
  const tree = fromAnswer(answer([["main;walk;walk;walk", 3], ["main;walk", 2]]));
  const walk = top(tree).find((row) => row.name === "walk");
  assert.deepEqual([walk.total, walk.self], [5, 5]);
  assert.deepEqual(outermost(tree, (i) => tree.name(i) === "walk"), [2]);
});

const SHARED = [["a;f;x", 3], ["b;f;x", 4], ["b;f;y", 1], ["b;c;f", 2], ["idle", 9]];

test("what a function calls is merged over all who call it", () => {
  const tree = fromAnswer(answer(SHARED));
  const cut = callees(tree, tree.frames.functionOf("f", ""));
  assert.deepEqual(drawing(cut), ["f 10/2", " x 7/7", " y 1/1"]);
  assert.equal(cut.totalA, 19, "shares stay shares of all");
});

test("who calls a function stands from the nearest to the first", () => {
  const tree = fromAnswer(answer(SHARED));
  const cut = callers(tree, tree.frames.functionOf("f", ""));
  assert.deepEqual(drawing(cut), ["f 10/0", " b 5/5", " a 3/3", " c 2/0", "  b 2/2"]);
});

test("a recursion in a sandwich counts once, and shows below", () => {
  const tree = fromAnswer(answer([["main;f;f;g", 2], ["f", 1]]));
  const func = tree.frames.functionOf("f", "");
  assert.deepEqual(drawing(callees(tree, func)), ["f 3/1", " f 2/0", "  g 2/2"]);
  assert.deepEqual(drawing(callers(tree, func)), ["f 3/1", " main 2/2"]);
});

test("in a sandwich of a large tree nothing is lost, for every function", () => {
  const tree = fromAnswer(large(3000));
  const rows = top(tree);
  assert.ok(rows.length > 300, `${rows.length} functions`);
  for (const row of rows) {
    for (const cut of [callees(tree, row.func), callers(tree, row.func)]) {
      assert.equal(cut.total[0], row.total, row.name);
      assert.equal(cut.self.reduce((sum, it) => sum + it, 0), row.total, row.name);
    }
  }
});

test("functions of one name in two packages are two", () => {
  const rows = top(fromAnswer(answer([["libc!read", 1], ["ssl!read", 2]])));
  assert.deepEqual(rows.map((row) => [row.package, row.total]).sort(), [["libc", 1], ["ssl", 2]]);
});

test("a comparison tells shares, with what is gone and what is new", () => {
  const tree = fromAnswer(answer([["a", 5, 5], ["gone", 0, 5], ["new", 15, 0]], true));
  assert.ok(tree.compared);
  const changes = Object.fromEntries(top(tree).map((row) => [row.name, row.selfChange]));
  assert.deepEqual(changes, { a: 0.25 - 0.5, gone: -0.5, new: 0.75 });
  const cut = callers(tree, tree.frames.functionOf("gone", ""));
  assert.deepEqual([cut.total[0], cut.baseTotal[0], cut.totalB], [0, 5, 10]);
});

test("changes are sorted by their size, whichever way they go", () => {
  const rows = top(fromAnswer(answer([["same", 10, 10], ["more", 5, 1], ["less", 1, 5], ["most", 20, 1]], true)));
  assert.equal(sorted(rows, "-selfChange")[0].name, "most");
  assert.equal(sorted(rows, "-selfChange").at(-1).name, sorted(rows, "selfChange")[0].name);
  const sizes = sorted(rows, "-selfChange").map((row) => Math.abs(row.selfChange));
  assert.deepEqual(sizes, [...sizes].sort((a, b) => b - a));
});

test("the table is sorted by any column, both ways, and by name where it is equal", () => {
  const rows = top(fromAnswer(answer([["b", 2], ["a", 2], ["c;a", 1]])));
  const names = (sort) => sorted(rows, sort).map((row) => row.name).join(" ");
  assert.equal(names("-self"), "a b c");
  assert.equal(names("self"), "c b a");
  assert.equal(names("-total"), "a b c");
  assert.equal(names("name"), "a b c");
  assert.equal(names("-name"), "c b a");
  assert.equal(names("constructor"), names("-self"), "what is no column is the usual one");
});

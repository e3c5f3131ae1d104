import assert from "node:assert/strict";
import { test } from "node:test";
import { colours, diffStep, packageHues, packageName } from "../pure/colour.js";
import { callees, fromAnswer } from "../pure/tree.js";
import { answer, large } from "./trees.js";

test("packages have colours of their own, and keep them when others shrink", () => {
  const many = (sizes) => fromAnswer(answer(sizes.map((size, i) => [`/lib/p${i}.so!f${i}`, size])));
  const { hues } = packageHues(many([9, 8, 7, 6, 5, 4, 3, 2]));
  assert.equal(new Set(hues.values()).size, 8);
  const again = packageHues(many([9, 8, 7, 6, 5, 4, 3, 1])).hues;
  assert.deepEqual([...again], [...hues]);
});

test("there are more packages than hues", () => {
  const stacks = Array.from({ length: 60 }, (_, i) => [`p${i}!f`, i + 1]);
  const scheme = colours(fromAnswer(answer(stacks)), "package", "light");
  for (const index of scheme.index) assert.ok(typeof scheme.palette[index] === "string", String(index));
});

test("a part of a tree has the colours of the whole", () => {
  const whole = fromAnswer(answer([["a!main;b!f;c!g", 9], ["d!x;e!y", 5]]));
  const part = callees(whole, whole.frames.functionOf("f", "b"));
  const of = (tree) => {
    const { index } = colours(tree, "package", "light", whole);
    return Object.fromEntries([...index].map((it, node) => [tree.name(node), it]));
  };
  assert.deepEqual(of(part), { f: of(whole).f, g: of(whole).g });
});

test("the kernel is one colour, whatever it is called", () => {
  const tree = fromAnswer(answer([["nginx!main;kernel!read", 1], ["nginx!main;kernel!write", 1]]));
  const { index } = colours(tree, "package", "dark");
  assert.equal(index[2], index[3]);
  assert.notEqual(index[1], index[2]);
});

test("by self, what has most itself is the last step", () => {
  const tree = fromAnswer(answer([["a;b", 10], ["a", 1]]));
  const { index, palette } = colours(tree, "self", "light");
  assert.equal(index[0], 0);
  assert.equal(index[2], palette.length - 1);
  assert.ok(index[1] > 0 && index[1] < index[2]);
});

test("by change, what is new and what is gone are the ends, and what stays is the middle", () => {
  const tree = fromAnswer(answer([["stays", 2, 4], ["new", 2, 0], ["gone", 0, 4]], true));
  const step = Object.fromEntries([...Array(tree.n).keys()].map((i) => [tree.name(i), diffStep(tree, i)]));
  assert.deepEqual(step, { total: 8, stays: 8, new: 16, gone: 0 });
});

test("every scheme has a colour for every node, also in parts of a tree", () => {
  const whole = fromAnswer(large(3000));
  for (const tree of [whole, callees(whole, 5)]) for (const mode of ["package", "self", "diff"]) for (const theme of ["light", "dark"]) {
    const { index, palette } = colours(tree, mode, theme);
    assert.ok(index.every((it) => palette[it] !== undefined), `${mode} ${theme}`);
  }
});

test("a package is called by its file", () => {
  assert.equal(packageName("/usr/lib/libc.so.6"), "libc.so.6");
  assert.equal(packageName("[vdso]"), "[vdso]");
  assert.equal(packageName("/a/"), "/a/");
});

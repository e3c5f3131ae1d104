import assert from "node:assert/strict";
import { test } from "node:test";
import { mask, matched, nodeOfHash, pathHash, pattern } from "../pure/search.js";
import { fromAnswer } from "../pure/tree.js";
import { answer, large } from "./trees.js";

const tree = fromAnswer(answer([["main;SSL_write;memcpy", 4], ["main;SSL_write", 1], ["main;ssl_read", 2], ["zlib!deflate", 3]]));
const share = (text) => matched(tree, mask(tree.frames, text).hits).total;

test("the share of what is found counts what stands below it once", () => {
  assert.equal(share("write|memcpy"), 5);
  assert.equal(share("memcpy"), 4);
  assert.equal(share("nothing"), 0);
});

test("large letters count only where there are any", () => {
  assert.equal(share("ssl"), 7);
  assert.equal(share("SSL"), 5);
  assert.equal(pattern("\\W").regex.ignoreCase, true, "those of an escape are none");
});

test("a package is found by its name", () => assert.equal(share("^zlib$"), 3));

test("what is no regular expression is looked for as it stands", () => {
  const it = fromAnswer(answer([["std::vector<int>(", 2], ["a[0]", 1]]));
  const found = mask(it.frames, "int>(");
  assert.ok(found.literal);
  assert.equal(matched(it, found.hits).total, 2);
  assert.ok(mask(it.frames, "[").literal);
});

test("the root is found by nobody, and nothing is looked for by an empty text", () => {
  assert.equal(share("total"), 0);
  assert.equal(mask(tree.frames, ""), null);
});

test("a path has the same text in another answer, and leads back to its node", () => {
  const later = fromAnswer(answer([["new", 99], ["main;ssl_read", 1], ["main;SSL_write;memcpy", 50]]));
  const at = later.n && [...Array(later.n).keys()].find((i) => later.name(i) === "memcpy");
  const before = [...Array(tree.n).keys()].find((i) => tree.name(i) === "memcpy");
  assert.equal(pathHash(tree, before), pathHash(later, at));
  assert.equal(nodeOfHash(later, pathHash(tree, before)), at);
});

test("every path of a large tree leads back to a node of the same path", () => {
  const it = fromAnswer(large(2000));
  const names = (node) => it.path(node).map((up) => `${it.name(up)} ${it.package(up)}`).join(";");
  for (let node = 1; node < it.n; node += 37) assert.equal(names(nodeOfHash(it, pathHash(it, node))), names(node));
});

test("a path that is not there leads nowhere", () => {
  for (const text of ["", "0000000000000000", "not a hash", "zz"]) assert.equal(nodeOfHash(tree, text), -1);
});

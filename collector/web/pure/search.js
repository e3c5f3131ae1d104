// Which frames a pattern finds, and what share of all they stand below; paths as short texts for links.

import { outermost } from "./tree.js";

/** A pattern that takes this long to read is no search. */
const MAX_LENGTH = 512;

/** A regular expression; one that is none is looked for as it stands. Large letters count only if there are any. */
export function pattern(text) {
  const flags = /\p{Lu}/u.test(text.replace(/\\./g, "")) ? "u" : "iu";
  const trimmed = text.slice(0, MAX_LENGTH);
  try {
    return { regex: new RegExp(trimmed, flags), literal: false };
  } catch {
    return { regex: new RegExp(trimmed.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), flags), literal: true };
  }
}

/** For each frame whether its name or package is found; null if nothing is looked for. */
export function mask(frames, text) {
  if (text === "") return null;
  const { regex, literal } = pattern(text);
  const hits = new Uint8Array(frames.name.length);
  for (let i = 0; i < hits.length; i += 1) {
    if (regex.test(frames.name[i]) || regex.test(frames.package[i])) hits[i] = 1;
  }
  return { hits, literal };
}

/** What stands below the frames that were found, each once. The root is nobody's frame. */
export function matched(tree, hits) {
  const nodes = outermost(tree, (i) => i > 0 && hits[tree.frame[i]] === 1);
  let total = 0, baseTotal = 0;
  for (const node of nodes) {
    total += tree.total[node];
    if (tree.compared) baseTotal += tree.baseTotal[node];
  }
  return { nodes, total, baseTotal };
}

/** FNV-1a in two halves that differ in what they begin with. */
const OFFSETS = [0x811c9dc5, 0x1b873593];
const PRIME = 0x01000193;

function hashOf(text, offset) {
  let h = offset;
  for (let i = 0; i < text.length; i += 1) h = Math.imul(h ^ text.charCodeAt(i), PRIME);
  return h;
}

/** A frame upon what it stands on; where it stands counts as well, so that the order of a path does. */
const upon = (below, frame) => Math.imul(((below << 5) | (below >>> 27)) ^ frame, PRIME);

/** Each frame once: a tree has many more nodes. */
function frameHashes(frames) {
  return OFFSETS.map((offset) => Int32Array.from(frames.name, (name, i) => hashOf(`${name}\0${frames.package[i]}`, offset)));
}

const hex = (a, b) => [a, b].map((it) => (it >>> 0).toString(16).padStart(8, "0")).join("");

/** The same path has the same text in another answer, whatever else there is. */
export function pathHash(tree, node) {
  let [a, b] = OFFSETS;
  for (const it of tree.path(node).slice(1)) {
    const text = `${tree.name(it)}\0${tree.package(it)}`;
    a = upon(a, hashOf(text, OFFSETS[0]));
    b = upon(b, hashOf(text, OFFSETS[1]));
  }
  return hex(a, b);
}

/** The node of a path, or -1. */
export function nodeOfHash(tree, wanted) {
  if (!/^[0-9a-f]{16}$/.test(wanted)) return -1;
  const [first, second] = [wanted.slice(0, 8), wanted.slice(8)].map((it) => Number.parseInt(it, 16) | 0);
  const [frameA, frameB] = frameHashes(tree.frames);
  const a = new Int32Array(tree.n), b = new Int32Array(tree.n);
  for (let i = 0; i < tree.n; i += 1) {
    const up = tree.parent[i];
    a[i] = i ? upon(a[up], frameA[tree.frame[i]]) : OFFSETS[0];
    b[i] = i ? upon(b[up], frameB[tree.frame[i]]) : OFFSETS[1];
    if (a[i] === first && b[i] === second) return i;
  }
  return -1;
}

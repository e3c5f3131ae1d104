// Stacks merged to a tree, in typed arrays: what the flamegraph, the table and the sandwich are made of.
//
// Nodes stand in pre-order, larger siblings first, so that all below node `i` is `i + 1 .. end[i]`.

export const KINDS = ["native", "kernel", "inlined", "interpreted", "missing"];

export class AnswerError extends Error {}

/** What nodes refer to: a name, a package and a kind; frames of one name and package are one function. */
export class Frames {
  constructor() {
    this.name = [];
    this.package = [];
    this.kind = [];
    this.func = [];
    this.functions = []; // the first frame of each
    this.byKey = new Map();
    this.functionByKey = new Map();
  }

  intern(name, pkg, kind) {
    const of = `${pkg}\0${name}`;
    const key = `${kind}\0${of}`;
    let id = this.byKey.get(key);
    if (id !== undefined) return id;
    id = this.name.length;
    let func = this.functionByKey.get(of);
    if (func === undefined) {
      func = this.functions.length;
      this.functions.push(id);
      this.functionByKey.set(of, func);
    }
    this.name.push(name);
    this.package.push(pkg);
    this.kind.push(kind);
    this.func.push(func);
    this.byKey.set(key, id);
    return id;
  }

  functionOf(name, pkg) {
    return this.functionByKey.get(`${pkg}\0${name}`);
  }
}

/** A tree under construction, then one in order. */
class Builder {
  constructor(frames, rootFrame, compared) {
    this.frames = frames;
    this.children = new Map();
    this.parent = [];
    this.frame = [];
    this.self = [];
    this.total = [];
    this.baseSelf = compared ? [] : null;
    this.baseTotal = compared ? [] : null;
    this.push(-1, rootFrame);
  }

  push(parent, frame) {
    this.parent.push(parent);
    this.frame.push(frame);
    this.self.push(0);
    this.total.push(0);
    this.baseSelf?.push(0);
    this.baseTotal?.push(0);
    return this.parent.length - 1;
  }

  child(parent, frame) {
    const key = parent * this.frames.name.length + frame;
    let node = this.children.get(key);
    if (node === undefined) {
      node = this.push(parent, frame);
      this.children.set(key, node);
    }
    return node;
  }

  /** Adds what `from` has at `node`; what is below it counts as its own if `whole`. */
  add(to, tree, node, whole) {
    this.total[to] += tree.total[node];
    this.self[to] += whole ? tree.total[node] : tree.self[node];
    if (this.baseTotal) {
      this.baseTotal[to] += tree.baseTotal[node];
      this.baseSelf[to] += whole ? tree.baseTotal[node] : tree.baseSelf[node];
    }
  }

  finish(meta) {
    return new Tree(this.frames, this, meta);
  }
}

export class Tree {
  /** Brings nodes into order; every parent stands before its children in `given`. */
  constructor(frames, given, { unit, totalA, totalB, truncated = 0, cut = false }) {
    const n = given.parent.length;
    const { order, parent } = preorder(given);
    this.frames = frames;
    this.n = n;
    this.unit = unit;
    this.truncated = truncated;
    /** Whether the root is a frame, and not all that was measured. */
    this.cut = cut;
    this.parent = parent;
    this.frame = Uint32Array.from(order, (i) => given.frame[i]);
    this.self = Float64Array.from(order, (i) => given.self[i]);
    this.total = Float64Array.from(order, (i) => given.total[i]);
    const compared = given.baseTotal !== null;
    this.baseSelf = compared ? Float64Array.from(order, (i) => given.baseSelf[i]) : null;
    this.baseTotal = compared ? Float64Array.from(order, (i) => given.baseTotal[i]) : null;
    this.depth = new Uint16Array(n);
    this.end = new Uint32Array(n);
    this.nRows = n ? 1 : 0;
    for (let i = 0; i < n; i += 1) {
      const depth = i ? this.depth[parent[i]] + 1 : 0;
      this.depth[i] = depth;
      if (depth >= this.nRows) this.nRows = depth + 1;
      this.end[i] = i + 1;
    }
    for (let i = n - 1; i > 0; i -= 1) {
      const up = parent[i];
      if (this.end[i] > this.end[up]) this.end[up] = this.end[i];
    }
    /** What shares are of: of all that was measured, also in a tree of a part. */
    this.totalA = totalA ?? this.total[0];
    this.totalB = totalB ?? (compared ? this.baseTotal[0] : 0);
  }

  get compared() {
    return this.baseTotal !== null;
  }

  name(node) {
    return this.frames.name[this.frame[node]];
  }

  package(node) {
    return this.frames.package[this.frame[node]];
  }

  kind(node) {
    return this.frames.kind[this.frame[node]];
  }

  func(node) {
    return this.frames.func[this.frame[node]];
  }

  /** From the root to the node. */
  path(node) {
    const nodes = [];
    for (let it = node; it >= 0; it = this.parent[it]) nodes.push(it);
    return nodes.reverse();
  }

  firstChild(node) {
    return this.end[node] > node + 1 ? node + 1 : -1;
  }
}

function preorder({ parent, total, baseTotal }) {
  const n = parent.length;
  const weight = (i) => total[i] + (baseTotal ? baseTotal[i] : 0);
  const start = new Uint32Array(n + 1);
  for (let i = 1; i < n; i += 1) start[parent[i] + 1] += 1;
  for (let i = 0; i < n; i += 1) start[i + 1] += start[i];
  const children = new Uint32Array(Math.max(0, n - 1));
  const fill = start.slice();
  for (let i = 1; i < n; i += 1) children[fill[parent[i]]++] = i;
  for (let i = 0; i < n; i += 1) {
    // The order of the answer decides between equals, as the sort is a stable one.
    if (start[i + 1] - start[i] > 1) children.subarray(start[i], start[i + 1]).sort((a, b) => weight(b) - weight(a) || a - b);
  }
  const order = new Uint32Array(n);
  const newParent = new Int32Array(n).fill(-1);
  const stack = n ? [0, -1] : [];
  let next = 0;
  while (stack.length) {
    const up = stack.pop(), node = stack.pop(), at = next;
    next += 1;
    order[at] = node;
    newParent[at] = up;
    for (let i = start[node + 1] - 1; i >= start[node]; i -= 1) stack.push(children[i], at);
  }
  return { order, parent: newParent };
}

const isAmount = (value) => Number.isFinite(value) && value >= 0;
/** As deep as a row number of 16 bits allows; the collector keeps 1,024 frames of a stack. */
const MAX_DEPTH = 65_535;

/**
 * The answer of /api/v1/flamegraph or /api/v1/diff.
 * @throws {AnswerError} if it is not one.
 */
export function fromAnswer(answer) {
  const wrong = (what) => { throw new AnswerError(`the answer is no flamegraph: ${what}`); };
  const { names, packages, nodes } = answer ?? {};
  if (!Array.isArray(names) || !Array.isArray(packages) || !nodes) wrong("a table is missing");
  const n = nodes.parent?.length ?? 0;
  const compared = Array.isArray(nodes.baseline_total);
  const columns = ["parent", "name", "package", "kind", "self", "total"];
  if (compared) columns.push("baseline_self", "baseline_total");
  for (const column of columns) if (nodes[column]?.length !== n) wrong(`column ${column} has another length`);
  const frames = new Frames();
  const given = {
    parent: nodes.parent, frame: new Uint32Array(n), self: nodes.self, total: nodes.total.slice(),
    baseSelf: compared ? nodes.baseline_self : null, baseTotal: compared ? nodes.baseline_total.slice() : null,
  };
  const depth = new Uint32Array(n);
  for (let i = 0; i < n; i += 1) {
    const up = nodes.parent[i];
    if (i === 0 ? up !== -1 : !(Number.isInteger(up) && up >= 0 && up < i)) wrong(`node ${i} has no parent before it`);
    depth[i] = i ? depth[up] + 1 : 0;
    if (depth[i] > MAX_DEPTH) wrong("it is too deep");
    const name = names[nodes.name[i]], pkg = packages[nodes.package[i]] ?? "";
    if (typeof name !== "string" || typeof pkg !== "string") wrong(`node ${i} has no name`);
    if (!isAmount(nodes.self[i]) || !isAmount(nodes.total[i])) wrong(`node ${i} has no amount`);
    if (compared && !(isAmount(nodes.baseline_self[i]) && isAmount(nodes.baseline_total[i]))) wrong(`node ${i} has no amount`);
    given.frame[i] = frames.intern(name, pkg, KINDS[nodes.kind[i]] ? nodes.kind[i] : 0);
  }
  // A box is never wider than the one that it stands on.
  coverChildren(given.parent, given.total, given.self);
  if (compared) coverChildren(given.parent, given.baseTotal, given.baseSelf);
  return new Tree(frames, given, { unit: answer.unit ?? "", truncated: answer.truncated_nodes ?? 0 });
}

function coverChildren(parent, total, self) {
  const below = new Float64Array(parent.length);
  for (let i = parent.length - 1; i >= 0; i -= 1) {
    if (total[i] < below[i] + self[i]) total[i] = below[i] + self[i];
    if (i) below[parent[i]] += total[i];
  }
}

/** The nodes that `matches`, without those that stand on another one: none is counted twice. */
export function outermost(tree, matches) {
  const found = [];
  for (let i = 0; i < tree.n;) {
    if (matches(i)) {
      found.push(i);
      i = tree.end[i];
    } else i += 1;
  }
  return found;
}

const metaOf = (tree) => ({ unit: tree.unit, totalA: tree.totalA, totalB: tree.totalB, cut: true });

// The root is no call, even if a function has its name.

/** What a function calls, wherever it is called from. */
export function callees(tree, func) {
  const builder = new Builder(tree.frames, tree.frames.functions[func], tree.compared);
  const mapped = new Uint32Array(tree.n);
  for (const root of outermost(tree, (i) => i > 0 && tree.func(i) === func)) {
    builder.add(0, tree, root, false);
    for (let i = root + 1; i < tree.end[root]; i += 1) {
      mapped[i] = builder.child(tree.parent[i] === root ? 0 : mapped[tree.parent[i]], tree.frame[i]);
      builder.add(mapped[i], tree, i, false);
    }
  }
  return builder.finish(metaOf(tree));
}

/** Who calls a function, from the nearest caller to the first one. */
export function callers(tree, func) {
  const builder = new Builder(tree.frames, tree.frames.functions[func], tree.compared);
  for (const leaf of outermost(tree, (i) => i > 0 && tree.func(i) === func)) {
    let at = 0;
    for (let up = leaf; ;) {
      builder.total[at] += tree.total[leaf];
      if (tree.compared) builder.baseTotal[at] += tree.baseTotal[leaf];
      up = tree.parent[up];
      if (up <= 0) break; // the root is no caller
      at = builder.child(at, tree.frame[up]);
    }
    builder.self[at] += tree.total[leaf];
    if (tree.compared) builder.baseSelf[at] += tree.baseTotal[leaf];
  }
  return builder.finish(metaOf(tree));
}

/** Rows of the table: for each function its own time, and that of all it stands below, counted once in a recursion. */
export function top(tree) {
  const { frames } = tree;
  const n = frames.functions.length;
  const self = new Float64Array(n), total = new Float64Array(n);
  const baseSelf = new Float64Array(n), baseTotal = new Float64Array(n);
  const inside = new Uint32Array(n);
  for (let i = 1; i < tree.n; i += 1) {
    const func = tree.func(i);
    self[func] += tree.self[i];
    if (tree.compared) baseSelf[func] += tree.baseSelf[i];
    if (i >= inside[func]) {
      inside[func] = tree.end[i];
      total[func] += tree.total[i];
      if (tree.compared) baseTotal[func] += tree.baseTotal[i];
    }
  }
  const rows = [];
  for (let func = 0; func < n; func += 1) {
    if (total[func] === 0 && baseTotal[func] === 0) continue;
    const frame = frames.functions[func];
    rows.push({
      func, name: frames.name[frame], package: frames.package[frame],
      self: self[func], total: total[func], baseSelf: baseSelf[func], baseTotal: baseTotal[func],
      selfChange: difference(self[func], tree.totalA, baseSelf[func], tree.totalB),
      totalChange: difference(total[func], tree.totalA, baseTotal[func], tree.totalB),
    });
  }
  return rows;
}

const ratio = (part, whole) => (whole > 0 ? part / whole : 0);

/** Of two shares. */
export function difference(a, wholeA, b, wholeB) {
  return ratio(a, wholeA) - ratio(b, wholeB);
}

export const SORTS = ["name", "package", "self", "total", "baseSelf", "baseTotal", "selfChange", "totalChange"];

/** Of a change its size counts, so that what became less stands beside what became more. */
const sizeOf = (row, key) => (key.endsWith("Change") ? Math.abs(row[key]) : row[key]);

/** `-self`: by self, largest first. Names decide between equals, so that a link gives the same order. */
export function sorted(rows, sort) {
  const descending = sort.startsWith("-");
  const key = descending ? sort.slice(1) : sort;
  if (!SORTS.includes(key)) return sorted(rows, "-self");
  const sign = descending ? -1 : 1;
  const byName = (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.package < b.package ? -1 : 1);
  const compare = key === "name" || key === "package"
    ? (a, b) => (a[key] < b[key] ? -sign : a[key] > b[key] ? sign : byName(a, b))
    : (a, b) => sign * (sizeOf(a, key) - sizeOf(b, key)) || byName(a, b);
  return [...rows].sort(compare);
}

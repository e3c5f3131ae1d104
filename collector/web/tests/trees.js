// Answers of the collector for tests: small ones by hand, large ones by a generator that always makes the same.

/** `[["main;read", 3], ...]`, and with a third number that of the baseline. The package of `lib!f` is `lib`. */
export function answer(stacks, compared = false) {
  const names = [], packages = [];
  const index = (list, text) => (list.includes(text) ? list.indexOf(text) : list.push(text) - 1);
  const nodes = { parent: [-1], name: [index(names, "total")], package: [index(packages, "")], kind: [0], self: [0], total: [0] };
  if (compared) Object.assign(nodes, { baseline_self: [0], baseline_total: [0] });
  const known = new Map();
  for (const [stack, value, base = 0] of stacks) {
    let at = 0;
    const count = () => {
      nodes.total[at] += value;
      if (compared) nodes.baseline_total[at] += base;
    };
    count();
    for (const frame of stack.split(";")) {
      const key = `${at};${frame}`;
      if (!known.has(key)) {
        const [name, pkg = ""] = frame.split("!").reverse();
        known.set(key, nodes.parent.length);
        nodes.parent.push(at);
        nodes.name.push(index(names, name));
        nodes.package.push(index(packages, pkg));
        nodes.kind.push(pkg === "kernel" ? 1 : 0);
        nodes.self.push(0);
        nodes.total.push(0);
        if (compared) nodes.baseline_self.push(0), nodes.baseline_total.push(0);
      }
      at = known.get(key);
      count();
    }
    nodes.self[at] += value;
    if (compared) nodes.baseline_self[at] += base;
  }
  return { unit: "nanoseconds", total: nodes.total[0], names, packages, nodes, truncated_nodes: 0 };
}

/** A tree of about `n` nodes, 40 deep, out of a few hundred names. */
export function large(n) {
  let seed = 1;
  const random = (below) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor(seed / 2 ** 32 * below);
  };
  const names = Array.from({ length: 400 }, (_, i) => `function_${i}`), packages = ["a.so", "b.so", "kernel"];
  const nodes = { parent: [-1], name: [0], package: [0], kind: [0], self: [0], total: [0] };
  const depth = [0];
  while (nodes.parent.length < n) {
    let up = Math.max(0, nodes.parent.length - 1 - random(Math.min(60, nodes.parent.length)));
    if (depth[up] >= 40) for (let i = random(40); i > 0; i -= 1) up = Math.max(0, nodes.parent[up]);
    if (depth[up] >= 40) continue;
    const pkg = random(3);
    nodes.parent.push(up);
    nodes.name.push(random(400));
    nodes.package.push(pkg);
    nodes.kind.push(pkg === 2 ? 1 : 0);
    nodes.self.push(1 + random(1000));
    nodes.total.push(0);
    depth.push(depth[up] + 1);
  }
  for (let i = nodes.parent.length - 1; i >= 0; i -= 1) {
    nodes.total[i] += nodes.self[i];
    if (i) nodes.total[nodes.parent[i]] += nodes.total[i];
  }
  return { unit: "count", total: nodes.total[0], names, packages, nodes, truncated_nodes: 0 };
}

/** `name total/self`, a line each, indented by depth. */
export function drawing(tree) {
  return Array.from({ length: tree.n }, (_, i) =>
    `${" ".repeat(tree.depth[i])}${tree.name(i)} ${tree.total[i]}/${tree.self[i]}`);
}

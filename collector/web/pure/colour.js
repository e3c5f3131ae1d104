// Colours as numbers of a palette: one for each node, and one string for each number.

import { difference } from "./tree.js";

/** Kinds that have a colour of their own, whatever their package is. */
const KERNEL = 1, MISSING = 4;
/** Hues that can be told apart side by side; the kernel's and that of what was searched for are not among them. */
const HUES = [225, 155, 265, 95, 195, 330, 125, 245, 175, 295, 75, 210];
const N_STEPS = 16;

/** What a package is called for short: its file. */
export const packageName = (path) => path.slice(path.lastIndexOf("/") + 1) || path;

const hash = (text) => {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
};

/** Light and dark differ in lightness only; `faded` is for what a search did not find. */
function shades(theme) {
  return theme === "dark"
    ? { box: (h, c = 0.065) => `oklch(0.44 ${c} ${h})`, faded: "oklch(0.285 0.008 60)", text: "#f3eee8", dimText: "#8f8781",
      found: "oklch(0.54 0.16 325)", foundText: "#ffffff", edge: "oklch(0.215 0.006 60)", neutral: "oklch(0.36 0.008 60)" }
    : { box: (h, c = 0.055) => `oklch(0.88 ${c} ${h})`, faded: "oklch(0.945 0.006 70)", text: "#26211c", dimText: "#948b82",
      found: "oklch(0.78 0.13 325)", foundText: "#2a0a1c", edge: "oklch(0.992 0.003 80)", neutral: "oklch(0.915 0.008 70)" };
}

/** So many packages are drawn in hues that are this far apart; the next ones have to do with what is left. */
const N_APART = 5, APART = 45;
const apart = (a, b) => Math.min(Math.abs(a - b), 360 - Math.abs(a - b));

/** Each package takes the hue that its name gives, the largest on the graph first; one that is taken gives way to the next. */
export function packageHues(tree) {
  const packages = new Map();
  for (let i = tree.cut ? 0 : 1; i < tree.n; i += 1) {
    if (tree.kind(i) === KERNEL || tree.kind(i) === MISSING) continue;
    const pkg = tree.package(i);
    const it = packages.get(pkg) ?? { pkg, own: 0, area: 0 };
    it.own += tree.self[i] + (tree.compared ? tree.baseSelf[i] : 0);
    it.area += tree.total[i] + (tree.compared ? tree.baseTotal[i] : 0);
    packages.set(pkg, it);
  }
  const order = [...packages.values()].sort((a, b) => b.area - a.area || (a.pkg < b.pkg ? -1 : 1));
  const taken = new Set(), hues = new Map();
  for (const { pkg } of order) {
    const first = hash(packageName(pkg)) % HUES.length;
    const slots = HUES.map((_, i) => (first + i) % HUES.length);
    const free = slots.filter((slot) => !taken.has(slot));
    const far = hues.size < N_APART && free.find((slot) => [...taken].every((other) => apart(HUES[slot], HUES[other]) >= APART));
    const slot = far || far === 0 ? far : free[0] ?? first;
    taken.add(slot);
    hues.set(pkg, slot);
  }
  return { hues, order };
}

const clampStep = (value) => Math.max(0, Math.min(N_STEPS, Math.round(value)));

/** -1 (only in the baseline) to 1 (only in the comparison) -> a step; the middle is no change. */
export function diffStep(tree, node) {
  const a = difference(tree.total[node], tree.totalA, 0, 1), b = difference(tree.baseTotal[node], tree.totalB, 0, 1);
  if (a + b === 0) return N_STEPS / 2;
  return clampStep((a - b) / (a + b) * N_STEPS / 2 + N_STEPS / 2);
}

/** `{ index, palette, legend, ... }`: what to draw each node in. A part of a tree has the colours of the `whole`. */
export function colours(tree, mode, theme, whole = tree) {
  const look = shades(theme);
  const index = new Uint8Array(tree.n);
  let palette, legend;
  if (mode === "diff" && tree.compared) {
    palette = Array.from({ length: N_STEPS + 1 }, (_, i) => diverging(i / N_STEPS * 2 - 1, theme));
    for (let i = 0; i < tree.n; i += 1) index[i] = diffStep(tree, i);
    legend = { kind: "scale", ends: ["only in the baseline", "same share", "only in the comparison"], palette };
  } else if (mode === "self") {
    palette = Array.from({ length: N_STEPS + 1 }, (_, i) => sequential(i / N_STEPS, theme));
    let most = 0;
    for (let i = 0; i < tree.n; i += 1) most = Math.max(most, tree.self[i]);
    for (let i = 0; i < tree.n; i += 1) index[i] = most > 0 ? clampStep(Math.sqrt(tree.self[i] / most) * N_STEPS) : 0;
    legend = { kind: "scale", ends: ["nothing itself", "", "most itself"], palette, most };
  } else {
    const kernel = HUES.length, missing = kernel + 1, root = kernel + 2;
    palette = [...HUES.map((hue) => look.box(hue)), look.box(58, 0.075), look.neutral, look.neutral];
    const { hues, order } = packageHues(whole);
    for (let i = 0; i < tree.n; i += 1) {
      const kind = tree.kind(i);
      index[i] = i === 0 && !tree.cut ? root : kind === KERNEL ? kernel : kind === MISSING ? missing : hues.get(tree.package(i));
    }
    legend = { kind: "packages", entries: packageEntries(whole, order, hues, palette, kernel, missing) };
  }
  return { index, palette, legend, look };
}

function packageEntries(tree, order, hues, palette, kernel, missing) {
  const entries = order.map(({ pkg, own, area }) => ({ name: packageName(pkg) || "no file", own, area, colour: palette[hues.get(pkg)] }));
  const special = { [KERNEL]: { name: "kernel", own: 0, area: 0, colour: palette[kernel] },
    [MISSING]: { name: "not known", own: 0, area: 0, colour: palette[missing] } };
  for (let i = 1; i < tree.n; i += 1) {
    const it = special[tree.kind(i)];
    if (!it) continue;
    it.own += tree.self[i] + (tree.compared ? tree.baseSelf[i] : 0);
    it.area += tree.total[i] + (tree.compared ? tree.baseTotal[i] : 0);
  }
  entries.push(...Object.values(special).filter((it) => it.area > 0));
  return entries.sort((a, b) => b.area - a.area);
}

/** Blue is less, red is more: told apart by everybody, unlike green and red. */
function diverging(d, theme) {
  const size = Math.abs(d) ** 0.8, hue = d < 0 ? 250 : 30;
  return theme === "dark"
    ? `oklch(${(0.36 + 0.16 * size).toFixed(3)} ${(0.008 + 0.13 * size).toFixed(3)} ${hue})`
    : `oklch(${(0.92 - 0.2 * size).toFixed(3)} ${(0.006 + 0.125 * size).toFixed(3)} ${hue})`;
}

function sequential(s, theme) {
  return theme === "dark"
    ? `oklch(${(0.33 + 0.23 * s).toFixed(3)} ${(0.01 + 0.13 * s).toFixed(3)} ${(70 - 25 * s).toFixed(0)})`
    : `oklch(${(0.935 - 0.185 * s).toFixed(3)} ${(0.012 + 0.145 * s).toFixed(3)} ${(80 - 30 * s).toFixed(0)})`;
}

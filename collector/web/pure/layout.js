// Where boxes are: rows of nodes in order, found by binary search. Positions are shares of the whole width, 0 to 1.

/** Boxes narrower than this many pixels are drawn as one with their neighbours. */
export const NARROW_PX = 1.5;

export class Layout {
  constructor(tree) {
    const { n } = tree;
    this.tree = tree;
    this.start = new Float64Array(n);
    this.width = new Float64Array(n);
    const weight = weights(tree);
    const whole = weight[0] > 0 ? weight[0] : 1;
    const cursor = new Float64Array(n);
    this.rowStart = new Uint32Array(tree.nRows + 1);
    for (let i = 0; i < n; i += 1) {
      const up = tree.parent[i];
      this.width[i] = weight[i] / whole;
      this.start[i] = i ? cursor[up] : 0;
      if (i) cursor[up] += this.width[i];
      cursor[i] = this.start[i];
      this.rowStart[tree.depth[i] + 1] += 1;
    }
    for (let row = 0; row < tree.nRows; row += 1) this.rowStart[row + 1] += this.rowStart[row];
    this.nodes = new Uint32Array(n);
    const fill = this.rowStart.slice();
    // Pre-order is left to right within a row.
    for (let i = 0; i < n; i += 1) this.nodes[fill[tree.depth[i]]++] = i;
  }

  /** The place in `nodes` of the first box of the row, at `from` or later, that ends behind `x`. */
  firstEndingBehind(row, x, from = this.rowStart[row]) {
    let low = from, high = this.rowStart[row + 1];
    // Neighbours are near: gallop before halving.
    let stride = 1;
    while (low < high) {
      const at = Math.min(low + stride - 1, high - 1);
      const node = this.nodes[at];
      if (this.start[node] + this.width[node] > x) {
        high = at;
        break;
      }
      low = at + 1;
      stride *= 2;
    }
    while (low < high) {
      const middle = (low + high) >>> 1, node = this.nodes[middle];
      if (this.start[node] + this.width[node] > x) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /**
   * Calls `box(node, x, width)` for each box of a row that is wide enough, and `narrow(node, x, width)` for runs of
   * boxes that are not, in pixels. A row costs what fits into its pixels, however many nodes it has.
   */
  visit(row, left, right, pixels, box, narrow) {
    const scale = pixels / (right - left), last = this.rowStart[row + 1];
    let at = this.firstEndingBehind(row, left);
    while (at < last) {
      const node = this.nodes[at], start = this.start[node];
      if (start >= right) return;
      const x = (start - left) * scale, width = this.width[node] * scale;
      if (width >= NARROW_PX) {
        box(node, x, width);
        at += 1;
        continue;
      }
      let end = x + width, widest = node;
      for (;;) {
        // The next one that ends in another pixel: what lies between cannot be seen.
        at = this.firstEndingBehind(row, left + (Math.floor(end) + 1) / scale, at + 1);
        if (at >= last) break;
        const next = this.nodes[at], nextX = (this.start[next] - left) * scale, nextWidth = this.width[next] * scale;
        if (nextWidth >= NARROW_PX || nextX > end + 1 || nextX > pixels) break;
        if (this.width[next] > this.width[widest]) widest = next;
        end = nextX + nextWidth;
      }
      narrow(widest, x, Math.max(1, end - x));
    }
  }

  /** The node at a place of a row, or -1. */
  hit(row, x) {
    if (row < 0 || row >= this.tree.nRows) return -1;
    const at = this.firstEndingBehind(row, x);
    if (at >= this.rowStart[row + 1]) return -1;
    const node = this.nodes[at];
    return this.start[node] <= x ? node : -1;
  }

  /** The neighbour in the row, or -1. */
  beside(node, step) {
    const row = this.tree.depth[node];
    let low = this.rowStart[row], high = this.rowStart[row + 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.nodes[middle] < node) low = middle + 1;
      else high = middle;
    }
    const at = low + step;
    return at >= this.rowStart[row] && at < this.rowStart[row + 1] ? this.nodes[at] : -1;
  }
}

/** A box of a comparison is as wide as the mean of its two shares, so that what is gone is seen as well. */
export function weights(tree) {
  if (!tree.compared) return tree.total;
  const { totalA, totalB } = tree;
  if (!(totalB > 0)) return tree.total;
  if (!(totalA > 0)) return tree.baseTotal;
  return Float64Array.from(tree.total, (total, i) => (total / totalA + tree.baseTotal[i] / totalB) / 2);
}

/** A part of the width that is looked at: kept within the whole, and not smaller than can be told apart. */
export function clampView(left, width) {
  const w = Math.min(1, Math.max(1e-9, width));
  return { left: Math.min(1 - w, Math.max(0, left)), width: w };
}

/** Larger or smaller around a place, that stays where it is. */
export function zoomAround(view, at, factor) {
  const width = Math.min(1, Math.max(1e-9, view.width * factor));
  return clampView(at - (at - view.left) / view.width * width, width);
}

/** Slow at both ends. */
export const ease = (t) => (t < 0.5 ? 4 * t ** 3 : 1 - (2 - 2 * t) ** 3 / 2);

/** Between two views: the width changes by a factor, so that it looks even. */
export function between(from, to, t) {
  // A product of widths may miss the last one by a digit, and what is not all of it counts as zoomed.
  if (t >= 1) return { ...to };
  const width = from.width * (to.width / from.width) ** t;
  // Where both share an edge it stays; else places move as the widths do.
  const moved = from.width === to.width ? t : (from.width - width) / (from.width - to.width);
  return { left: from.left + (to.left - from.left) * moved, width };
}

// A flamegraph on a canvas: draws what can be seen, and moves by mouse, wheel, touch and keys.

import { between, clampView, ease, Layout, zoomAround } from "../pure/layout.js";
import { calm, el, once } from "./dom.js";

export const ROW_PX = 19;
const FONT = '11.5px ui-monospace, "SF Mono", "Cascadia Mono", "JetBrains Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace';
const ZOOM_MS = 220;
/** Less is a click that trembled. */
const DRAG_PX = 4;

export class Flame {
  /** `on`: { hover(node, x, y), focus(node), zoom(node), sandwich(node), reset(), key(event) } */
  constructor(label, describedBy, on) {
    this.on = on;
    this.canvas = el("canvas", {
      tabindex: "0", role: "application", "aria-roledescription": "flamegraph", "aria-label": label, "aria-describedby": describedBy,
    });
    this.sizer = el("div", {}, this.canvas);
    this.element = el("div", { class: "scroller", tabindex: "-1" }, this.sizer);
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.tree = null;
    this.view = { left: 0, width: 1 };
    this.zoomed = 0;
    this.focused = -1;
    this.hovered = -1;
    this.redraw = once(() => this.draw());
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.element);
  }

  /** Another tree. What is zoomed to is given by `zoomed`, and `focused`; with `stay`, what is looked at stays where it is. */
  show(tree, colours, { up, zoomed = 0, focused = -1, stay = false }) {
    this.animation = null;
    if (tree !== this.tree) {
      this.tree = tree;
      this.layout = new Layout(tree);
      this.focused = focused;
      this.hovered = -1;
    }
    this.colours = colours;
    const turned = this.up !== up;
    this.up = up;
    this.resize();
    if (turned) this.element.scrollTop = up ? this.element.scrollHeight : 0;
    if (stay) {
      this.zoomed = zoomed;
      this.redraw();
    } else this.zoomTo(zoomed, false);
  }

  paint(colours) {
    this.colours = colours;
    this.redraw();
  }

  /** What a search found: one byte for each frame, or null. */
  highlight(hits) {
    this.hits = hits;
    this.redraw();
  }

  zoomTo(node, animated = true) {
    this.zoomed = node;
    const width = this.layout.width[node];
    const target = clampView(this.layout.start[node], width > 0 ? width : 1);
    this.scrollToRow(this.tree.depth[node]);
    if (!animated || calm()) {
      this.view = target;
      this.redraw();
      return;
    }
    const from = { ...this.view }, start = performance.now();
    const animation = { step: (now) => {
      if (this.animation !== animation) return;
      const t = Math.min(1, (now - start) / ZOOM_MS);
      this.view = between(from, target, ease(t));
      this.draw();
      if (t < 1) requestAnimationFrame(animation.step);
    } };
    this.animation = animation;
    requestAnimationFrame(animation.step);
  }

  focus(node, tell = true) {
    this.focused = node;
    if (node >= 0) this.reveal(node);
    this.redraw();
    if (tell) this.on.focus(node);
  }

  /** Moves the view just as far as the node needs. */
  reveal(node) {
    const start = this.layout.start[node], width = this.layout.width[node], { left, width: seen } = this.view;
    if (start + width <= left || start >= left + seen) {
      this.animation = null;
      this.view = clampView(start + width / 2 - seen / 2, seen);
    }
    this.scrollToRow(this.tree.depth[node]);
  }

  scrollToRow(depth) {
    const top = this.rowTop(depth), view = this.element;
    if (top < view.scrollTop) view.scrollTop = top;
    else if (top + ROW_PX > view.scrollTop + this.height) view.scrollTop = top + ROW_PX - this.height;
  }

  get contentHeight() {
    return Math.max(this.tree ? this.tree.nRows * ROW_PX : 0, this.height);
  }

  rowTop(depth) {
    return this.up ? this.contentHeight - (depth + 1) * ROW_PX : depth * ROW_PX;
  }

  rowAt(y) {
    return Math.floor(this.up ? (this.contentHeight - y) / ROW_PX : y / ROW_PX);
  }

  resize() {
    const width = this.element.clientWidth, height = this.element.clientHeight;
    if (!width || !height) return;
    const ratio = devicePixelRatio || 1;
    const fromEnd = this.element.scrollHeight - this.element.scrollTop;
    this.width = width;
    this.height = height;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.canvas.style.width = `${width}px`;
      this.canvas.style.height = `${height}px`;
    }
    this.sizer.style.height = `${this.contentHeight}px`;
    if (this.up) this.element.scrollTop = this.element.scrollHeight - fromEnd;
    this.draw();
  }

  draw() {
    if (!this.tree || !this.width) return;
    const { context: g, layout, tree, view, hits } = this;
    const { palette, index, look } = this.colours;
    const ratio = devicePixelRatio || 1, top = this.element.scrollTop;
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.fillStyle = look.edge;
    g.fillRect(0, 0, this.width, this.height);
    g.font = FONT;
    g.textBaseline = "middle";
    this.charPx ??= g.measureText("0").width;
    const zoomedDepth = this.zoomed > 0 ? tree.depth[this.zoomed] : 0;
    const rows = [this.rowAt(top), this.rowAt(top + this.height)].sort((a, b) => a - b);
    const right = view.left + view.width;
    let y = 0, dim = false;
    const box = (node, x, width) => {
      const frame = tree.frame[node], found = hits !== null && hits[frame] === 1;
      const pale = (hits !== null && !found) || dim;
      const x1 = Math.max(0, Math.round(x)), x2 = Math.min(this.width, Math.round(x + width));
      const wide = x2 - x1;
      g.fillStyle = found ? look.found : pale ? look.faded : palette[index[node]];
      g.fillRect(x1, y, Math.max(1, wide > 5 ? wide - 1 : wide), ROW_PX - 1);
      if (wide < 44) return;
      g.fillStyle = found ? look.foundText : pale ? look.dimText : look.text;
      this.write(tree.frames.name[frame], x1 + 5, y + ROW_PX / 2, wide - 10);
    };
    const narrow = (node, x, width) => {
      const found = hits !== null && hits[tree.frame[node]] === 1;
      g.fillStyle = found ? look.found : hits !== null || dim ? look.faded : palette[index[node]];
      g.fillRect(Math.max(0, x), y, Math.min(width, this.width), ROW_PX - 1);
    };
    for (let row = Math.max(0, rows[0]); row <= Math.min(tree.nRows - 1, rows[1]); row += 1) {
      y = this.rowTop(row) - top;
      dim = row < zoomedDepth;
      layout.visit(row, view.left, right, this.width, box, narrow);
    }
    this.outline(this.hovered, look.text, 1, top);
    this.outline(this.focused, look.text, 2, top);
  }

  /** Letters are as wide as each other, but for those that are not ASCII. */
  write(name, x, y, room) {
    let n = Math.floor(room / this.charPx);
    if (n < 2) return;
    let text = name.length <= n ? name : `${name.slice(0, n - 1)}…`;
    if (/[^\x20-\x7e…]/.test(text)) {
      while (n > 1 && this.context.measureText(text).width > room) {
        n -= 1;
        text = `${name.slice(0, n)}…`;
      }
    }
    this.context.fillText(text, x, y);
  }

  outline(node, colour, thick, top) {
    if (node < 0) return;
    const scale = this.width / this.view.width;
    const x = (this.layout.start[node] - this.view.left) * scale, width = this.layout.width[node] * scale;
    const x1 = Math.max(0, x), x2 = Math.min(this.width, x + width);
    if (x2 < 0 || x1 > this.width) return;
    this.context.strokeStyle = colour;
    this.context.lineWidth = thick;
    const y = this.rowTop(this.tree.depth[node]) - top;
    this.context.strokeRect(x1 + thick / 2, y + thick / 2, Math.max(2, x2 - x1 - thick), ROW_PX - 1 - thick);
  }

  nodeAt(event) {
    const at = this.canvas.getBoundingClientRect();
    const row = this.rowAt(event.clientY - at.top + this.element.scrollTop);
    return this.layout.hit(row, this.view.left + (event.clientX - at.left) / this.width * this.view.width);
  }

  hover(node, event) {
    if (node !== this.hovered) {
      this.hovered = node;
      this.canvas.style.cursor = node >= 0 ? "pointer" : "default";
      this.redraw();
    }
    this.on.hover(node, event);
  }

  listen() {
    const { canvas } = this;
    let drag = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.tree) return;
      drag = { x: event.clientX, y: event.clientY, view: { ...this.view }, top: this.element.scrollTop, moved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.tree) return;
      if (!drag) return this.hover(this.nodeAt(event), event);
      const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
      if (!drag.moved && Math.hypot(dx, dy) < DRAG_PX) return;
      drag.moved = true;
      this.animation = null;
      this.hover(-1, event);
      canvas.style.cursor = "grabbing";
      this.view = clampView(drag.view.left - dx / this.width * this.view.width, this.view.width);
      if (event.pointerType === "mouse") this.element.scrollTop = drag.top - dy;
      this.redraw();
    });
    canvas.addEventListener("pointerup", (event) => {
      const click = drag && !drag.moved;
      drag = null;
      if (!click) return this.hover(this.nodeAt(event), event);
      const node = this.nodeAt(event);
      if (node < 0) return;
      this.focus(node);
      this.on.zoom(node);
    });
    canvas.addEventListener("pointercancel", () => { drag = null; });
    canvas.addEventListener("pointerleave", (event) => this.hover(-1, event));
    canvas.addEventListener("wheel", (event) => {
      if (!this.tree) return;
      const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
      if (event.ctrlKey || event.metaKey) {
        const x = (event.clientX - canvas.getBoundingClientRect().left) / this.width;
        this.animation = null;
        this.view = zoomAround(this.view, this.view.left + x * this.view.width, Math.exp(event.deltaY * 0.004));
      } else if (Math.abs(sideways) > (event.shiftKey ? 0 : Math.abs(event.deltaY))) {
        this.animation = null;
        this.view = clampView(this.view.left + sideways / this.width * this.view.width, this.view.width);
      } else return;
      event.preventDefault();
      this.redraw();
    }, { passive: false });
    this.element.addEventListener("scroll", () => this.redraw(), { passive: true });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => this.redraw());
  }

  key(event) {
    if (!this.tree || event.altKey || event.ctrlKey || event.metaKey) return;
    const { tree, layout } = this;
    const at = this.focused >= 0 ? this.focused : this.zoomed;
    const go = (node) => {
      if (node >= 0) this.focus(node);
    };
    const deeper = () => go(this.focused < 0 ? at : tree.firstChild(at));
    const nearer = () => go(this.focused < 0 ? at : tree.parent[at]);
    switch (event.key) {
      case "ArrowDown": (this.up ? nearer : deeper)(); break;
      case "ArrowUp": (this.up ? deeper : nearer)(); break;
      case "ArrowLeft": go(this.focused < 0 ? at : layout.beside(at, -1)); break;
      case "ArrowRight": go(this.focused < 0 ? at : layout.beside(at, 1)); break;
      case "Home": go(this.zoomed); break;
      case "End": go(deepest(tree, at)); break;
      case "Enter": case " ": if (this.focused >= 0) this.on.zoom(this.focused); break;
      case "Backspace": this.on.zoom(Math.max(0, tree.parent[this.zoomed])); break;
      case "+": case "=": case "-": this.zoomKey(event.key === "-" ? 1.6 : 1 / 1.6); break;
      default: if (!this.on.key(event, at)) return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  zoomKey(factor) {
    const { start, width } = this.layout;
    const middle = this.focused >= 0 ? start[this.focused] + width[this.focused] / 2 : this.view.left + this.view.width / 2;
    this.view = zoomAround(this.view, middle, factor);
    this.redraw();
  }
}

/** Along the largest children. */
function deepest(tree, node) {
  let it = node;
  while (tree.firstChild(it) >= 0) it = tree.firstChild(it);
  return it;
}

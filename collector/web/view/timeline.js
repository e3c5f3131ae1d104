// How much there was over time, and the parts of it that are looked at: dragged over, or moved by keys.

import { duration, perSecond, range, rate, time } from "../pure/format.js";
import { dragged, linear, stairs, ticks, timeTicks } from "../pure/scale.js";
import { $, once, svg } from "./dom.js";

const MARGIN = { top: 6, right: 6, bottom: 18, left: 6 };
const LEAST_PX = 5;

export class Timeline {
  /** `on`: { select(which, from, until) with nulls for nothing }; `which` is main or base. */
  constructor(on) {
    this.on = on;
    this.element = $("timeline");
    this.brush = "main";
    this.draft = null;
    this.hover = null;
    this.redraw = once(() => this.draw());
    new ResizeObserver(() => this.redraw()).observe(this.element);
    this.listen();
  }

  /** `data`: { from, until, stepMs, unit, main, base, parts: { main, base }, two } */
  show(data) {
    const perStep = (points) => points?.map(([t, value]) => [t, perSecond(value, data.unit, data.stepMs)]);
    this.data = { ...data, main: perStep(data.main), base: perStep(data.base) };
    this.told = (value) => rate(value, data.unit, data.type);
    const most = this.data.main.reduce((max, [, value]) => Math.max(max, value), 0);
    const all = data.main.reduce((sum, [, value]) => sum + value, 0);
    const mean = this.told(perSecond(all, data.unit, data.until - data.from));
    $("timeline-figures").textContent = data.main.length ? `${mean} on average, ${this.told(most)} at most` : "";
    this.tell();
    this.redraw();
  }

  tell() {
    const { parts, two, from, until } = this.data;
    const name = (part) => (part ? `${range(part.from, part.until)} (${duration(part.until - part.from)})` : range(from, until));
    const label = two
      ? `Timeline. Baseline ${name(parts.base)}, comparison ${name(parts.main)}.`
      : `Timeline, ${range(from, until)}. ${parts.main ? `Chosen: ${name(parts.main)}.` : "All of it is chosen."}`;
    this.element.setAttribute("aria-label", `${label} Left and right move the chosen part, with Shift they change its end, Escape takes all.`);
    $("selection").textContent = two ? "" : parts.main ? name(parts.main) : "drag to choose a part";
  }

  get scales() {
    const { from, until } = this.data;
    const width = this.element.clientWidth, height = this.element.clientHeight;
    return { width, height, x: linear(from, until, MARGIN.left, width - MARGIN.right), bottom: height - MARGIN.bottom };
  }

  timeAt(clientX) {
    const { from, until } = this.data, { width } = this.scales;
    const x = clientX - this.element.getBoundingClientRect().left;
    const at = linear(MARGIN.left, width - MARGIN.right, from, until)(x);
    return Math.round(Math.min(until, Math.max(from, at)));
  }

  draw() {
    if (!this.data || !this.element.clientWidth) return;
    const { data } = this, { width, height, x, bottom } = this.scales;
    const most = [...data.main, ...(data.base ?? [])].reduce((max, [, value]) => Math.max(max, value), 0);
    const y = linear(0, most || 1, bottom, MARGIN.top + 4);
    const step = data.stepMs, within = (t) => x(Math.min(data.until, Math.max(data.from, t)));
    const it = svg("svg", { "aria-hidden": "true", viewBox: `0 0 ${width} ${height}` });
    for (const mark of ticks(most, 2, data.unit === "bytes" ? 2 : 10).slice(1, 3)) {
      if (y(mark) < MARGIN.top) continue;
      it.append(svg("line", { class: "grid", x1: 0, x2: width, y1: y(mark), y2: y(mark) }),
        svg("text", { x: width - 4, y: y(mark) - 3, "text-anchor": "end" }, this.told(mark)));
    }
    const { marks } = timeTicks(data.from, data.until, Math.max(2, width / 110), -new Date(data.until).getTimezoneOffset() * 60e3);
    marks.forEach((mark, i) => {
      const beside = i ? marks[i - 1] : mark;
      const anchor = x(mark) < 30 ? "start" : x(mark) > width - 40 ? "end" : "middle";
      it.append(svg("text", { x: x(mark), y: height - 4, "text-anchor": anchor }, time(mark, beside)));
    });
    it.append(svg("line", { class: "grid", x1: 0, x2: width, y1: bottom + 0.5, y2: bottom + 0.5 }));
    it.append(svg("path", { class: "area curve", d: stairs(data.main, step, within, y) }));
    if (data.base) it.append(svg("path", { class: "curve base", d: stairs(data.base, step, within, y) }));
    const parts = { ...data.parts };
    if (this.draft) parts[this.brush] = this.draft;
    for (const which of data.two ? ["base", "main"] : ["main"]) {
      const part = parts[which];
      if (!part) continue;
      const a = x(Math.max(data.from, part.from)), b = x(Math.min(data.until, part.until));
      if (b < MARGIN.left || a > width) continue;
      it.append(svg("rect", { class: `brush ${which}`, x: a, width: Math.max(1, b - a), y: 1, height: bottom - 1 }));
    }
    if (this.hover !== null && !this.draft) this.drawCursor(it, x, y, bottom, width);
    this.element.replaceChildren(it);
  }

  drawCursor(it, x, y, bottom, width) {
    const { main, stepMs } = this.data;
    const point = main.find(([t]) => this.hover >= t && this.hover < t + stepMs);
    const at = x(this.hover), text = `${time(this.hover)}${point ? `  ${this.told(point[1])}` : ""}`;
    it.append(svg("line", { class: "cursor", x1: at, x2: at, y1: 0, y2: bottom }),
      svg("text", { x: at + (at > width - 220 ? -6 : 6), y: 12, "text-anchor": at > width - 220 ? "end" : "start" }, text));
  }

  listen() {
    const { element } = this;
    let start = null;
    element.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.data) return;
      start = event.clientX;
      element.setPointerCapture(event.pointerId);
    });
    element.addEventListener("pointermove", (event) => {
      if (!this.data) return;
      this.hover = this.timeAt(event.clientX);
      this.draft = start === null || Math.abs(event.clientX - start) < LEAST_PX
        ? null : dragged(this.timeAt(start), this.hover, 1);
      this.redraw();
    });
    element.addEventListener("pointerup", () => {
      const part = this.draft;
      start = null;
      this.draft = null;
      if (part) this.on.select(this.brush, part.from, part.until);
      this.redraw();
    });
    element.addEventListener("pointercancel", () => {
      start = null;
      this.draft = null;
      this.redraw();
    });
    element.addEventListener("pointerleave", () => {
      this.hover = null;
      this.redraw();
    });
    element.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    if (!this.data || event.altKey || event.ctrlKey || event.metaKey) return;
    const { from, until, parts } = this.data;
    if (event.key === "Escape" && parts[this.brush]) {
      event.stopPropagation();
      return this.on.select(this.brush, null, null);
    }
    const side = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!side) return;
    event.preventDefault();
    const step = (until - from) / 20 * side;
    const part = parts[this.brush] ?? { from: until - (until - from) / 4, until };
    const length = part.until - part.from;
    if (event.shiftKey) {
      this.on.select(this.brush, part.from, Math.min(until, Math.max(part.from + 1e3, part.until + step)));
    } else {
      const a = Math.min(until - length, Math.max(from, part.from + step));
      this.on.select(this.brush, a, a + length);
    }
  }
}

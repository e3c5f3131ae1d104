// Memory over time: a line for each series, and the verdict on each.

import { quantity, range, time } from "../pure/format.js";
import { linear, linePath, ticks, timeTicks } from "../pure/scale.js";
import { $, el, once, svg, theme } from "./dom.js";

const MARGIN = { top: 8, right: 10, bottom: 22, left: 68 };
/** More lines than this cannot be told apart; the table has all. */
const MAX_LINES = 12;
const HUES = [42, 250, 155, 330, 95, 200, 290, 20, 225, 125, 310, 70];
/** What deserves attention comes first. */
const ORDER = ["leak", "increasing", "unknown", "decreasing", "stable"];

const colour = (i) => (theme() === "dark" ? `oklch(0.74 0.13 ${HUES[i]})` : `oklch(0.56 0.14 ${HUES[i]})`);
const last = (series) => series.points.at(-1)?.[1] ?? 0;
const rank = (series) => (ORDER.indexOf(series.verdict?.kind) + ORDER.length) % ORDER.length;
export const labelText = (labels) => Object.entries(labels ?? {}).map(([name, value]) => `${name}=${value}`).join(" ") || "all";

export class MemoryView {
  constructor() {
    this.chart = el("div", { class: "chart card" });
    this.table = el("div", { class: "verdicts card" });
    this.hover = null;
    $("memory-pane").replaceChildren(this.chart, this.table);
    this.redraw = once(() => this.draw());
    new ResizeObserver(() => this.redraw()).observe(this.chart);
    this.chart.addEventListener("pointermove", (event) => {
      this.hover = event.clientX - this.chart.getBoundingClientRect().left;
      this.redraw();
    });
    this.chart.addEventListener("pointerleave", () => {
      this.hover = null;
      this.redraw();
    });
  }

  show(metric, answer, at) {
    this.at = at;
    this.unit = answer.unit;
    this.series = answer.series.filter((it) => it.points.length).sort((a, b) => rank(a) - rank(b) || last(b) - last(a));
    const name = { leak: "leak", increasing: "increasing", stable: "stable", decreasing: "decreasing" };
    const heads = ["Series", "Verdict", "Why", "Now", "Growth an hour"];
    const rows = this.series.map((it, i) => el("tr", {},
      el("th", { scope: "row" }, el("i", { class: "swatch", background: i < MAX_LINES ? colour(i) : null }), labelText(it.labels)),
      el("td", {}, el("span", { class: `verdict ${it.verdict?.kind ?? ""}` }, name[it.verdict?.kind] ?? "not known")),
      el("td", {}, it.verdict?.sentence ?? ""),
      el("td", { class: "number" }, quantity(last(it), this.unit)),
      el("td", { class: "number" }, this.growth(it.verdict?.growth_per_hour))));
    this.table.replaceChildren(el("table", {},
      el("caption", { class: "hidden" }, `${metric}, ${range(at.from, at.until)}: what becomes of it`),
      el("thead", {}, el("tr", {}, ...heads.map((text) => el("th", { scope: "col" }, text)))), el("tbody", {}, ...rows)));
    this.redraw();
  }

  growth(value) {
    if (!Number.isFinite(value)) return "–";
    return `${value < 0 ? "−" : "+"}${quantity(Math.abs(value), this.unit)}`;
  }

  draw() {
    const width = this.chart.clientWidth - 28, height = this.chart.clientHeight - 20;
    if (!this.series || width < 50) return;
    const { from, until } = this.at, lines = this.series.slice(0, MAX_LINES);
    const most = lines.reduce((max, it) => it.points.reduce((m, [, value]) => Math.max(m, value), max), 0);
    const marks = ticks(most, 5, ["bytes", "By"].includes(this.unit) ? 2 : 10);
    const x = linear(from, until, MARGIN.left, width - MARGIN.right);
    const y = linear(0, marks.at(-1) || 1, height - MARGIN.bottom, MARGIN.top);
    const it = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Lines over time; the table below has the verdicts` });
    for (const mark of marks) {
      it.append(svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(mark), y2: y(mark) }),
        svg("text", { x: MARGIN.left - 8, y: y(mark) + 4, "text-anchor": "end" }, quantity(mark, this.unit)));
    }
    const times = timeTicks(from, until, Math.max(2, width / 120), -new Date(until).getTimezoneOffset() * 60e3).marks;
    times.forEach((mark, i) => it.append(svg("text", { x: x(mark), y: height - 4, "text-anchor": "middle" }, time(mark, i ? times[i - 1] : mark))));
    lines.forEach((series, i) => {
      const gap = series.points.length > 1 ? 4 * (series.points.at(-1)[0] - series.points[0][0]) / (series.points.length - 1) : Infinity;
      it.append(svg("path", { class: "curve", d: linePath(series.points, x, y, gap), stroke: colour(i) }));
    });
    for (const path of it.querySelectorAll(".curve")) path.style.stroke = path.getAttribute("stroke");
    if (this.hover !== null) this.drawCursor(it, lines, x, width, height);
    this.chart.replaceChildren(it);
  }

  drawCursor(it, lines, x, width, height) {
    const { from, until } = this.at;
    const at = linear(MARGIN.left, width - MARGIN.right, from, until)(this.hover - 14);
    if (at < from || at > until) return;
    const side = x(at) > width * 0.65 ? [-8, "end"] : [8, "start"];
    it.append(svg("line", { class: "cursor", x1: x(at), x2: x(at), y1: MARGIN.top, y2: height - MARGIN.bottom }),
      svg("text", { x: x(at) + side[0], y: MARGIN.top + 10, "text-anchor": side[1] }, time(at)));
    lines.forEach((series, i) => {
      const point = series.points.findLast(([t]) => t <= at);
      if (!point) return;
      const text = svg("text", { x: x(at) + side[0], y: MARGIN.top + 26 + i * 15, "text-anchor": side[1] },
        `${quantity(point[1], this.unit)}  ${labelText(series.labels)}`);
      text.style.fill = colour(i);
      it.append(text);
    });
  }
}

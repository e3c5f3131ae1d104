// The table of functions: what the graph shows, for those who read rather than look.

import { count, plural, points, quantity, share } from "../pure/format.js";
import { sorted } from "../pure/tree.js";
import { packageName } from "../pure/colour.js";
import { el } from "./dom.js";

/** Rows at first, and with each press of the button. */
const PAGE = 200;

const COLUMNS = {
  plain: [["name", "Function"], ["self", "Self"], ["total", "Total"]],
  compared: [["name", "Function"], ["baseSelf", "Baseline"], ["self", "Self"], ["selfChange", "Change"], ["totalChange", "Of total"]],
};
const TITLES = {
  self: "Spent in the function itself", total: "Spent in the function and in all that it calls",
  baseSelf: "Share of the function itself in the baseline", selfChange: "By how many points of a percent its own share changed; the largest change first, either way",
  totalChange: "By how many points the share of it and all that it calls changed",
};

export class Table {
  /** `on`: { sort(text), choose(func) } */
  constructor(pane, on) {
    this.on = on;
    this.limit = PAGE;
    this.head = el("tr");
    this.body = el("tbody");
    this.caption = el("caption", { class: "hidden" });
    this.told = el("span", { role: "status" });
    this.more = el("button", { type: "button", class: "quiet", onclick: () => {
      this.limit += PAGE;
      this.draw();
    } }, "Show more");
    const table = el("table", {}, this.caption, el("thead", {}, this.head), this.body);
    pane.replaceChildren(
      el("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Table of functions" }, table),
      el("div", { class: "table-foot" }, this.told, this.more),
    );
  }

  show(tree, rows, { sort, hits, chosen }) {
    if (tree !== this.tree) this.limit = PAGE;
    Object.assign(this, { tree, rows, sort, hits, chosen });
    this.draw();
  }

  draw() {
    const { tree } = this;
    const columns = COLUMNS[tree.compared ? "compared" : "plain"];
    const wanted = this.hits ? this.rows.filter((row) => this.hits[tree.frames.functions[row.func]] === 1) : this.rows;
    const key = this.sort.replace(/^-/, "");
    const sort = columns.some(([name]) => name === key) ? this.sort : tree.compared ? "-selfChange" : "-self";
    const order = sorted(wanted, sort);
    this.heads(columns, sort);
    this.body.replaceChildren(...order.slice(0, this.limit).map((row) => this.row(row)));
    this.caption.textContent = `Functions, sorted by ${columns.find(([name]) => name === sort.replace(/^-/, ""))[1]}. `
      + "The button of a row shows who calls it and what it calls.";
    const shown = Math.min(this.limit, order.length);
    this.told.textContent = shown < order.length ? `${count(shown)} of ${plural(order.length, "function")}` : plural(order.length, "function");
    this.more.hidden = shown >= order.length;
  }

  heads(columns, sort) {
    const signature = `${sort} ${columns.length}`;
    if (this.signature === signature) return;
    // The button that was pressed keeps the focus.
    const focused = document.activeElement?.closest("th")?.dataset.key;
    this.signature = signature;
    this.head.replaceChildren(...columns.map(([key, label]) => {
      const current = sort.replace(/^-/, "") === key;
      const descending = sort.startsWith("-");
      const next = current ? (descending ? key : `-${key}`) : key === "name" ? key : `-${key}`;
      return el("th", { scope: "col", "data-key": key, "aria-sort": current ? (descending ? "descending" : "ascending") : null },
        el("button", { type: "button", title: TITLES[key], onclick: () => this.on.sort(next) }, label));
    }));
    this.head.firstChild.style.width = columns.length > 3 ? "42%" : "46%";
    if (focused) this.head.querySelector(`[data-key="${focused}"] button`)?.focus();
  }

  row(row) {
    const { tree } = this;
    const amount = (value, whole) => {
      const cell = el("td", {}, quantity(value, tree.unit), " ", el("small", {}, share(value, whole)));
      cell.style.setProperty("--share", whole > 0 ? String(value / whole) : "0");
      return cell;
    };
    const change = (difference) => {
      const text = points(difference);
      return el("td", { class: text === "0.00" ? null : difference > 0 ? "more" : "less" }, text);
    };
    const only = (value, whole) => el("td", {}, share(value, whole));
    const name = el("button", { type: "button", title: `${row.name}\n${row.package}`, onclick: () => this.on.choose(row.func) },
      el("span", { class: "name" }, row.name), el("span", { class: "package" }, packageName(row.package)));
    const cells = tree.compared
      ? [only(row.baseSelf, tree.totalB), only(row.self, tree.totalA), change(row.selfChange), change(row.totalChange)]
      : [amount(row.self, tree.totalA), amount(row.total, tree.totalA)];
    return el("tr", { class: row.func === this.chosen ? "chosen" : null }, el("th", { scope: "row" }, name), ...cells);
  }
}

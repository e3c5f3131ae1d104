// The profile: graph, sandwich and table of one tree, and what the reader points at.

import { colours } from "../pure/colour.js";
import { points, quantity, share } from "../pure/format.js";
import { mask, matched, nodeOfHash, pathHash } from "../pure/search.js";
import { toSearch } from "../pure/state.js";
import { callees, callers, difference, KINDS, top } from "../pure/tree.js";
import { packageName } from "../pure/colour.js";
import { $, el, options, pressed, theme } from "./dom.js";
import { Flame } from "./flame.js";
import { Table } from "./table.js";

const COLOURS = [["package", "by package"], ["self", "by self"], ["diff", "by change"]];
/** More of a path than this does not fit beside each other. */
const MAX_CRUMBS = 7;

export class ProfileView {
  /** `go(patch)` changes the state. */
  constructor(go) {
    this.go = go;
    this.state = null;
    this.tree = null;
    const on = (which) => ({
      hover: (node, event) => this.hover(which, node, event),
      focus: (node) => this.focus(which, node),
      zoom: (node) => this.zoom(which, node),
      key: (event, node) => this.key(which, event, node),
    });
    const flame = (which, label) => new Flame(label, "graph-keys", on(which));
    this.flames = {
      all: flame("all", "Flamegraph. Arrow keys move between frames."),
      callers: flame("callers", "Callers. Arrow keys move between frames."),
      callees: flame("callees", "Callees. Arrow keys move between frames."),
    };
    this.panes = Object.fromEntries(Object.entries(this.flames).map(([which, it]) => [which, el("div", { class: "graph" },
      which === "all" ? null : el("h3", {}, which === "callers" ? "Callers" : "Callees"), it.element)]));
    $("graphs").append(el("p", { id: "graph-keys", class: "hidden" },
      "Enter zooms to the frame, Escape goes back, S shows callers and callees. The table has the same functions."),
    this.panes.callers, this.panes.all, this.panes.callees);
    this.table = new Table($("table-pane"), {
      sort: (sort) => go({ sort }),
      choose: (func) => this.sandwich(func),
    });
    for (const [id, act] of [["act-zoom", "zoom"], ["act-sandwich", "sandwich"], ["act-search", "find"]]) {
      $(id).addEventListener("click", () => this.act(act));
    }
  }

  show(state, tree) {
    const before = this.state;
    this.state = state;
    // The same question again, as it is live: what the reader looks at stays where it is.
    const stay = this.tree && tree !== this.tree && before && toSearch(before) === toSearch(state);
    const { focused } = this.flames.all;
    const kept = stay && focused > 0 && this.flames.all.tree === this.tree ? pathHash(this.tree, focused) : "";
    if (tree !== this.tree) {
      this.tree = tree;
      this.rows = top(tree);
      this.cut = null;
      this.pointed = null;
    }
    const func = state.fn === "" ? undefined : tree.frames.functionOf(state.fn, state.fn_package);
    const sandwiched = func !== undefined;
    if ((before?.fn ?? "") !== state.fn) this.pointed = null;
    if (sandwiched && this.cut?.func !== func) {
      this.cut = { func, callers: callers(tree, func), callees: callees(tree, func) };
    }
    this.found = mask(tree.frames, state.q);
    $("panes").dataset.show = state.show;
    this.panes.all.hidden = sandwiched;
    this.panes.callers.hidden = this.panes.callees.hidden = !sandwiched;
    const at = this.nodeOf(state.at);
    this.paint();
    if (sandwiched) {
      const known = before && before.fn === state.fn && before.fn_package === state.fn_package;
      for (const [which, up] of [["callers", true], ["callees", false]]) {
        const flame = this.flames[which];
        this.panes[which].style.flexGrow = Math.max(4, Math.min(40, this.cut[which].nRows));
        if (!known || flame.tree !== this.cut[which]) flame.show(this.cut[which], this.coloured(this.cut[which]), { up });
        else flame.resize();
      }
    } else {
      const flame = this.flames.all, up = state.up === "1";
      if (flame.tree !== tree || flame.up !== up || flame.width === 0) {
        const focused = kept ? nodeOfHash(tree, kept) : -1;
        flame.show(tree, this.coloured(tree), { up, zoomed: at, focused, stay: stay && flame.up === up });
        if (focused > 0) this.pointed = { which: "all", flame, node: focused };
      }
      else if (flame.zoomed !== at) flame.zoomTo(at);
    }
    this.zoomed = sandwiched ? 0 : at;
    this.table.show(tree, this.rows, { sort: state.sort, hits: this.found?.hits, chosen: func });
    this.crumbs(func);
    this.details();
  }

  /** What a link is zoomed to; all of it if that is not there. */
  nodeOf(hash) {
    if (this.place?.tree !== this.tree || this.place.hash !== hash) {
      this.place = { tree: this.tree, hash, node: hash === "" ? 0 : Math.max(0, nodeOfHash(this.tree, hash)) };
    }
    return this.place.node;
  }

  get colour() {
    const wanted = this.state.colour || (this.tree.compared ? "diff" : "package");
    return wanted === "diff" && !this.tree.compared ? "package" : wanted;
  }

  coloured(tree) {
    return colours(tree, this.colour, theme(), this.tree);
  }

  /** Colours, legend and what was found: also when the theme changes. */
  paint() {
    if (!this.tree) return;
    const { state, tree, found } = this;
    options($("colour"), tree.compared ? COLOURS : COLOURS.slice(0, 2), this.colour);
    pressed($("show"), "show", state.show);
    pressed($("direction"), "up", state.up);
    $("direction").hidden = state.fn !== "";
    const scheme = this.coloured(tree);
    for (const [which, flame] of Object.entries(this.flames)) {
      flame.hits = found?.hits ?? null;
      // One of an answer before is about to be given another tree.
      if (flame.tree && flame.tree === (which === "all" ? tree : this.cut?.[which])) {
        flame.paint(which === "all" ? scheme : this.coloured(flame.tree));
      }
    }
    this.legend(scheme.legend);
    const field = $("search");
    if (document.activeElement !== field || field.value === "") field.value = state.q;
    if (!found) $("found").textContent = "";
    else {
      const { total, nodes } = matched(tree, found.hits);
      $("found").textContent = nodes.length ? share(total, tree.totalA) : "nothing";
      $("found").title = found.literal ? "No regular expression: looked for as it stands" : "";
    }
    field.setAttribute("aria-invalid", String(found?.literal ?? false));
  }

  legend(legend) {
    const { tree } = this;
    if (legend.kind === "packages") {
      const whole = tree.totalA + tree.totalB;
      $("legend").replaceChildren(...legend.entries.slice(0, 9).map(({ name, own, colour }) =>
        el("span", { title: "Its own share, without what it calls" }, el("i", { class: "swatch", background: colour }), own / whole < 1e-4 ? name : `${name} ${share(own, whole)}`)));
      return;
    }
    const ramp = el("span", { class: "ramp" }, ...legend.palette.map((colour) => el("i", { background: colour })));
    const note = tree.compared ? "Width: the mean of both shares." : null;
    $("legend").replaceChildren(el("span", {}, legend.ends[0]), ramp, el("span", {}, legend.ends.at(-1)), note ? el("span", {}, note) : "");
  }

  zoom(which, node) {
    if (which !== "all") return this.flames[which].zoomTo(node);
    this.go({ at: node > 0 ? pathHash(this.tree, node) : "" });
  }

  sandwich(func) {
    const frame = this.tree.frames.functions[func];
    const { name, package: packages } = this.tree.frames;
    const same = this.state.fn === name[frame] && this.state.fn_package === packages[frame];
    const patch = same ? { fn: "", fn_package: "" } : { fn: name[frame], fn_package: packages[frame] };
    this.go({ ...patch, show: this.state.show === "table" ? "both" : this.state.show });
  }

  /** One step back: the zoom, then the sandwich, then the search. False if there was nothing. */
  reset() {
    const { state } = this;
    if (!state || !this.tree) return false;
    if (state.fn) this.go({ fn: "", fn_package: "" });
    else if (state.at) this.go({ at: "" });
    else if (this.flames.all.view.width < 1) this.flames.all.zoomTo(0);
    else if (state.q) this.go({ q: "" });
    else return false;
    return true;
  }

  act(what) {
    const { flame, node, which } = this.pointed ?? {};
    if (!flame || node < 0) return;
    if (what === "zoom") this.zoom(which, node);
    else if (what === "sandwich") { if (node > 0 || which !== "all") this.sandwich(flame.tree.func(node)); }
    else this.go({ q: `^${flame.tree.name(node).replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")}$` });
  }

  key(which, event, node) {
    switch (event.key) {
      case "s": case "S": this.pointed = { which, flame: this.flames[which], node }; this.act("sandwich"); return true;
      case "n": case "N": this.nextFound(which, event.key === "n" ? 1 : -1); return true;
      case "i": this.go({ up: this.state.up ? "" : "1" }); return true;
      case "c": this.nextColour(); return true;
      default: return false;
    }
  }

  nextColour() {
    const names = [...$("colour").options].map((it) => it.value);
    this.go({ colour: names[(names.indexOf(this.colour) + 1) % names.length] });
  }

  nextFound(which, step) {
    const flame = this.flames[which];
    if (!this.found) return;
    const { nodes } = matched(flame.tree, this.found.hits);
    if (!nodes.length) return;
    const at = nodes.findIndex((node) => node >= flame.focused);
    const here = nodes[at] === flame.focused;
    const next = at < 0 ? 0 : step > 0 ? (here ? at + 1 : at) : at - 1;
    flame.focus(nodes[(next + nodes.length) % nodes.length]);
  }

  hover(which, node, event) {
    const tip = $("tip");
    if (node < 0) {
      tip.hidden = true;
      return;
    }
    tip.replaceChildren(...this.tipOf(this.flames[which].tree, node));
    tip.hidden = false;
    const x = event.clientX + 16, y = event.clientY + 18;
    const left = x + tip.offsetWidth > innerWidth - 8 ? event.clientX - tip.offsetWidth - 12 : x;
    const below = y + tip.offsetHeight > innerHeight - 8 ? event.clientY - tip.offsetHeight - 12 : y;
    tip.style.transform = `translate(${Math.max(8, left)}px, ${Math.max(8, below)}px)`;
  }

  tipOf(tree, node) {
    const rows = [];
    const line = (name, value) => rows.push(el("dt", {}, name), el("dd", {}, value));
    if (tree.package(node)) line(KINDS[tree.kind(node)] === "native" ? "In" : `In (${KINDS[tree.kind(node)]})`, tree.package(node));
    line("Total", `${quantity(tree.total[node], tree.unit)} · ${share(tree.total[node], tree.totalA)}`);
    line("Self", `${quantity(tree.self[node], tree.unit)} · ${share(tree.self[node], tree.totalA)}`);
    if (tree.compared) {
      line("Baseline", `${quantity(tree.baseTotal[node], tree.unit)} · ${share(tree.baseTotal[node], tree.totalB)}`);
      line("Change", `${points(difference(tree.total[node], tree.totalA, tree.baseTotal[node], tree.totalB))} points`);
    }
    return [el("b", {}, tree.name(node)), el("dl", {}, ...rows)];
  }

  focus(which, node) {
    this.pointed = { which, flame: this.flames[which], node };
    for (const [other, flame] of Object.entries(this.flames)) if (other !== which && flame.focused >= 0) flame.focus(-1, false);
    this.details();
    $("announce").textContent = node >= 0 ? this.sentence(this.flames[which].tree, node) : "";
  }

  /** What a reader of the screen hears. */
  sentence(tree, node) {
    let children = 0;
    for (let i = node + 1; i < tree.end[node]; i = tree.end[i]) children += 1;
    const parts = [tree.name(node), packageName(tree.package(node)),
      `${share(tree.total[node], tree.totalA)}, ${quantity(tree.total[node], tree.unit)}`,
      `self ${share(tree.self[node], tree.totalA)}`];
    if (tree.compared) parts.push(`baseline ${share(tree.baseTotal[node], tree.totalB)}`);
    parts.push(`depth ${tree.depth[node]}`, children === 1 ? "1 child" : `${children} children`);
    return parts.filter(Boolean).join(", ");
  }

  details() {
    const { flame, node = -1, which } = this.pointed ?? {};
    const there = flame?.tree && node >= 0 && node < flame.tree.n;
    const text = $("details-text");
    if (!there) text.replaceChildren(el("span", { class: "muted" }, "Click a frame to zoom; ? lists the keys."));
    else {
      const { tree } = flame;
      const compared = tree.compared
        ? ` · baseline ${share(tree.baseTotal[node], tree.totalB)} (${points(difference(tree.total[node], tree.totalA, tree.baseTotal[node], tree.totalB))} points)` : "";
      text.replaceChildren(el("b", {}, tree.name(node)),
        ` ${packageName(tree.package(node))} · total ${quantity(tree.total[node], tree.unit)}, ${share(tree.total[node], tree.totalA)}`
        + ` · self ${quantity(tree.self[node], tree.unit)}, ${share(tree.self[node], tree.totalA)}${compared}`);
    }
    $("act-zoom").hidden = !there;
    $("act-search").hidden = $("act-sandwich").hidden = !there || (node === 0 && which === "all");
  }

  crumbs(func) {
    const { tree } = this, list = $("crumbs");
    const separator = () => el("span", { class: "sep", "aria-hidden": "true" }, "›");
    if (func !== undefined) {
      list.replaceChildren(el("button", { type: "button", onclick: () => this.go({ fn: "", fn_package: "" }) }, "All"), separator(),
        el("button", { type: "button", "aria-current": "true" }, tree.frames.name[tree.frames.functions[func]]),
        el("span", { class: "hint" }, "its callers and what it calls"));
      return;
    }
    const whole = `${quantity(tree.totalA, tree.unit)}${tree.compared ? ` against ${quantity(tree.totalB, tree.unit)}` : ""}`;
    if (this.zoomed === 0) {
      list.replaceChildren(el("span", { class: "hint" }, `All of it: ${whole}`),
        this.state.fn ? el("span", { class: "hint" }, `· ${this.state.fn} is not in this profile`) : "");
      return;
    }
    const path = tree.path(this.zoomed);
    const shown = path.length <= MAX_CRUMBS ? path : [path[0], -1, ...path.slice(-(MAX_CRUMBS - 2))];
    list.replaceChildren(...shown.flatMap((node, i) => {
      if (node < 0) return [separator(), el("span", { class: "hint" }, "…")];
      const button = el("button", { type: "button", title: tree.name(node), "aria-current": node === this.zoomed ? "true" : null,
        onclick: () => this.zoom("all", node) }, node === 0 ? "All" : tree.name(node));
      return i ? [separator(), button] : [button];
    }));
  }
}

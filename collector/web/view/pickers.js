// Service, host, type, labels, selector, time: controls that write the state, and show it.

import * as selector from "../pure/selector.js";
import { presetName, PRESETS, fromField, resolveRange, toField } from "../pure/time.js";
import { range } from "../pure/format.js";
import { typeName } from "../pure/state.js";
import { $, debounced, el, options, placed } from "./dom.js";

/** In pickers of their own. */
const OWN = ["service", "host"];

export class Pickers {
  /** `go(patch)` changes the state; `labels()` and `values(name)` ask the collector. */
  constructor(go, ask) {
    this.go = go;
    this.ask = ask;
    for (const name of OWN) $(name).addEventListener("change", (event) => this.want(name, event.target.value));
    $("type").addEventListener("change", (event) => go({ type: event.target.value }));
    $("metric").addEventListener("change", (event) => go({ metric: event.target.value }));
    const typed = () => this.typed($("match"), "match");
    $("match").addEventListener("change", typed);
    $("match").addEventListener("input", debounced(900, typed));
    $("query").addEventListener("submit", (event) => {
      event.preventDefault();
      typed();
    });
    const typedBase = () => this.typed($("base-match"), "base_match");
    $("base-match").addEventListener("change", typedBase);
    $("base-other").addEventListener("change", (event) => go({ base_other: event.target.checked ? "1" : "" }));
    this.labelPopover();
    this.timePopover();
  }

  show(state, nowMs) {
    this.state = state;
    const matchers = this.matchers();
    for (const name of OWN) this.fill(name);
    if (document.activeElement !== $("match")) $("match").value = state.match;
    if (document.activeElement !== $("base-match")) $("base-match").value = state.base_match;
    $("base-other").checked = state.base_other === "1";
    $("base-match").hidden = state.base_other !== "1";
    const preset = presetName(state.from, state.until);
    const at = resolveRange(state.from, state.until, nowMs);
    $("time-button").textContent = preset ?? range(at.from, at.until);
    for (const button of $("presets").children) {
      button.setAttribute("aria-pressed", String(state.until === "now" && state.from === button.dataset.from));
    }
    $("metric-field").hidden = state.tab !== "memory";
    $("type-field").hidden = state.tab === "memory";
    this.chips(matchers);
  }

  fill(name) {
    const chosen = this.state ? selector.valueOf(this.matchers() ?? [], name) : "";
    const { values, truncated } = this.known?.[name] ?? { values: [], truncated: false };
    const entries = [["", name === "service" ? "all services" : "all hosts"], ...values.map((it) => [it, it])];
    options($(name), entries, chosen);
    $(name).title = truncated ? "There are more than these: ask for others by the selector" : "";
    $(name).disabled = this.matchers() === null;
  }

  values(name, answer) {
    this.known = { ...this.known, [name]: answer };
    this.fill(name);
  }

  types(types, chosen) {
    options($("type"), types.map((it) => [`${it.type}:${it.unit}`, typeName(`${it.type}:${it.unit}`)]), chosen);
  }

  metrics(names, chosen) {
    options($("metric"), names.map((name) => [name, name]), chosen);
  }

  /** Null if the selector is wrong: then pickers cannot change it. */
  matchers() {
    try {
      return selector.parse(this.state?.match ?? "");
    } catch {
      return null;
    }
  }

  want(name, value) {
    const matchers = this.matchers();
    if (matchers) this.go({ match: selector.print(selector.withValue(matchers, name, value)) });
  }

  /** What was typed is asked for once it can be read. */
  typed(field, key) {
    const error = $("match-error");
    try {
      selector.parse(field.value);
      error.hidden = true;
      field.removeAttribute("aria-invalid");
      this.go({ [key]: field.value.trim() });
    } catch (problem) {
      error.textContent = `${problem.message}, at character ${problem.at + 1}`;
      error.hidden = false;
      field.setAttribute("aria-invalid", "true");
    }
  }

  chips(matchers) {
    const others = (matchers ?? []).map((it, i) => [it, i]).filter(([it]) => !OWN.includes(it.name) || it.operator !== "=");
    $("chips").replaceChildren(...others.map(([it, i]) => {
      const text = `${it.name} ${it.operator} ${it.value}`;
      return el("li", {}, text, el("button", { type: "button", "aria-label": `Ask no more for ${text}`,
        onclick: () => this.go({ match: selector.print(selector.without(matchers, i)) }) }, "×"));
    }));
  }

  labelPopover() {
    const popover = $("label-popover"), name = $("label-name"), value = $("label-value"), add = $("label-add"), note = $("label-note");
    const fail = (error) => {
      note.textContent = error.message;
      note.hidden = false;
    };
    placed(popover, $("label-button"));
    popover.addEventListener("toggle", async (event) => {
      if (event.newState !== "open") return;
      note.hidden = true;
      options(name, [["", "choose"]], "");
      options(value, [["", ""]], "");
      value.disabled = add.disabled = true;
      try {
        const { labels } = await this.ask.labels();
        options(name, [["", "choose"], ...labels.filter((it) => !OWN.includes(it)).map((it) => [it, it])], "");
      } catch (error) {
        fail(error);
      }
    });
    name.addEventListener("change", async () => {
      value.disabled = add.disabled = true;
      if (!name.value) return;
      try {
        const { values, truncated } = await this.ask.values(name.value);
        options(value, values.map((it) => [it, it]), values[0] ?? "");
        note.textContent = "There are more than these: ask for others by the selector.";
        note.hidden = !truncated;
        value.disabled = add.disabled = values.length === 0;
      } catch (error) {
        fail(error);
      }
    });
    add.addEventListener("click", () => {
      popover.hidePopover();
      this.want(name.value, value.value);
    });
  }

  timePopover() {
    const popover = $("time-popover");
    placed(popover, $("time-button"));
    // Another range has other parts.
    const go = (from, until) => {
      popover.hidePopover();
      this.go({ from, until, a: "", b: "", base_a: "", base_b: "" });
    };
    $("presets").append(...PRESETS.map(([from, name]) =>
      el("button", { type: "button", "data-from": from, onclick: () => go(from, "now") }, name)));
    popover.addEventListener("toggle", (event) => {
      if (event.newState !== "open") return;
      const at = resolveRange(this.state.from, this.state.until, Date.now());
      $("time-from").value = toField(at.from);
      $("time-until").value = toField(at.until);
      $("time-error").hidden = true;
    });
    $("time-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const from = fromField($("time-from").value), until = fromField($("time-until").value);
      if (from === null || until === null || until <= from) {
        $("time-error").textContent = "The end has to be after the beginning.";
        $("time-error").hidden = false;
      } else go(String(from), String(until));
    });
  }
}

// Wires state, requests and views. The state is the address; everything else follows from it.

import { ApiError, download, get, Slot } from "./api.js";
import { plural, time } from "./pure/format.js";
import { chosen, firstMetric, firstType, newest, profileRequest, timelineRequest, wanted } from "./pure/parts.js";
import { summed } from "./pure/scale.js";
import { change, fromSearch, pinned, toSearch, unitOf } from "./pure/state.js";
import { resolveRange } from "./pure/time.js";
import { AnswerError, fromAnswer } from "./pure/tree.js";
import { askAccess, help, showAlerts, showLink } from "./view/dialogs.js";
import { $, debounced, el, placed, pressed, theme } from "./view/dom.js";
import { MemoryView } from "./view/memory.js";
import { Pickers } from "./view/pickers.js";
import { ProfileView } from "./view/profile.js";
import { Timeline } from "./view/timeline.js";

const LIVE_MS = 10_000;
const ALERTS_MS = 60_000;
/** How far back the newest data are looked for, when there are none. */
const SEARCH_BACK_MS = 30 * 86_400_000;
const HOUR_MS = 3_600_000;

let state = fromSearch(location.search);
/** What was answered to the last question: { tree } or { memory } or { error } or { empty }; nothing yet: {}. */
let shown = {};
let range = resolveRange(state.from, state.until, Date.now());
const slots = { profile: new Slot(), timeline: new Slot(), lists: new Slot() };

const profile = new ProfileView(go);
const memory = new MemoryView();
const timeline = new Timeline({ select });
const pickers = new Pickers(go, {
  labels: () => get("labels", { from: range.from, until: range.until }),
  values: (name) => get(`labels/${encodeURIComponent(name)}`, { from: range.from, until: range.until }),
});

/** Another state: a step in the history, unless it only refines the one before. */
function go(patch, { replace = false } = {}) {
  const next = { ...state, ...patch };
  const what = change(state, next);
  if (!what) return;
  state = next;
  history[replace ? "replaceState" : "pushState"](null, "", toSearch(state) || location.pathname);
  follow(what);
}

function follow(what) {
  controls();
  if (what === "data") load();
  else render();
}

function select(which, from, until) {
  const text = (ms) => (ms === null ? "" : String(Math.round(ms)));
  go(which === "base" ? { base_a: text(from), base_b: text(until) } : { a: text(from), b: text(until) });
}

function controls() {
  const { tab } = state;
  document.title = { profile: "Profile", compare: "Compare", memory: "Memory" }[tab] + (state.match ? ` ${state.match}` : "") + " · Brazier";
  for (const link of $("tabs").children) {
    if (link.dataset.tab === tab) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    link.href = toSearch({ ...state, tab: link.dataset.tab }) || "?";
  }
  pickers.show(state, Date.now());
  $("live").setAttribute("aria-pressed", String(state.live === "1"));
  $("live").disabled = state.until !== "now";
  const compared = tab === "compare";
  $("timeline-card").hidden = tab === "memory";
  $("brushes").hidden = $("baseline-selector").hidden = !compared;
  if (!compared) timeline.brush = "main";
  pressed($("brushes"), "brush", timeline.brush);
  const parts = chosen(state);
  $("clear-selection").hidden = !parts.main && !parts.base;
  $("zoom-in").hidden = !parts.main || compared;
}

async function load() {
  range = resolveRange(state.from, state.until, Date.now());
  busy(true);
  const signal = slots.profile.next();
  try {
    if (state.tab === "memory") shown = { memory: await loadMemory(signal) };
    else {
      // A type has to be chosen before anything can be asked of it.
      if (!state.type) await types();
      if (!state.type) {
        shown = { empty: { nothing: true } };
      } else {
        const { path, parameters } = profileRequest(state, range);
        // The collector answers a few questions at once: what is looked at goes first.
        const asked = get(path, parameters, signal);
        loadTimeline();
        const answer = await asked;
        const tree = fromAnswer(answer);
        const empty = tree.n === 0 || (tree.totalA === 0 && tree.totalB === 0);
        shown = empty ? { empty: await lookForNewest(signal) } : { tree, warnings: (answer.warnings ?? []).map(String) };
      }
    }
  } catch (error) {
    if (error.name === "AbortError") return;
    shown = { error };
    if (!(error instanceof ApiError || error instanceof AnswerError)) console.error(error);
  }
  busy(false);
  render();
  lists();
}

async function types(signal) {
  const { types: known } = await get("types", { from: range.from, until: range.until }, signal);
  if (!state.type) {
    state = { ...state, type: firstType(known) };
    controls();
  }
  pickers.types(known, state.type);
}

/** What the pickers offer, once a minute; a picker that cannot be filled stops nothing. */
let listed = "";
async function lists() {
  const key = `${state.from} ${state.until} ${Math.floor(Date.now() / 60_000)}`;
  if (listed === key) return;
  listed = key;
  const signal = slots.lists.next();
  const fill = async (name) => pickers.values(name, await get(`labels/${name}`, { from: range.from, until: range.until }, signal));
  await Promise.allSettled([types(signal), fill("service"), fill("host")]);
}

async function loadTimeline() {
  const signal = slots.timeline.next();
  const two = state.tab === "compare";
  const other = two && state.base_other === "1" && state.base_match !== state.match;
  const ask = (match) => get("timeline", timelineRequest(state, range, match), signal);
  try {
    const [main, base] = await Promise.all([ask(state.match), other ? ask(state.base_match) : null]);
    const parts = two ? wanted(state, range) : chosen(state);
    timeline.show({ ...range, type: state.type, stepMs: main.step_ms, unit: main.unit ?? unitOf(state.type), two, parts,
      main: summed(main.series), base: base && summed(base.series) });
  } catch (error) {
    // The profile says what is wrong; the timeline only keeps what it had.
    if (error.name !== "AbortError") $("timeline-figures").textContent = "not to be had";
  }
}

async function loadMemory(signal) {
  const { names } = await get("metrics/names", { from: range.from, until: range.until }, signal);
  const known = names.map((it) => it.name);
  const metric = state.metric || firstMetric(known);
  pickers.metrics(known, metric);
  if (!metric) return null;
  const answer = await get("metrics", { name: metric, match: state.match, from: range.from, until: range.until }, signal);
  return { metric, answer };
}

/** When there last was something: for this selector, or at all. */
async function lookForNewest(signal) {
  const now = Date.now();
  const ask = async (match) => {
    const { series } = await get("timeline", { type: state.type, match, from: now - SEARCH_BACK_MS, until: now, step_ms: HOUR_MS }, signal);
    return newest(summed(series));
  };
  try {
    const at = await ask(state.match);
    if (at !== null || !state.match) return { at };
    return { at, others: await ask("") };
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return { at: null };
  }
}

function render() {
  const onMemory = state.tab === "memory";
  const message = shown.error ? errorMessage(shown.error) : shown.empty ? emptyMessage(shown.empty)
    : "memory" in shown && !shown.memory?.answer.series.length ? noMemory() : null;
  $("message").hidden = !message;
  if (message) $("message").replaceChildren(...message);
  const profiled = !message && !onMemory && shown.tree !== undefined;
  $("toolbar").hidden = $("panes").hidden = !profiled;
  $("memory-pane").hidden = Boolean(message) || !onMemory || !shown.memory;
  const notes = profiled ? notesOf(shown) : [];
  $("notes").hidden = notes.length === 0;
  $("notes").textContent = notes.join(" ");
  if (profiled) profile.show(state, shown.tree);
  else if (onMemory && !message && shown.memory) memory.show(shown.memory.metric, shown.memory.answer, range);
}

function notesOf({ tree, warnings }) {
  const notes = warnings.map((it) => `${it.charAt(0).toUpperCase()}${it.slice(1).replace(/\.$/, "")}.`);
  if (tree.truncated) notes.push(`${plural(tree.truncated, "frame")} too small to be sent: counted in their callers.`);
  if (tree.compared && tree.totalB === 0) notes.push("There is nothing in the baseline.");
  if (tree.compared && tree.totalA === 0) notes.push("There is nothing in the comparison.");
  return notes;
}

const retry = () => el("button", { type: "button", class: "primary", onclick: load }, "Try again");

function errorMessage(error) {
  const title = error instanceof ApiError ? error.message : error instanceof AnswerError ? "This answer cannot be shown" : "The page has failed";
  const text = error instanceof ApiError ? error.advice : String(error.message);
  const access = error.status === 401 || error.status === 403;
  return [el("h2", {}, title.charAt(0).toUpperCase() + title.slice(1)), el("p", {}, text),
    access ? el("button", { type: "button", class: "primary", onclick: () => askAccess(load) }, "Give a token") : retry()];
}

function emptyMessage({ nothing, at, others }) {
  if (nothing) {
    return [el("h2", {}, "No profiles yet"), el("p", {}, "Nothing was received in this time. Have an agent send what it sees:"),
      el("pre", {}, "# agent.toml\n[[sink]]\nkind = \"otlp-grpc\"\naddress = \"http://127.0.0.1:4317\"\n\nagent daemon --config agent.toml"), retry()];
  }
  const back = (ms) => el("button", { type: "button", class: "primary", onclick: () => go({
    from: String(ms - HOUR_MS), until: String(ms + HOUR_MS), a: "", b: "", base_a: "", base_b: "" }) }, "Show that time");
  const clear = el("button", { type: "button", onclick: () => go({ match: "" }) }, "Ask for everything");
  if (at) return [el("h2", {}, "No data in this range"), el("p", {}, `The newest is of ${time(at)}.`), back(at), state.match ? clear : ""];
  if (others) return [el("h2", {}, "Nothing matches the selector"), el("p", {}, `There is other data; the newest is of ${time(others)}.`), clear];
  return [el("h2", {}, "No data in this range"), el("p", {}, "And none of this type in the 30 days before. Is something sending?"), retry()];
}

function noMemory() {
  return [el("h2", {}, "No such metric in this range"),
    el("p", {}, "The daemon of the agent sends the memory of its targets to an OTLP sink: see [memory] in its configuration."), retry()];
}

let wait = 0;
function busy(on) {
  $("content").setAttribute("aria-busy", String(on));
  clearTimeout(wait);
  // What is quick needs no sign.
  if (on) wait = setTimeout(() => {
    $("progress").hidden = false;
    $("panes").classList.add("stale");
    if (Object.keys(shown).length === 0) {
      $("message").replaceChildren(el("p", {}, "Asking the collector …"));
      $("message").hidden = false;
    }
  }, 150);
  else {
    $("progress").hidden = true;
    $("panes").classList.remove("stale");
  }
}

function widen() {
  const { from, until } = range, half = (until - from) / 2;
  const end = Math.min(Date.now(), until + half);
  go({ from: String(Math.round(end - 4 * half)), until: state.until === "now" ? "now" : String(Math.round(end)), live: "" });
}

function listen() {
  addEventListener("popstate", () => {
    const before = state;
    state = fromSearch(location.search);
    if (!state.type && before.type) state.type = before.type;
    follow(change(before, state) || "view");
  });
  $("tabs").addEventListener("click", (event) => {
    const tab = event.target.dataset?.tab;
    if (!tab || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    shown = {};
    render();
    go({ tab, colour: "", fn: "", fn_package: "", at: "", sort: "" });
  });
  $("live").addEventListener("click", () => go({ live: state.live ? "" : "1" }, { replace: true }));
  $("link").addEventListener("click", () => showLink(new URL(toSearch(pinned(state, range)), location.href).href));
  $("access").addEventListener("click", () => askAccess(load));
  $("help").addEventListener("click", help);
  $("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = theme() === "dark" ? "light" : "dark";
    try { localStorage.setItem("theme", document.documentElement.dataset.theme); } catch { /* Until it is loaded again. */ }
    repaint();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  for (const button of $("brushes").children) button.addEventListener("click", () => {
    timeline.brush = button.dataset.brush;
    controls();
  });
  $("clear-selection").addEventListener("click", () => go({ a: "", b: "", base_a: "", base_b: "" }));
  $("zoom-in").addEventListener("click", () => go({ from: state.a, until: state.b, a: "", b: "", live: "" }));
  $("zoom-out").addEventListener("click", widen);
  $("search").addEventListener("input", debounced(120, (event) => go({ q: event.target.value }, { replace: true })));
  for (const [group, key] of [["show", "show"], ["direction", "up"]]) {
    for (const button of $(group).children) button.addEventListener("click", () => go({ [key]: button.dataset[key] }));
  }
  $("colour").addEventListener("change", (event) => go({ colour: event.target.value }));
  placed($("alerts-popover"), $("alerts"));
  listenDownloads();
  document.addEventListener("keydown", shortcut);
}

function listenDownloads() {
  const popover = $("download-popover");
  placed(popover, $("download-button"));
  const items = [...popover.children];
  popover.addEventListener("toggle", (event) => { if (event.newState === "open") items[0].focus(); });
  popover.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    items[(items.indexOf(document.activeElement) + step + items.length) % items.length].focus();
  });
  const endings = { pprof: "pb.gz", svg: "svg", folded: "folded", speedscope: "speedscope.json" };
  for (const item of items) item.addEventListener("click", async () => {
    const { format } = item.dataset, { main } = wanted(state, range);
    popover.hidePopover();
    busy(true);
    try {
      await download({ format, type: state.type, match: state.match, from: main.from, until: main.until }, `profile.${endings[format]}`);
    } catch (error) {
      $("notes").textContent = `The download failed: ${error.message}`;
      $("notes").hidden = false;
    }
    busy(false);
  });
}

function shortcut(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || document.querySelector("dialog[open], [popover]:popover-open")) return;
  const { target } = event, typing = target.matches("input:not([type=checkbox]), select, textarea");
  if (event.key === "Escape") {
    if (typing && target.id === "search" && state.q) go({ q: "" }, { replace: true });
    else if (typing) target.blur();
    else if (!profile.reset()) return;
    if (target.id === "search") target.value = "";
    event.preventDefault();
  } else if (typing) {
    return;
  } else if (event.key === "/" && !$("toolbar").hidden) {
    $("search").focus();
    $("search").select();
    event.preventDefault();
  } else if (event.key === "?") help();
}

function repaint() {
  profile.paint();
  if (state.tab === "memory") render();
}

/** What fires; while that cannot be said, what was said before stays. */
async function watchAlerts() {
  try {
    if (!document.hidden) showAlerts((await get("alerts")).alerts, Date.now());
  } catch (error) {
    if (!(error instanceof ApiError)) console.error(error);
  }
  setTimeout(watchAlerts, ALERTS_MS);
}

listen();
controls();
load();
watchAlerts();
setInterval(() => { if (state.live === "1" && state.until === "now" && !document.hidden) load(); }, LIVE_MS);

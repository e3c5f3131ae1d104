// Help, access, link: what is asked for seldom.

import { access } from "../api.js";
import { duration } from "../pure/format.js";
import { labelText } from "./memory.js";
import { $, el } from "./dom.js";

const KEYS = [
  ["/", "search"], ["Esc", "one step back: the sandwich, the zoom, the search"], ["?", "this page"],
  ["← → ↑ ↓", "in the graph: the frame beside, above, below"], ["Enter", "zoom to the frame"], ["Backspace", "zoom out to its caller"],
  ["S", "callers and callees of the frame"], ["N, Shift+N", "the next, the one before of what was found"],
  ["+ −", "zoom in, out around the frame"], ["I", "icicle or flame"], ["C", "the next colouring"],
  ["Home, End", "the frame zoomed to; the leaf along the largest children"],
  ["← →", "in the timeline: move the chosen part; with Shift, its end"],
];

const title = (id, text) => el("h2", { id }, text);
const close = (label = "Close") => el("button", { type: "button", onclick: (event) => event.currentTarget.closest("dialog").close() }, label);

export function help() {
  const dialog = $("help-dialog");
  dialog.replaceChildren(title("help-title", "Keys"),
    el("dl", {}, ...KEYS.flatMap(([key, what]) => [el("dt", {}, ...key.split(", ").flatMap((it, i) => [i ? " " : "", el("kbd", {}, it)])), el("dd", {}, what)])),
    el("p", { class: "muted" }, "By mouse: click zooms, dragging moves, the wheel with Ctrl zooms and with Shift moves sideways. "
      + "A box is as wide as its share of all; what is too narrow to be seen is drawn together."),
    el("div", { class: "row" }, close()));
  dialog.showModal();
}

export function askAccess(done) {
  const dialog = $("access-dialog");
  const known = access.get();
  const token = el("input", { type: "password", autocomplete: "off", value: known.token, id: "access-token" });
  const tenant = el("input", { type: "text", autocomplete: "off", value: known.tenant, id: "access-tenant", spellcheck: "false" });
  const save = (event) => {
    event.preventDefault();
    access.set({ token: token.value.trim(), tenant: tenant.value.trim() });
    dialog.close();
    done();
  };
  dialog.replaceChildren(title("access-title", "Access"),
    el("p", { class: "muted" }, "A token says which tenant you are. Without tokens, a collector takes the tenant's name, or none. Kept in this tab only."),
    el("form", { onsubmit: save },
      el("label", { class: "field" }, el("span", {}, "Token"), token),
      el("label", { class: "field" }, el("span", {}, "Tenant"), tenant),
      el("div", { class: "row" }, close("Leave it"), el("button", { class: "primary" }, "Use it"))));
  dialog.showModal();
}

/** The clipboard is for pages of TLS and of this machine; elsewhere the text is there to be copied. */
export async function showLink(text) {
  const dialog = $("link-dialog");
  const field = el("input", { type: "text", readonly: true, value: text, "aria-label": "Link" });
  let copied = false;
  try {
    await navigator.clipboard.writeText(text);
    copied = true;
  } catch {
    // The reader copies it.
  }
  dialog.replaceChildren(title("link-title", copied ? "Link copied" : "Link"),
    el("p", { class: "muted" }, "It shows what you see now: its times are written out, and will stay."), field,
    el("div", { class: "row" }, close()));
  dialog.showModal();
  field.select();
}

export function showAlerts(alerts, nowMs) {
  const button = $("alerts");
  const firing = alerts.filter((it) => it.state === "firing");
  button.hidden = firing.length === 0;
  button.textContent = firing.length === 1 ? "1 alert" : `${firing.length} alerts`;
  $("alerts-popover").replaceChildren(...firing.map((it) => el("p", {},
    el("b", {}, it.sentence || it.rule), el("br"),
    el("span", { class: "muted" }, `${it.rule} · ${labelText(it.labels)} · for ${duration(nowMs - it.since_ms)} `),
    // Another page is nothing that the collector may lead to.
    it.link?.startsWith("?") ? el("a", { href: it.link }, "Show") : "")));
}

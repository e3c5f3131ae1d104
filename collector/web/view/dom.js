// Elements, without a framework.

export const $ = (id) => document.getElementById(id);

/** `el("button", { class: "quiet", onclick: f }, "Text")`. Text is never read as HTML. */
export function el(name, properties = {}, ...children) {
  return build(document.createElement(name), properties, children);
}

export function svg(name, attributes = {}, ...children) {
  return build(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function build(it, properties, children) {
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) it.addEventListener(key.slice(2), value);
    else if (key === "background") it.style.background = value;
    else it.setAttribute(key, value === true ? "" : value);
  }
  it.append(...children.filter((child) => child !== null && child !== undefined));
  return it;
}

/** Fills a <select>, and keeps a value that is not among the options any more. */
export function options(select, entries, chosen) {
  const known = entries.some(([value]) => value === chosen);
  const all = known ? entries : [...entries, [chosen, chosen]];
  // Rewriting what is the same would close an open list.
  const signature = JSON.stringify(all);
  if (select.dataset.signature !== signature) {
    select.replaceChildren(...all.map(([value, label]) => el("option", { value }, label)));
    select.dataset.signature = signature;
  }
  select.value = chosen;
}

export function pressed(group, key, value) {
  for (const button of group.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset[key] === value));
  }
}

export function theme() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** A popover below its button, within the window. */
export function place(popover, button) {
  const at = button.getBoundingClientRect();
  const width = popover.offsetWidth, height = popover.offsetHeight;
  popover.style.left = `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`;
  popover.style.top = `${Math.max(8, Math.min(at.bottom + 6, innerHeight - height - 8))}px`;
}

export function placed(popover, button) {
  popover.addEventListener("toggle", (event) => {
    button.setAttribute("aria-expanded", String(event.newState === "open"));
    if (event.newState === "open") place(popover, button);
  });
}

/** Once for many calls of one frame. */
export function once(draw) {
  let wanted = 0;
  return () => {
    if (wanted) return;
    wanted = requestAnimationFrame(() => {
      wanted = 0;
      draw();
    });
  };
}

export function debounced(ms, call) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...given), ms);
  };
}

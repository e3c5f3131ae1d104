// `{service="nginx", host=~"edge-.*"}` <-> a list of matchers.

/** As names of OpenTelemetry are; any other stands in quotes. */
const NAME = /^[\p{Alphabetic}\p{N}_.:\-/]+/u;
const OPERATORS = ["=~", "!~", "!=", "="];

export class SelectorError extends Error {
  constructor(message, at) {
    super(message);
    this.at = at;
  }
}

/** @throws {SelectorError} which says what stands where. */
export function parse(text) {
  let at = 0;
  const skip = () => { while (/\s/.test(text[at] ?? "")) at += 1; };
  const fail = (message) => { throw new SelectorError(message, at); };
  skip();
  if (at === text.length) return [];
  const braced = text[at] === "{";
  if (braced) at += 1;
  const matchers = [];
  for (;;) {
    skip();
    if (braced && text[at] === "}") break;
    if (at === text.length) {
      if (braced) fail("a } is missing");
      break;
    }
    const name = nameAt(text, at);
    if (!name) fail("a name of a label is wanted here");
    at = name.end;
    skip();
    const operator = OPERATORS.find((it) => text.startsWith(it, at));
    if (!operator) fail(`one of = != =~ !~ is wanted after ${name.value}`);
    at += operator.length;
    skip();
    if (text[at] !== "\"" && text[at] !== "`") fail("a value in \" is wanted here");
    const { value, end } = quoted(text, at);
    if (end < 0) fail(`a ${text[at]} is missing`);
    at = end;
    matchers.push({ name: name.value, operator, value });
    skip();
    if (text[at] === ",") at += 1;
    else if (at < text.length && text[at] !== "}") fail("a comma is wanted here");
  }
  if (braced) at += 1;
  skip();
  if (at < text.length) fail("nothing is wanted after the end");
  return matchers;
}

function nameAt(text, at) {
  if (text[at] === "\"" || text[at] === "`") {
    const name = quoted(text, at);
    return name.end < 0 || name.value === "" ? null : name;
  }
  const value = NAME.exec(text.slice(at))?.[0];
  return value ? { value, end: at + value.length } : null;
}

const ESCAPES = { n: "\n", t: "\t", "\"": "\"", "\\": "\\", "'": "'" };

/** In " with escapes, or in ` as it is. */
function quoted(text, start) {
  if (text[start] === "`") {
    const close = text.indexOf("`", start + 1);
    return { value: text.slice(start + 1, close), end: close < 0 ? -1 : close + 1 };
  }
  let value = "";
  for (let at = start + 1; at < text.length; at += 1) {
    const c = text[at];
    if (c === "\"") return { value, end: at + 1 };
    if (c === "\\" && at + 1 < text.length) {
      at += 1;
      // What is no escape of ours is one of the regular expression.
      value += ESCAPES[text[at]] ?? `\\${text[at]}`;
    } else value += c;
  }
  return { value, end: -1 };
}

const quote = (value) =>
  `"${value.replaceAll("\\", "\\\\").replaceAll("\"", "\\\"").replaceAll("\n", "\\n").replaceAll("\t", "\\t")}"`;

export function print(matchers) {
  if (matchers.length === 0) return "";
  return `{${matchers.map(({ name, operator, value }) => `${NAME.exec(name)?.[0] === name ? name : quote(name)}${operator}${quote(value)}`).join(", ")}}`;
}

/** What a picker shows: the value that is asked for, if it is one. */
export function valueOf(matchers, name) {
  const found = matchers.filter((it) => it.name === name);
  return found.length === 1 && found[0].operator === "=" ? found[0].value : "";
}

/** With one value for a name, and nothing else said of the name; none for an empty value. */
export function withValue(matchers, name, value) {
  const index = matchers.findIndex((it) => it.name === name);
  const rest = matchers.filter((it) => it.name !== name);
  if (value === "") return rest;
  rest.splice(index < 0 ? rest.length : index, 0, { name, operator: "=", value });
  return rest;
}

export const without = (matchers, index) => matchers.filter((_, i) => i !== index);

import assert from "node:assert/strict";
import { test } from "node:test";
import { parse, print, SelectorError, valueOf, withValue, without } from "../pure/selector.js";

const WHOLE = String.raw`{service="nginx", host=~"edge-\d+", route!="/a\"b\\c", process.name!~"x|y"}`;

test("a selector is read, and written as it was", () => {
  const matchers = parse(WHOLE);
  assert.deepEqual(matchers.map((it) => [it.name, it.operator, it.value]), [
    ["service", "=", "nginx"], ["host", "=~", String.raw`edge-\d+`], ["route", "!=", "/a\"b\\c"], ["process.name", "!~", "x|y"]]);
  assert.deepEqual(parse(print(matchers)), matchers);
});

test("braces, spaces and a comma at the end do not matter", () => {
  for (const text of ["{a=\"b\"}", " { a = \"b\" , } ", "a=\"b\"", "a=\"b\","]) {
    assert.deepEqual(parse(text), [{ name: "a", operator: "=", value: "b" }], text);
  }
  for (const text of ["", "  ", "{}", "{ }"]) assert.deepEqual(parse(text), [], text);
  assert.equal(print([]), "");
});

test("what is wrong is said, with its place", () => {
  const cases = [["{", 1], ["{a}", 2], ["{a=}", 3], ["{a=b}", 3], ["{a=\"b}", 3], ["{a=\"b\" c=\"d\"}", 7], ["{a=\"b\"}}", 7], ["{=\"b\"}", 1], ["{\"\"=\"b\"}", 1], ["{a=`b}", 3]];
  for (const [text, at] of cases) {
    assert.throws(() => parse(text), (error) => error instanceof SelectorError && error.at === at, text);
  }
});

test("a name that is no name of OpenTelemetry stands in quotes, and backquotes need no escapes", () => {
  assert.deepEqual(parse("{\"a b\"=`c\\d\"`}"), [{ name: "a b", operator: "=", value: "c\\d\"" }]);
  assert.equal(print(parse("{\"a b\"=\"c\", \"d.e\"=\"f\"}")), "{\"a b\"=\"c\", d.e=\"f\"}");
});

test("any text as a value survives", () => {
  for (const value of ["", "\"", "\\", "\\\"", "a\nb\tc", "}", ",", "ü€😀", "\\d+\\"]) {
    const matchers = [{ name: "a", operator: "=", value }];
    assert.deepEqual(parse(print(matchers)), matchers, JSON.stringify(value));
  }
});

test("a picker shows what is asked for, and changes only that", () => {
  const matchers = parse(WHOLE);
  assert.equal(valueOf(matchers, "service"), "nginx");
  assert.equal(valueOf(matchers, "host"), "", "a regular expression is no value");
  assert.equal(print(withValue(parse("{a=\"1\", b=\"2\"}"), "a", "3")), "{a=\"3\", b=\"2\"}");
  assert.equal(print(withValue(parse("{a=\"1\", a!=\"2\"}"), "a", "")), "");
  assert.equal(print(withValue([], "a", "x")), "{a=\"x\"}");
  assert.equal(print(without(parse("{a=\"1\", b=\"2\"}"), 0)), "{b=\"2\"}");
});

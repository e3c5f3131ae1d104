"""A reader of the page, in Chromium: `page.py URL DIR` does what people do, and prints what was to be seen as JSON.

What is asserted stands beside the data, in page.rs. Files that were downloaded, and pictures, go to DIR.
"""

import json
import random
import sys
from pathlib import Path

from reader import Reader, chromium

N_NODES = 100_000
FRAMES = 240
# Drawing with 100,000 nodes: sideways and back, in and out, as events of a mouse, one for each frame.
MOVE = """async ([n]) => {
  const canvas = [...document.querySelectorAll("#graphs canvas")].find((it) => it.clientWidth > 0);
  const box = canvas.getBoundingClientRect();
  const wheel = (it) => canvas.dispatchEvent(new WheelEvent("wheel", { bubbles: true, cancelable: true,
    clientX: box.left + box.width * 0.4, clientY: box.top + 60, ...it }));
  const frame = () => new Promise(requestAnimationFrame);
  const gaps = [];
  let before = await frame();
  for (let i = 0; i < n; i += 1) {
    const part = i % 120;
    if (part < 40) wheel({ ctrlKey: true, deltaY: -20 });
    else if (part < 80) wheel({ deltaX: part < 60 ? 12 : -12 });
    else wheel({ ctrlKey: true, deltaY: 20 });
    const now = await frame();
    gaps.push(now - before);
    before = now;
  }
  gaps.sort((a, b) => a - b);
  const at = (share) => gaps[Math.min(gaps.length - 1, Math.floor(gaps.length * share))];
  return { n_frames: n, frames_per_second: Math.round(1000 * n / gaps.reduce((a, b) => a + b, 0)),
    median_ms: at(0.5), p95_ms: at(0.95), most_ms: gaps.at(-1) };
}"""


def large(n):
    """An answer with n nodes, 60 deep, the same each time."""
    chance = random.Random(1)
    names = [f"function_{i}<Handler<{i % 97}>>::call" for i in range(5_000)]
    packages = [f"/usr/lib/lib{i}.so" for i in range(12)]
    columns = {key: [0] for key in ("name", "package", "kind", "self", "total")}
    columns["parent"] = [-1]
    depths = [0]
    while len(depths) < n:
        up = chance.randrange(max(0, len(depths) - 80), len(depths))
        for _ in range(chance.randrange(60) if depths[up] >= 60 else 0):
            up = max(0, columns["parent"][up])
        if depths[up] >= 60:
            continue
        depths.append(depths[up] + 1)
        columns["parent"].append(up)
        columns["name"].append(chance.randrange(len(names)))
        columns["package"].append(chance.randrange(len(packages)))
        columns["kind"].append(chance.choice([0, 0, 0, 1, 2]))
        columns["self"].append(chance.randrange(1, 1_000) * 10_000_000)
        columns["total"].append(0)
    for i in range(n - 1, -1, -1):
        columns["total"][i] += columns["self"][i]
        if i:
            columns["total"][columns["parent"][i]] += columns["total"][i]
    return {"unit": "nanoseconds", "total": columns["total"][0], "n_samples_rows": n, "names": names,
            "packages": packages, "nodes": columns, "truncated_nodes": 0}


def alerts(reader, seen):
    page = reader.page
    reader.open(seen["search"])
    page.wait_for_selector("#alerts:not([hidden])")
    seen["alerts"] = reader.text("#alerts")
    page.click("#alerts")
    seen["alert"] = reader.text("#alerts-popover p")
    reader.picture("alerts")
    page.click("#alerts-popover a")
    reader.settled()
    seen["alert_search"] = reader.search()
    seen["alert_leads_to"] = reader.rows("#memory-pane tbody tr")


def profile(reader, seen):
    page = reader.page
    reader.open(seen["search"])
    seen["whole"] = reader.text("#crumbs")
    seen["timeline"] = reader.text("#timeline-figures")
    seen["functions"] = reader.rows()
    page.wait_for_function("() => document.querySelectorAll('#service option').length > 1")
    seen["services"] = page.locator("#service option").all_inner_texts()
    reader.picture("profile")

    reader.drag(0.52, 0.98)
    seen["part"] = reader.text("#crumbs")
    seen["part_search"] = reader.search()
    page.go_back()
    reader.settled()
    seen["after_back"] = reader.text("#crumbs")

    # By keys: from the root along the largest children.
    graph = page.locator("#graphs canvas:visible").first
    graph.focus()
    for key in ["ArrowDown", "ArrowDown", "ArrowDown"]:
        page.keyboard.press(key)
    seen["announced"] = page.locator("#announce").text_content()
    page.keyboard.press("Enter")
    page.wait_for_timeout(400)
    seen["crumbs"] = reader.text("#crumbs")
    seen["zoomed_search"] = reader.search()
    reader.open(reader.search())
    seen["crumbs_of_link"] = reader.text("#crumbs")
    page.keyboard.press("Escape")
    page.wait_for_timeout(400)
    seen["after_escape"] = reader.text("#crumbs")

    # By mouse: the third row of the graph.
    box = graph.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 3, box["y"] + 2.5 * 19)
    page.wait_for_timeout(400)
    seen["clicked"] = reader.text("#crumbs")
    seen["tip"] = reader.text("#tip") if page.locator("#tip").is_visible() else ""
    page.mouse.move(5, 5)
    page.keyboard.press("Escape")

    page.keyboard.press("/")
    page.keyboard.type("^longest_")
    page.wait_for_timeout(400)
    seen["found"] = reader.text("#found")
    seen["found_functions"] = reader.rows()
    reader.picture("search")
    page.click("#table-pane tbody tr button")
    page.wait_for_timeout(400)
    seen["sandwich"] = reader.text("#crumbs")
    seen["sandwich_heads"] = [it for it in page.locator("#graphs h3:visible").all_inner_texts()]
    reader.picture("sandwich")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.wait_for_timeout(300)
    seen["end_search"] = reader.search()
    page.keyboard.press("?")
    seen["help"] = reader.text("#help-dialog h2")
    page.keyboard.press("Escape")
    seen["downloads"] = [reader.download(kind) for kind in ("pprof", "svg", "folded", "speedscope")]


def others(reader, seen):
    page = reader.page
    page.click('#tabs [data-tab="compare"]')
    reader.settled()
    seen["compared"] = reader.text("#crumbs")
    seen["changes"] = reader.rows()
    reader.picture("compare")
    page.click('#brushes [data-brush="base"]')
    reader.drag(0.03, 0.28)
    seen["base_search"] = reader.search()

    seen["compared_with_part"] = reader.text("#crumbs")
    page.click('#tabs [data-tab="memory"]')
    reader.settled()
    seen["memory"] = reader.rows("#memory-pane tbody tr")
    reader.picture("memory")

    reader.open("?match=" + "%7Bservice%3D%22nobody%22%7D" + "&" + seen["search"].lstrip("?"))
    seen["nobody"] = reader.text("#message")
    page.fill("#match", '{service="edge')
    page.keyboard.press("Enter")
    seen["wrong_selector"] = reader.text("#match-error")


def frames(browser, url, out):
    """How quickly 100,000 nodes move. The browser draws in software here, and shares its CPUs."""
    reader = Reader(browser, url, out)
    body = json.dumps(large(N_NODES))
    reader.page.route("**/api/v1/flamegraph*", lambda it: it.fulfill(content_type="application/json", body=body))
    reader.open("?show=graph")
    figures = reader.page.evaluate(MOVE, [FRAMES])
    reader.picture("large")
    reader.context.close()
    return {"n_nodes": N_NODES, **figures}


def main():
    url, out = sys.argv[1], Path(sys.argv[2])
    seen = {"search": sys.argv[3] if len(sys.argv) > 3 else ""}
    with chromium() as browser:
        reader = Reader(browser, url, out)
        alerts(reader, seen)
        profile(reader, seen)
        others(reader, seen)
        seen["errors"], seen["hosts"] = reader.errors, sorted(reader.hosts)
        dark = Reader(browser, url, out, color_scheme="dark")
        dark.open(seen["search"])
        seen["background"] = dark.page.evaluate("getComputedStyle(document.body).backgroundColor")
        dark.picture("dark")
        seen["frames"] = frames(browser, url, out)
    print(json.dumps(seen, indent=1))


main()

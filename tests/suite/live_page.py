"""A reader of the page while profiles come in. What it saw goes to standard output, pictures go to DIR.

`live_page.py watch URL DIR SEARCH` opens the page and leaves it alone: a line of JSON has what it shows at first, and another
what it shows once the share of libz has fallen by itself. `live_page.py read URL DIR SEARCH FIRST SECOND` does what people do; both are
parts of the timeline to drag over, as `0.1-0.4`. What is asserted stands in live_page.rs.
"""

import json
import sys
from pathlib import Path

from reader import Reader, chromium

LIBRARY = "libz"
# Points of a percent that the library's share falls by before the page counts as refreshed.
FALLS_BY = 10
# Several times what a page that is live waits between two questions.
PATIENCE_MS = 50_000
HAS_FALLEN = """(least) => parseFloat(document.querySelector("#found").textContent) < least"""


def look_for(reader, text):
    """Searches, and waits until the table has followed."""
    reader.page.fill("#search", text)
    reader.page.wait_for_function("text => new URLSearchParams(location.search).get('q') === text", arg=text)
    reader.page.wait_for_timeout(350)


def found(reader):
    return {"share": reader.text("#found"), "count": reader.text("#table-pane .table-foot span"), "functions": reader.rows(n=200)}


def shown(reader):
    return {"whole": reader.text("#crumbs"), "timeline": reader.text("#timeline-figures"), "found": reader.text("#found"),
            "functions": reader.rows()}


def watch(reader, search):
    page, loads = reader.page, []
    page.on("load", lambda: loads.append(page.url))
    reader.open(search)
    first = {"live": page.get_attribute("#live", "aria-pressed")}
    page.wait_for_function("() => document.querySelectorAll('#service option').length > 1")
    first["service"] = page.input_value("#service")
    first["services"] = page.locator("#service option").all_inner_texts()
    first["all_functions"] = reader.rows()
    look_for(reader, LIBRARY)
    first |= shown(reader)
    reader.picture("live-first")
    print(json.dumps(first), flush=True)

    page.wait_for_function(HAS_FALLEN, arg=float(first["found"].split()[0]) - FALLS_BY, timeout=PATIENCE_MS)
    reader.settled()
    later = shown(reader) | {"loads": loads, "search": reader.search()}
    reader.picture("live-later")
    return later


def read(reader, search, first, second):
    page, seen = reader.page, {}
    reader.open(search)
    seen["whole"] = reader.text("#crumbs")
    seen["functions"] = reader.rows()
    reader.drag(*first)
    seen["part"] = reader.text("#crumbs")
    seen["part_search"] = reader.search()
    reader.picture("part")

    look_for(reader, "^deflate$")
    seen["found"] = found(reader)
    # By keys: to the first that was found, and into it.
    page.locator("#graphs canvas:visible").first.focus()
    page.keyboard.press("n")
    seen["announced"] = page.locator("#announce").text_content()
    page.keyboard.press("Enter")
    page.wait_for_timeout(400)
    seen["crumbs"] = reader.text("#crumbs")
    seen["zoomed_search"] = reader.search()
    reader.picture("zoomed")
    # Back from the zoom, and once the frames stand still, from the search.
    for _ in range(2):
        page.keyboard.press("Escape")
        page.wait_for_timeout(400)
    seen["after_escape"] = reader.text("#crumbs")
    seen["search_after_escape"] = reader.search()

    page.click('#tabs [data-tab="compare"]')
    reader.settled()
    for brush, part in (("base", first), ("main", second)):
        page.click(f'#brushes [data-brush="{brush}"]')
        reader.drag(*part)
    seen["compared"] = reader.text("#crumbs")
    seen["compared_search"] = reader.search()
    seen["changes"] = reader.rows()
    reader.picture("compare")
    for name, text in (("library", LIBRARY), ("deflate", "^deflate$"), ("writev", "^do_writev$")):
        look_for(reader, text)
        seen[name] = reader.rows(n=200)
    return seen


def part(text):
    return [float(it) for it in text.split("-")]


def main():
    what, url, out, search, *parts = sys.argv[1:]
    with chromium() as browser:
        reader = Reader(browser, url, Path(out))
        seen = watch(reader, search) if what == "watch" else read(reader, search, *map(part, parts))
        print(json.dumps(seen | {"errors": reader.errors, "hosts": sorted(reader.hosts)}), flush=True)


main()

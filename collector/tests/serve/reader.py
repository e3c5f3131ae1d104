"""A page of the collector that is open in Debian's Chromium, and what people do to it."""

from contextlib import contextmanager

from playwright.sync_api import sync_playwright

CHROMIUM = "/usr/bin/chromium"


@contextmanager
def chromium():
    """A browser, closed at the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Reader:
    def __init__(self, browser, url, out, **context):
        self.context = browser.new_context(viewport={"width": 1400, "height": 900}, accept_downloads=True, **context)
        self.context.set_default_timeout(20_000)
        self.page = self.context.new_page()
        self.url, self.out = url, out
        self.errors, self.hosts = [], set()
        self.page.on("console", self.told)
        self.page.on("pageerror", lambda it: self.errors.append(str(it)))
        self.page.on("request", lambda it: self.hosts.add(it.url.split("/")[2]) if "://" in it.url else None)

    def told(self, message):
        if message.type == "error":
            self.errors.append(message.text)

    def open(self, search):
        self.page.goto(self.url + search)
        self.settled()

    def settled(self):
        """Nothing is under way, and something is shown."""
        self.page.wait_for_function("""() => document.querySelector("#content").getAttribute("aria-busy") === "false"
            && ["panes", "message", "memory-pane"].some((id) => !document.getElementById(id).hidden)""")
        self.page.wait_for_timeout(350)

    def text(self, selector):
        return " ".join(self.page.locator(selector).first.inner_text().split())

    def rows(self, selector="#table-pane tbody tr", n=20):
        return [" ".join(it.split()) for it in self.page.locator(selector).all_inner_texts()[:n]]

    def search(self):
        return self.page.evaluate("location.search")

    def drag(self, start, end):
        box = self.page.locator("#timeline").bounding_box()
        y = box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] + box["width"] * start, y)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + box["width"] * (start + end) / 2, y, steps=4)
        self.page.mouse.move(box["x"] + box["width"] * end, y, steps=4)
        self.page.mouse.up()
        self.settled()

    def picture(self, name):
        self.page.screenshot(path=self.out / f"{name}.png")

    def download(self, kind):
        self.page.click("#download-button")
        with self.page.expect_download() as started:
            self.page.click(f'#download-popover [data-format="{kind}"]')
        path = self.out / started.value.suggested_filename
        started.value.save_as(path)
        self.page.wait_for_timeout(100)
        return path.name

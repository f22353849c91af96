"""ComfyUI's own page in the system's Chromium."""

import shutil
from contextlib import contextmanager

from playwright.sync_api import sync_playwright

from devtools.paths import checkout_cache

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
SIZE = {"width": 1500, "height": 1000}
PACK = "wan-step-cache"
TIMELINE = '[aria-label^="Step cache timeline"]'
NODE = '[data-node-id="cache"]'
WAIT = 60_000
"""Milliseconds that a render of the tiny Wan may take."""


def chromium():
    """Where the system's Chromium is, None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browser():
    """A Chromium without a window."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        try:
            yield running
        finally:
            running.close()


class Page:
    """One tab with ComfyUI in it, and the errors that the pack's scripts caused there."""

    def __init__(self, browser, url, nodes2=False, light=False, density=1):
        self.context = browser.new_context(viewport=SIZE, device_scale_factor=density)
        self.context.set_default_timeout(WAIT)
        self.page = self.context.new_page()
        self.errors = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.url, self.nodes2, self.light = url, nodes2, light
        self.open()

    def _heard(self, message):
        where = message.location.get("url", "")
        looked_for = where.endswith("/en.md")  # a help page of its own language, before the other
        if message.type == "error" and PACK in where and not looked_for:
            self.errors.append(message.text)

    def open(self):
        """Load the page, and wait until the pack is there, and the workflow that it opens with."""
        settings = {
            "Comfy.TutorialCompleted": True,
            "Comfy.VueNodes.Enabled": self.nodes2,
            "Comfy.ColorPalette": "light" if self.light else "dark",
        }
        self.page.request.post(f"{self.url}/api/settings", data=settings)
        self.page.goto(self.url)
        self.wait(
            "() => window.comfyAPI?.api?.api?.clientId && window.app?.graph?.nodes.length"
            " && app.extensions.some((e) => e.name === 'WanStepCache.Timeline')"
        )

    def wait(self, script, argument=None):
        """Until a function's result is true, whether or not the page is being painted."""
        self.page.wait_for_function(script, arg=argument, polling=100)

    def evaluate(self, script, argument=None):
        """A script's result."""
        return self.page.evaluate(script, argument)

    def close(self):
        """Close the tab."""
        self.context.close()

    def set(self, name, value):
        """Change a setting as the settings dialog does."""
        self.evaluate("([k, v]) => app.extensionManager.setting.set(k, v)", [name, value])

    def load(self, prompt):
        """A workflow in API format, as when its file is dropped on the page."""
        self.evaluate("async (prompt) => { await app.loadApiJson(prompt, 'test') }", prompt)
        self.show_node()

    def saved(self):
        """The workflow as it would be saved."""
        return self.evaluate("() => app.graph.serialize()")

    def load_saved(self, workflow):
        """A saved workflow."""
        self.evaluate("async (workflow) => { await app.loadGraphData(workflow) }", workflow)
        self.show_node()

    def show_node(self):
        """Bring the Apply node to the middle, large enough to read."""
        self.evaluate(
            "() => { const node = app.graph.nodes.find((n) => n.comfyClass?.startsWith("
            "'WanStepCache')); if (!node) return; app.canvas.ds.scale = 1.5;"
            " app.canvas.centerOnNode(node); app.canvas.setDirty(true, true) }"
        )
        self.page.wait_for_timeout(300)

    def prompt(self):
        """The prompt that Run would queue."""
        return self.evaluate("async () => (await app.graphToPrompt()).output")

    def press_run(self):
        """Press the button."""
        self.page.get_by_role("button", name="Run", exact=True).first.click()

    def timeline(self):
        """What the timeline of the only Apply node says."""
        return self.page.locator(TIMELINE).first.get_attribute("aria-label")

    def wait_for_timeline(self, text):
        """Until the timeline says so of a run that is over."""
        self.wait(
            "(text) => { const said = document.querySelector("
            "'[aria-label^=\"Step cache timeline\"]')?.getAttribute('aria-label') ?? '';"
            " return said.includes(text) && !said.includes('timeline: step') }",
            text,
        )

    def add(self, kind):
        """A new node of the pack, in the middle; its id."""
        return self.evaluate(
            "(kind) => { const node = LiteGraph.createNode(kind); app.graph.add(node);"
            " app.canvas.centerOnNode(node); return String(node.id) }",
            f"WanStepCache_{kind}",
        )

    def widgets(self, node="cache"):
        """The values on an Apply node, by name."""
        return self.evaluate(
            "(id) => Object.fromEntries(app.graph.getNodeById(id).widgets"
            ".map((w) => [w.name, w.value]))",
            node,
        )

    def increase(self, name):
        """Press the button that makes a number of the Apply node larger."""
        if self.nodes2:
            button = f"[aria-label={name}] [data-testid=increment]"
            self.page.locator(f"{NODE} {button}").click()
            return
        place = self.evaluate(
            "(name) => { const node = app.graph.getNodeById('cache'); const { ds, canvas } ="
            " app.canvas; const widget = node.widgets.find((w) => w.name === name);"
            " const at = canvas.getBoundingClientRect(); return ["
            " at.x + (node.pos[0] + node.size[0] - 25 + ds.offset[0]) * ds.scale,"
            " at.y + (node.pos[1] + widget.last_y + 10 + ds.offset[1]) * ds.scale] }",
            name,
        )
        self.page.mouse.click(*place)

    def looks_unused(self, name, node="cache"):
        """Whether a number of an Apply node is grey."""
        if self.nodes2:
            row = self.page.locator(f'[data-node-id="{node}"] [aria-label={name}]')
            return row.count() == 1 and row.evaluate("(e) => getComputedStyle(e).opacity") == "0.45"
        return self.evaluate(
            "([id, name]) => app.graph.getNodeById(id).widgets.find((w) => w.name === name)"
            ".text_color === LiteGraph.WIDGET_DISABLED_TEXT_COLOR",
            [node, name],
        )

    def property(self, node="cache"):
        """What the node keeps of the run for the saved workflow."""
        return self.evaluate(
            "(id) => app.graph.getNodeById(id).properties.wan_step_cache_timeline", node
        )

    def hover(self, x, y):
        """The words for a place of the timeline, given as shares of its width and height."""
        box = self.page.locator(f"{TIMELINE} canvas").first.bounding_box()
        self.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        return self.page.locator(f"{TIMELINE} div").first.inner_text()

    def drawn_pixels(self):
        """How many pixels of the timeline are not empty."""
        return self.evaluate(
            "(where) => { const c = document.querySelector(where); const d = c.getContext('2d')"
            ".getImageData(0, 0, c.width, c.height).data; let n = 0;"
            " for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n }",
            f"{TIMELINE} canvas",
        )

    def screenshot(self, name):
        """A picture for people to look at."""
        folder = checkout_cache() / "screenshots"
        kind = "nodes2" if self.nodes2 else "classic"
        self.page.screenshot(path=folder / f"{name} {kind}.png")

    def picture_of_node(self, name):
        """A picture of the Apply node alone, in the new renderer."""
        self.page.locator(NODE).screenshot(path=checkout_cache() / "screenshots" / f"{name}.png")

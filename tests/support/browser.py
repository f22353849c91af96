"""ComfyUI's own page in the system's Chromium."""

import shutil
from contextlib import contextmanager

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
SIZE = {"width": 1500, "height": 1000}
PACK = "wan-step-cache"


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

    def __init__(self, browser, url, nodes2=False, light=False):
        self.context = browser.new_context(viewport=SIZE, device_scale_factor=1)
        self.page = self.context.new_page()
        self.errors = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.url, self.nodes2, self.light = url, nodes2, light
        self.open()

    def _heard(self, message):
        if message.type == "error" and PACK in str(message.location):
            self.errors.append(message.text)

    def open(self):
        """Load the page, and wait until the pack is there."""
        settings = {
            "Comfy.TutorialCompleted": True,
            "Comfy.VueNodes.Enabled": self.nodes2,
            "Comfy.ColorPalette": "light" if self.light else "dark",
        }
        self.page.request.post(f"{self.url}/api/settings", data=settings)
        self.page.goto(self.url)
        self.page.wait_for_function(
            "window.app?.graph && app.extensions.some((e) => e.name === 'WanStepCache.Timeline')"
        )

    def evaluate(self, script, argument=None):
        """A script's result."""
        return self.page.evaluate(script, argument)

    def close(self):
        """Close the tab."""
        self.context.close()

"""Web pages as a person sees them, in Debian's Chromium; and pictures of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROGRAM = "chromium"
SIZE = {"width": 1200, "height": 800}
_PATIENCE_MS = 60_000


@dataclass(frozen=True)
class Page:
    """An open page; what it should show is waited for."""

    page: Any
    pictures: Path

    def sees(self, *texts: str) -> None:
        """Nothing; each text is to be seen."""
        from playwright.sync_api import expect

        for text in texts:
            shown = self.page.get_by_text(text).locator("visible=true")
            expect(shown.first).to_be_visible(timeout=_PATIENCE_MS)

    def click(self, text: str) -> None:
        """Nothing; the first thing with this very text was clicked."""
        self.page.get_by_text(text, exact=True).locator("visible=true").first.click(timeout=_PATIENCE_MS)

    def press(self, name: str) -> None:
        """Nothing; the first button of this name was pressed."""
        self.page.get_by_role("button", name=name, exact=True).first.click(timeout=_PATIENCE_MS)

    def fill_in(self, text: str) -> None:
        """Nothing; the first field of the form that is open says so."""
        self.page.get_by_role("dialog").get_by_role("textbox").first.fill(text, timeout=_PATIENCE_MS)

    def keep(self, name: str) -> None:
        """Nothing; `NAME.png` is what the window shows."""
        self.page.wait_for_load_state("networkidle")
        self.page.screenshot(path=self.pictures / f"{name}.png", animations="disabled")


@dataclass(frozen=True)
class Browser:
    """A browser without a window."""

    context: Any
    pictures: Path

    def open(self, address: str) -> Page:
        """The page there; the one before is closed."""
        for old in self.context.pages:
            old.close()
        page = self.context.new_page()
        page.goto(address, timeout=_PATIENCE_MS)
        return Page(page, self.pictures)


@contextmanager
def browser_at(pictures: Path) -> Iterator[Browser]:
    """A browser inside the block, whose pictures go to this folder; without Chromium the test fails."""
    program = shutil.which(PROGRAM)
    if program is None:
        pytest.fail(
            f"these tests drive {PROGRAM}, which is missing; as root: apt-get install -y {PROGRAM}, or run "
            "pytest -m 'not browser'."
        )
    from playwright.sync_api import sync_playwright

    pictures.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        # Root, as in a container, may have no sandbox; the pages are our own.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield Browser(browser.new_context(viewport=SIZE), pictures)
        finally:
            browser.close()

"""A visitor of the dashboard: Debian's Chromium in one language, one theme and one width, watched while it looks.

Words come from the dashboard's own files, so that one journey is told in every language.
"""

from __future__ import annotations

import contextlib
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Error, expect, sync_playwright

from tests.live import ROOT, wait_until
from tests.rig.process import program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, Response

ARGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
BUILT: Final = ROOT / "src" / "llm_scheduler" / "_web" / "index.html"
AXE: Final = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
LOCALES: Final = ROOT / "web" / "src" / "locales"
PATIENCE_MS: Final = 20_000
_BAD: Final = 400
_FIRST_CJK: Final = 0x2E80
_RAW_KEY: Final = r"^[a-z][A-Za-z]*(\.[a-z][A-Za-z0-9_]*)+$"
_TEXTS: Final = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (parent && !parent.closest('script,style,pre,code,textarea')) found.push(walker.currentNode.data.trim());
  }
  return found;
}"""
_TOO_WIDE: Final = """() => {
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= wide) return [];
  const inside = (one) => { for (let up = one.parentElement; up && up !== document.body; up = up.parentElement)
    if (getComputedStyle(up).overflowX !== 'visible') return true; return false; };
  return [...document.querySelectorAll('body *')]
    .filter((one) => one.getBoundingClientRect().right > wide + 1 && !inside(one))
    .map((one) => `${one.tagName} ${one.className} ${Math.round(one.getBoundingClientRect().right)} > ${wide}`);
}"""
_AXE_RUN: Final = """async () => {
  const told = await axe.run(document, { resultTypes: ['violations'] });
  return told.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ target, html, failureSummary }) =>
      `${id}: ${target.join(' ')} ${html.slice(0, 160)} ${failureSummary.split('\\n').slice(1).join(';')}`));
}"""


@dataclass(frozen=True, slots=True)
class Look:
    """How the dashboard is looked at."""

    language: Literal["en", "zh"] = "en"
    theme: Literal["light", "dark"] = "light"
    width: int = 1280

    @property
    def is_phone(self) -> bool:
        """Whether tables give way to what fits a hand."""
        return self.width < 768

    def __str__(self) -> str:
        return f"{self.language}-{self.theme}-{self.width}"


EVERY_LOOK: Final = tuple(
    Look(language, theme, width) for language in ("en", "zh") for theme in ("light", "dark") for width in (1280, 390)
)


@cache
def _room(language: str, name: str) -> dict[str, Any]:
    return json.loads((LOCALES / language / f"{name}.json").read_text())


def words(language: str, key: str, **values: object) -> str:
    """What the dashboard says: `room:path.to.words`, its fields filled in; `count` chooses the form of a plural."""
    room, _, path = key.rpartition(":")
    found: Any = _room(language, room or "common")
    *way, last = path.split(".")
    for part in way:
        found = found[part]
    plural = f"{last}_one" if language == "en" and values.get("count") == 1 else f"{last}_other"
    found = found[last if last in found else plural]
    assert isinstance(found, str), key
    return re.sub(r"\{\{(\w+)\}\}", lambda match: str(values[match[1]]), found)


@dataclass
class Watch:
    """What went wrong while somebody looked."""

    faults: list[str] = field(default_factory=list)
    awaited: set[int] = field(default_factory=set)
    """Statuses that a test provokes, and that the page then shows."""

    def over(self, page: Page) -> None:
        """Listen to the page."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"error of the page: {error}"))
        page.on("response", self._response)
        page.on("requestfailed", self._failed)

    def _console(self, message: ConsoleMessage) -> None:
        # Chromium notes each bad status there as well; `_response` knows which ones are awaited.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.faults.append(f"console: {message.text}")

    def _response(self, response: Response) -> None:
        if response.status >= _BAD and response.status not in self.awaited:
            self.faults.append(f"{response.status} {response.request.method} {response.url}")

    def _failed(self, request: Request) -> None:
        # A view that is left gives up what it asked for.
        if request.failure != "net::ERR_ABORTED":
            self.faults.append(f"{request.failure} {request.method} {request.url}")


@dataclass(slots=True)
class Visitor:
    """Somebody before the dashboard at `url`."""

    page: Page
    look: Look
    url: str
    watch: Watch

    def words(self, key: str, **values: object) -> str:
        """What the dashboard says, in the visitor's language."""
        return words(self.look.language, key, **values)

    def open(self, path: str) -> None:
        """Load a page anew."""
        self.page.goto(self.url + path)

    def button(self, key: str, within: Locator | None = None, **values: object) -> Locator:
        """A button by its words."""
        return (within or self.page).get_by_role("button", name=self._spoken(key, **values))

    def _spoken(self, key: str, **values: object) -> re.Pattern[str]:
        said = self.words(key, **values)
        # antd sets a space between two Chinese characters of a button, and an icon says its own name first.
        is_pair = len(said) == 2 and all(ord(char) > _FIRST_CJK for char in said)
        text = rf"{said[0]}\s?{said[1]}" if is_pair else re.escape(said)
        return re.compile(rf"^([a-z-]+ )?{text}$")

    def field(self, key: str, within: Locator | None = None) -> Locator:
        """A field by its label."""
        return (within or self.page).get_by_label(self.words(key), exact=True)

    def choose(self, key: str, option: str, within: Locator | None = None) -> None:
        """An option of a select box, by the box's label."""
        (within or self.page).get_by_role("combobox", name=self.words(key), exact=True).click()
        # A list that was closed stays in the document.
        lists = self.page.locator(".ant-select-dropdown:not(.ant-select-dropdown-hidden)")
        lists.locator(".ant-select-item-option").get_by_text(option, exact=True).click()

    def dialog(self) -> Locator:
        """The dialog that is open."""
        return self.page.get_by_role("dialog").last

    def confirm(self, key: str, **values: object) -> None:
        """Say yes to what is asked."""
        dialog = self.dialog()
        self.button(key, dialog, **values).click()
        expect(dialog).to_be_hidden()

    def go(self, view: str) -> None:
        """To a view, by the menu."""
        if self.look.is_phone:
            self.page.get_by_role("button", name=self.words("nav.menu"), exact=True).click()
        menu = self.page.get_by_role("navigation", name=self.words("nav.menu"), exact=True).last
        link = menu.get_by_role("link", name=self.words(f"nav.{view}"), exact=True)
        path = link.get_attribute("href")
        link.click()
        self.page.wait_for_url(lambda url: urlsplit(url).path == path, wait_until="commit")
        # The view before stays until this one has its code: some heading is there all the time.
        expect(self.heading(self.words(f"{view}:title"))).to_be_visible()

    def heading(self, text: str | None = None) -> Locator:
        """The page's own name."""
        return self.page.get_by_role("heading", level=1, name=text)

    def sees(self, key: str, **values: object) -> Locator:
        """Wait until these words are there, and give the first place where they are."""
        found = self.page.get_by_text(self.words(key, **values), exact=True).filter(visible=True).first
        expect(found).to_be_visible()
        return found

    def sign_in(self, username: str, password: str) -> None:
        """Through the door, by password."""
        self.open("/sign-in")
        self.field("access:username").fill(username)
        self.field("access:password").last.fill(password)
        self.button("access:signIn").click()
        expect(self.page.get_by_role("navigation").or_(self.page.locator("#content")).first).to_be_visible()

    def sign_in_by_key(self, key: str) -> None:
        """Through the door, by API key: kept for this tab."""
        self.page.add_init_script(f"sessionStorage.setItem('llms.key', {json.dumps(key)})")

    def watch_growing(self, answer: Locator, beginnings: int, within_s: float = 30) -> list[str]:
        """Wait until that many beginnings of a text that streams were seen, and give them."""
        seen: list[str] = []

        def look() -> bool:
            # Before its first word the bubble tells what it waits for, beside a wheel that turns.
            text = answer.locator("> div:not(:has(.ant-spin))").first
            now = text.inner_text().strip() if text.count() else ""
            if now and (not seen or now != seen[-1]):
                seen.append(now)
            return len(seen) >= beginnings

        wait_until("the answer grows before the reader's eyes", look, within_s, 0.05)
        return seen

    def axe(self) -> list[str]:
        """Serious and critical faults of accessibility."""
        self.page.evaluate(_axe_source())
        return self.page.evaluate(_AXE_RUN)

    def too_wide(self) -> list[str]:
        """What makes the page scroll sideways."""
        return self.page.evaluate(_TOO_WIDE)

    def raw_keys(self) -> list[str]:
        """Words that nobody wrote: keys shown as they are."""
        return [text for text in self.page.evaluate(_TEXTS) if re.match(_RAW_KEY, text)]

    def looked_over(self) -> list[str]:
        """What is wrong with what is seen now."""
        return [*self.axe(), *self.too_wide(), *self.raw_keys()]

    def settle(self) -> None:
        """Nothing loads any more; a view that never rests is taken as it is."""
        with contextlib.suppress(Error):
            self.page.wait_for_load_state("networkidle", timeout=3_000)
        expect(self.page.locator(".ant-skeleton")).to_have_count(0)

    def check(self) -> None:
        """Nothing went wrong so far, nothing sticks out, nothing is unsaid."""
        assert self.too_wide() == []
        assert self.raw_keys() == []
        assert self.watch.faults == []


@cache
def _axe_source() -> str:
    return AXE.read_text()


@contextmanager
def chromium(*switches: str) -> Iterator[Browser]:
    """The browser. Tests hold it for a module at most: while it runs, its event loop is the thread's."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=[*ARGS, *switches])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visitor(browser: Browser, url: str, look: Look, *, is_still: bool = True) -> Iterator[Visitor]:
    """Somebody who looks at the dashboard. `is_still` asks for no animations."""
    context = browser.new_context(
        locale="zh-CN" if look.language == "zh" else "en-US",
        color_scheme=look.theme,
        viewport={"width": look.width, "height": 844 if look.is_phone else 860},
        has_touch=look.is_phone,
        reduced_motion="reduce" if is_still else "no-preference",
        accept_downloads=True,
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    watch = Watch()
    watch.over(page)
    expect.set_options(timeout=PATIENCE_MS)
    try:
        yield Visitor(page, look, url, watch)
    finally:
        context.close()

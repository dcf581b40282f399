"""Pictures of every view, in both languages and themes, on a desk and on a phone; `--docs` writes the README's few.

    python -m tools.screenshots FOLDER [--only en-light-1280] [--opened] [--docs]

Starts a server of its own with the traffic of `llms demo`, and needs Debian's Chromium and a built dashboard
(`make web`).
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import threading
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from playwright.sync_api import Error, expect
from tests.e2e.conftest import PASSWORD
from tests.e2e.opened import OPENERS, add_root, fill
from tests.live import Server, server, wait_until
from tests.rig.browser import BUILT, EVERY_LOOK, Look, Visitor, chromium, visitor

from llm_scheduler.cli.traffic import MODELS, tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser

RATE: Final = 12
WARM_S: Final = 20
SETTLE_MS: Final = 600
PRICES: Final = {"swift": 400, "thoughtful": 15_000, "moody": 2_500}
MOST_KB: Final = 150
DOCS: Final = Path("docs/images")
"""The README's pictures: view and look."""
CHOSEN: Final = {
    "overview-light": ("overview", Look("en", "light", 1280)),
    "overview-dark": ("overview", Look("en", "dark", 1280)),
    "tasks": ("tasks", Look("en", "light", 1280)),
    "task": ("task-failed", Look("en", "light", 1280)),
    "models": ("models", Look("en", "dark", 1280)),
    "playground": ("playground-answer", Look("en", "light", 1280)),
    "overview-zh": ("overview", Look("zh", "light", 1280)),
    "dead-letters-zh": ("dead-letters", Look("zh", "dark", 1280)),
    "tasks-phone": ("tasks", Look("en", "dark", 390)),
}


OUTSIDE: Final = {"sign-in": "/sign-in", "setup": "/setup#token=something"}
SECTIONS: Final = (
    "profile",
    "keys",
    "tenant",
    "members",
    "users",
    "tenants",
    "audit",
    "network",
    "secrets",
    "plugins",
    "system",
)


class Traffic:
    """Mixed tasks every second, as `llms demo` sends them."""

    def __init__(self, running: Server) -> None:
        self._running, self._random, self._ends = running, Random(42), threading.Event()
        self._thread = threading.Thread(target=self._drive, daemon=True)

    def start(self) -> None:
        """Add the models, their prices and a budget, and begin."""
        for model in MODELS:
            self._running.call("POST", "/api/v1/models", model)
        for model, price in PRICES.items():
            order = {"model": model, "input_nanousd": price, "output_nanousd": 4 * price}
            self._running.call("PUT", "/api/v1/prices", order)
        self._running.call("POST", "/api/v1/budgets", {"name": "team", "limit_microusd": 1_500_000, "period": "month"})
        people(self._running)
        self._running.bulk(tasks(self._random, 150))
        self._thread.start()

    def _drive(self) -> None:
        while not self._ends.wait(1):
            self._running.bulk(tasks(self._random, RATE))

    def stop(self) -> None:
        """Send no more."""
        self._ends.set()
        self._thread.join()


def people(running: Server) -> None:
    """A team with a key each, so that the settings have something to show."""
    for username, name, role in (
        ("operations", "Operations", "owner"),
        ("evaluation", "Evaluation team", "developer"),
        ("support", None, "viewer"),
    ):
        running.call("POST", "/api/v1/users", {"username": username, "display_name": name, "password": PASSWORD})
        running.call("PUT", f"/api/v1/members/{username}", {"role": role})
    for name, bundle in (("nightly evaluation", "submit"), ("ci", "all")):
        account = running.call("POST", "/api/v1/service-accounts", {"name": name.split()[0], "role": "developer"})
        running.call("POST", "/api/v1/api-keys", {"name": name, "user": account["username"], "scopes": [bundle]})
    running.call("POST", "/api/v1/tenants", {"name": "research", "weight": 2})


def views(running: Server) -> dict[str, str]:
    """Every view's path by name."""
    done = running.tasks("&status=completed&model=thoughtful")[-1]["id"]
    failed = running.tasks("&status=failed")[-1]["id"]
    queued = running.tasks("&status=queued")[-1]["id"]
    return {
        "overview": "/",
        "tasks": "/tasks",
        "tasks-filtered": "/tasks?status=failed&model=moody",
        "tasks-none": "/tasks?q=nothing-like-it",
        "tasks-peek": f"/tasks?peek={done}",
        "task": f"/tasks/{done}",
        "task-failed": f"/tasks/{failed}",
        "task-request": f"/tasks/{done}?tab=request",
        "task-response": f"/tasks/{done}?tab=response",
        "task-logs": f"/tasks/{failed}?tab=logs",
        "task-waiting": f"/tasks/{queued}",
        "dead-letters": "/dead-letters",
        "models": "/models",
        "models-add": "/models?add=1",
        "model": "/models/moody",
        "workers": "/workers",
        "playground": "/playground",
        "usage": "/usage",
        **{f"settings-{section}": f"/settings/{section}" for section in SECTIONS},
        "settings-keys": "/settings/keys?whose=all",
        "not-found": "/nowhere",
    }


def answered(who: Visitor) -> None:
    """The playground with an answer in it."""
    who.open("/playground")
    who.button("playground:sample").first.click()
    expect(who.page.get_by_role("log").get_by_role("link").last).to_be_visible()


EXTRAS: Final[dict[str, Callable[[Visitor], None]]] = {"playground-answer": answered}


def shoot(browser: Browser, running: Server, look: Look, folder: Path, chosen: set[str] | None = None) -> None:
    """Take the views of one look, or the chosen ones, and print what is wrong with them."""
    url = str(running.http.base_url).rstrip("/")

    def wanted(paths: dict[str, str]) -> dict[str, str]:
        return {name: path for name, path in paths.items() if chosen is None or name in chosen}

    with visitor(browser, url, look) as who:
        for name, path in wanted(OUTSIDE).items():
            who.open(path)
            take(who, folder / f"{name}-{look}.png")
    with visitor(browser, url, look) as who:
        who.sign_in("admin", PASSWORD)
        for name, path in wanted(views(running)).items():
            who.open(path)
            take(who, folder / f"{name}-{look}.png")
        for name, act in EXTRAS.items():
            if chosen is None or name in chosen:
                act(who)
                take(who, folder / f"{name}-{look}.png")


def shoot_opened(browser: Browser, running: Server, look: Look, folder: Path) -> None:
    """Take what opens over the pages: menus, dialogs, questions."""
    with visitor(browser, str(running.http.base_url).rstrip("/"), look) as who:
        who.sign_in(add_root(running, look), PASSWORD)
        for opened in OPENERS:
            opened(who, lambda name: take(who, folder / f"over-{name.replace(' ', '-').replace(':', '')}-{look}.png"))


def take(who: Visitor, path: Path) -> None:
    """One picture, once nothing loads any more; prints what is wrong."""
    settle(who)
    who.page.screenshot(path=path, animations="disabled")
    for fault in (*who.watch.faults, *who.raw_keys(), *who.too_wide()):
        print(f"{path.stem}: {fault}")
    who.watch.faults.clear()


def settle(who: Visitor) -> None:
    """Wait until everything is loaded and drawn; a view that never rests is taken as it is."""
    with contextlib.suppress(Error):
        who.page.wait_for_load_state("networkidle", timeout=5_000)
    with contextlib.suppress(AssertionError):
        expect(who.page.locator(".ant-skeleton")).to_have_count(0, timeout=5_000)
    who.page.wait_for_timeout(SETTLE_MS)


def keep_chosen(folder: Path) -> None:
    """Put the README's few where it looks for them.

    Raises:
        ValueError: one is too large.
    """
    DOCS.mkdir(parents=True, exist_ok=True)
    for name, (view, look) in CHOSEN.items():
        taken = (folder / f"{view}-{look}.png").read_bytes()
        if len(taken) > MOST_KB * 1024:
            raise ValueError(f"{name} is over {MOST_KB} KB")
        (DOCS / f"{name}.png").write_bytes(taken)


def main() -> None:
    """Read the command line and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", help="one look, such as zh-dark-390")
    parser.add_argument("--opened", action="store_true", help="take what opens over the pages: menus, dialogs")
    parser.add_argument("--docs", action="store_true", help="take the README's pictures, and only these")
    args = parser.parse_args()
    if not BUILT.exists():
        parser.error("the dashboard is not built: make web")
    args.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="llms-pictures-") as folder:
        if args.opened:
            take_opened(Path(folder), args)
        else:
            take_views(Path(folder), args)
    if args.docs:
        keep_chosen(args.folder)


def take_opened(data: Path, args: argparse.Namespace) -> None:
    """What opens over the pages, in each look."""
    with server(data) as running, chromium() as browser:
        fill(running)
        for look in EVERY_LOOK:
            if args.only in (None, str(look)):
                shoot_opened(browser, running, look, args.folder)


def take_views(data: Path, args: argparse.Namespace) -> None:
    """The pages themselves, while traffic comes and goes."""
    with server(data, admin_password=PASSWORD) as running:
        traffic = Traffic(running)
        traffic.start()
        try:
            wait_until("a task has failed", lambda: running.counts().get("failed", 0) > 3, 120, 0.5)
            threading.Event().wait(WARM_S)
            with chromium() as browser:
                for look in EVERY_LOOK:
                    chosen = {view for view, of in CHOSEN.values() if of == look} if args.docs else None
                    if args.only in (None, str(look)) and chosen != set():
                        shoot(browser, running, look, args.folder, chosen)
        finally:
            traffic.stop()


if __name__ == "__main__":
    main()

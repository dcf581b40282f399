"""A browser and a server for each module; tests that stop theirs, or want a fresh one, start their own.

Nothing is built here: the dashboard must stand in the package already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.live import Server, server
from tests.rig.browser import BUILT, EVERY_LOOK, Look, chromium

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

PASSWORD = "a long sentence for the tests"
EACH_TIME = (Look("en", "light", 1280), Look("zh", "dark", 390))
every_look = pytest.mark.parametrize(
    "look",
    [pytest.param(look, marks=[] if look in EACH_TIME else pytest.mark.nightly, id=str(look)) for look in EVERY_LOOK],
)
"""Two looks that differ in everything each time, all of them by `-m nightly`."""


@pytest.fixture(scope="session", autouse=True)
def built_dashboard() -> None:
    """Fail, rather than pass over: a dashboard that nobody looked at is not a tested one."""
    if not BUILT.exists():
        pytest.fail(f"{BUILT} is missing: build the dashboard first, `make web`", pytrace=False)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the user `admin`, for all tests of a module: each names its own models."""
    with server(tmp_path_factory.mktemp("running"), admin_password=PASSWORD) as made:
        yield made


def url_of(made: Server) -> str:
    """Where browsers find it."""
    return f"http://127.0.0.1:{made.port}"

"""One server for the attacks that leave it as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.live import Server, server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # Without limits on callers that have no key: what is refused for being the hundredth proves nothing.
    limits = {"rate_limit_open_rpm": "0", "rate_limit_failures_rpm": "0"}
    with server(tmp_path_factory.mktemp("security"), log_format="json", **limits) as running:
        running.add_model("m")
        yield running

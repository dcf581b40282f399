"""What holds for every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.live import Server

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

# Benchmarks and tools, which use the same rig, measure real starts.
Server.is_forked = True


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Pass over long tests whose collection alone takes half a minute, where nightly ones are left out."""
    is_left_out = collection_path.name == "test_openapi_long.py" and config.getoption("markexpr") == "not nightly"
    return True if is_left_out else None

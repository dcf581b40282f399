"""Plugins as the API lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.api.scene import scene

from llm_scheduler.plugins import Kind, Plugin
from llm_scheduler.services.extensions import PluginState

if TYPE_CHECKING:
    from pathlib import Path


async def test_plugins_are_listed_with_their_state_and_faults(tmp_path: Path) -> None:
    good = Plugin(Kind.STRATEGY, "mine", "pack:Mine", "pack", "1.0", object())
    bad = Plugin(Kind.PROVIDER, "other", "lone:Other", None, None, problem="ImportError: no")
    states = (PluginState(good, "off", {"slow": 3}), PluginState(bad, "broken"))
    async with scene(tmp_path, plugins=lambda: states) as api:
        items = (await api.http.get("/api/v1/plugins")).json()["items"]
        unknown = await api.http.get("/api/v1/plugins?live=1")

    assert items == [
        {
            "kind": "strategy",
            "name": "mine",
            "target": "pack:Mine",
            "package": "pack",
            "version": "1.0",
            "state": "off",
            "problem": None,
            "faults": {"slow": 3},
        },
        {
            "kind": "provider",
            "name": "other",
            "target": "lone:Other",
            "package": None,
            "version": None,
            "state": "broken",
            "problem": "ImportError: no",
            "faults": {},
        },
    ]
    assert unknown.status_code == 422


async def test_without_plugins_the_list_is_empty(tmp_path: Path) -> None:
    async with scene(tmp_path) as api:
        assert (await api.http.get("/api/v1/plugins")).json() == {"items": []}

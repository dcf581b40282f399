"""Plugins as answers show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from llm_scheduler.api.fields import Shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.services.extensions import PluginState


class PluginShown(Shown):
    """What an installed package adds."""

    kind: Literal["strategy", "task_type", "provider"]
    name: str
    target: str
    """Where it is, as `module:attribute`."""
    package: str | None
    version: str | None
    state: Literal["active", "off", "broken", "refused"]
    """`off`: too slow, not asked for a minute. `broken`: it cannot be used. `refused`: its name is not acceptable."""
    problem: str | None
    """Why it is broken or refused."""
    faults: dict[str, int]
    """How often it `raised`, gave `nonsense` or was `slow`, since this process started."""


class PluginList(Shown):
    """All."""

    items: list[PluginShown]


def plugin_json(state: PluginState, redact: Callable[[str], str]) -> dict[str, Any]:
    """For an answer; what was said when it failed is masked."""
    plugin = state.plugin
    return {
        "kind": plugin.kind,
        "name": plugin.name,
        "target": plugin.target,
        "package": plugin.package,
        "version": plugin.version,
        "state": state.state,
        "problem": None if plugin.problem is None else redact(plugin.problem),
        "faults": dict(state.faults),
    }

"""Health."""

from __future__ import annotations

from typing import Literal

from llm_scheduler.api.fields import Shown


class HealthShown(Shown):
    """The process answers."""

    status: Literal["ok"]
    version: str


class ReadyShown(Shown):
    """Every part works."""

    status: Literal["ok"]
    parts: dict[str, str]

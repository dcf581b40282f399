"""Health."""

from __future__ import annotations

from typing import Literal

from llm_scheduler.api.fields import Shown


class HealthShown(Shown):
    """The process answers."""

    status: Literal["ok"]
    version: str


class ReadyShown(Shown):
    """It may get traffic; `degraded` when a part that it can do without is away."""

    status: Literal["ok", "degraded"]
    parts: dict[str, str]

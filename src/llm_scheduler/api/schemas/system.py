"""Health."""

from __future__ import annotations

from typing import Literal

from llm_scheduler.api.fields import Shown


class HealthShown(Shown):
    """The process answers."""

    status: Literal["ok"]
    version: str


class OriginShown(Shown):
    """Where the request that asks comes from. `peer` is at the other end of the connection: perhaps a proxy."""

    address: str
    scheme: Literal["http", "https"]
    peer: str
    is_peer_trusted: bool


class NetworkShown(Shown):
    """What the installation is set to. `admin_networks` empty: administration from everywhere; limits 0: none."""

    admin_networks: list[str]
    trusted_proxies: list[str]
    cors_origins: list[str]
    is_https_required: bool
    hsts_seconds: int
    rate_limits_rpm: dict[Literal["address", "open", "failures", "key", "user"], int]
    caller: OriginShown


class ReadyShown(Shown):
    """It may get traffic; `degraded` when a part that it can do without is away."""

    status: Literal["ok", "degraded"]
    parts: dict[str, str]

"""Health."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from llm_scheduler.api.fields import Shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.api.parts import SettingState


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


class SettingShown(Shown):
    """A setting of the process that answers."""

    name: str
    variable: str
    """Sets it in the environment."""
    value: Any
    """A secret's is masked."""
    source: str
    """`default`, the name of the variable, the file, or `command line`."""
    meaning: str
    is_secret: bool


class SettingsShown(Shown):
    """All."""

    items: list[SettingShown]


def setting_json(state: SettingState, redact: Callable[[str], str]) -> dict[str, Any]:
    """For an answer."""
    value = redact(state.value) if isinstance(state.value, str) else state.value
    return state._asdict() | {"value": value, "source": redact(state.source)}

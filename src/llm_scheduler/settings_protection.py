"""The settings of what protects an installation: addresses, HTTPS, other sites, limits, outbound calls.

`settings.Settings` takes them over; lists are written with commas between.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator

from llm_scheduler.domain.addresses import network_of
from llm_scheduler.domain.outbound import check_entry

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

_ORIGIN: Final = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


class ProtectionSettings(BaseModel):
    """What an installation may choose of its protection (docs/protection.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trusted_proxies: tuple[str, ...] = Field(
        (), description="Networks (CIDRs) of proxies whose word about client addresses is taken. Default: none."
    )
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = Field(
        "x-forwarded-for", description="Which header those proxies write; the other one is never read."
    )
    admin_networks: tuple[str, ...] = Field(
        (), description="Networks (CIDRs) that administration is allowed from. Default: everywhere."
    )
    cors_origins: tuple[str, ...] = Field(
        (), description="Sites (https://app.example.com) whose pages may use the API. Default: none."
    )
    require_https: bool = Field(False, description="Refuse plain HTTP but for health checks and from this machine.")
    hsts_seconds: int = Field(
        0, ge=0, le=63_072_000, description="Seconds that browsers are told to use HTTPS only; 0 tells nothing."
    )
    rate_limit_key_rpm: int = Field(
        0, ge=0, description="Requests a minute of an API key that has no limit of its own; 0 = any number."
    )
    rate_limit_user_rpm: int = Field(0, ge=0, description="Requests a minute of a user, over all keys; 0 = any number.")
    rate_limit_address_rpm: int = Field(0, ge=0, description="Requests a minute from an address; 0 = any number.")
    rate_limit_open_rpm: int = Field(
        600, ge=0, description="Requests a minute from an address without a key or token; 0 = any number."
    )
    rate_limit_failures_rpm: int = Field(
        60, ge=0, description="Wrong keys and tokens a minute from an address, before it is refused; 0 = any number."
    )
    header_timeout_s: float = Field(10.0, gt=0, le=3600, description="Seconds for the head of a request to arrive.")
    body_timeout_s: float = Field(
        60.0,
        gt=0,
        le=3600,
        description="Seconds for a body to arrive (large ones have longer), or a piece of a stream.",
    )
    max_header_bytes: int = Field(32_768, ge=1024, description="Largest head of a request: all headers, bytes.")
    max_headers: int = Field(100, ge=10, description="Most headers of a request.")
    max_url_bytes: int = Field(16_384, ge=256, description="Longest path and query of a request, bytes.")
    _sources: dict[str, str] = PrivateAttr(default_factory=dict[str, str])

    @property
    def sources(self) -> Mapping[str, str]:
        """Where each value that is not a default comes from, as far as it was told."""
        return self._sources

    def told(self, sources: Mapping[str, str]) -> Self:
        """These, knowing where they come from."""
        self._sources = dict(sources)
        return self

    max_connections: int = Field(
        0, ge=0, description="Most open connections to this process. 0 = as many as open files allow, less a reserve."
    )
    max_connections_per_address: int = Field(
        1_000, ge=0, description="Of them from one address, trusted proxies apart; 0 = any number."
    )
    outbound: Literal["open", "public", "allowlist"] = Field(
        "open",
        description="Where models may call: open = anywhere (tenants' own models: public addresses), public = public "
        "addresses, allowlist = outbound_allow only.",
    )
    outbound_allow: tuple[str, ...] = Field(
        (), description="Networks, hosts and *.domains that models may call beside that."
    )

    @field_validator("trusted_proxies", "admin_networks", "cors_origins", "outbound_allow", mode="before")
    @classmethod
    def _lists_are_split(cls, value: object) -> object:
        return tuple(one.strip() for one in value.split(",") if one.strip()) if isinstance(value, str) else value

    @field_validator("trusted_proxies", "admin_networks")
    @classmethod
    def _networks_are_such(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            try:
                network_of(one)
            except ValueError as error:
                raise ValueError(f"'{one}' is no network such as 10.0.0.0/8: {error}") from error
        return value

    @field_validator("cors_origins")
    @classmethod
    def _sites_are_exact(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if not _ORIGIN.fullmatch(one):
                raise ValueError(f"'{one}' is no site such as https://app.example.com (exactly, without a path or *)")
        return tuple(one.lower() for one in value)

    @field_validator("outbound_allow")
    @classmethod
    def _entries_are_such(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            check_entry(one)
        return value

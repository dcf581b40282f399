"""What stands between the network and the routes, beside the key: addresses, HTTPS, other sites, limits, headers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from llm_scheduler.api.errors import Problem
from llm_scheduler.api.origin import Origins
from llm_scheduler.domain.access import Permission
from llm_scheduler.domain.access_errors import AddressNotAllowedError
from llm_scheduler.domain.networks import contains

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Scope

    from llm_scheduler.api.origin import Origin
    from llm_scheduler.domain.access import ApiKey
    from llm_scheduler.services.rate_limits import Passed, RateLimits

Header = tuple[bytes, bytes]

ADMINISTRATION: Final = frozenset(
    {Permission.SYSTEM_READ, Permission.SYSTEM_MANAGE, Permission.USERS_MANAGE, Permission.TENANTS_MANAGE}
)
"""What is allowed from the networks of administration only."""
HEALTH_PATHS: Final = frozenset({"/healthz", "/readyz"})
"""Probes come by plain HTTP, and often."""
FILES: Final = "/static/"
"""What pages are made of: many for each page, and cheap."""
_API: Final = ("/api/", "/v1/")
_METRICS: Final = "/metrics"
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_CORS_METHODS: Final = b"GET, POST, PUT, PATCH, DELETE"
_CORS_HEADERS: Final = (
    b"Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-API-Key, X-CSRF-Token, X-LLMS-Max-Wait, "
    b"X-LLMS-On-Disconnect, X-LLMS-Priority, X-Request-ID, X-Tenant"
)
_CORS_SHOWN: Final = (
    b"Location, Retry-After, X-LLMS-Task-Id, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-ID"
)
_CORS_KEPT_S: Final = b"600"
_BASE: Final[tuple[Header, ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_OF_THE_API: Final[tuple[Header, ...]] = (
    *_BASE,
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_OF_PAGES: Final[tuple[Header, ...]] = (
    *_BASE,
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        b"connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"permissions-policy",
        b"accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), payment=(), "
        b"usb=()",
    ),
)


@dataclass(frozen=True, slots=True)
class Protection:
    """The installation's choices. Without any: everything from everywhere, from no other site, without limits.

    `admin_networks` empty = administration from anywhere. `cors_origins` are exact (`https://app.example.com`).
    `hsts_s` 0 = browsers are told nothing.
    """

    origins: Origins = field(default_factory=Origins)
    admin_networks: tuple[str, ...] = ()
    cors_origins: frozenset[bytes] = frozenset()
    hsts_s: int = 0
    is_https_required: bool = False
    limits: RateLimits | None = None

    def check_administration(self, address: str) -> None:
        """Let pass who administrates from where that is allowed.

        Raises:
            AddressNotAllowedError: elsewhere.
        """
        if self.admin_networks and not contains(self.admin_networks, address):
            raise AddressNotAllowedError("Administration", address)

    def check_scheme(self, scope: Scope, fields: Mapping[bytes, bytes], origin: Origin) -> None:
        """Let pass what comes by HTTPS, from this machine, or is a probe; if HTTPS is required at all.

        Raises:
            Problem: 308 to the same page by HTTPS, or 403.
        """
        path = scope["path"]
        if not self.is_https_required or origin.scheme == "https" or origin.is_local or path in HEALTH_PATHS:
            return
        host = fields.get(b"host", b"")
        is_page = scope["method"] in ("GET", "HEAD") and not path.startswith(_API) and path != _METRICS
        if is_page and _HOST.fullmatch(host):
            raw_path = scope.get("raw_path") or path.encode("ascii", "replace")
            query = b"?" + scope["query_string"] if scope.get("query_string") else b""
            name = host if host.endswith(b"]") else host.rpartition(b":")[0] or host
            where = (b"https://" + name + raw_path + query).decode("latin-1")
            raise Problem(308, "https_required", f"Use {where[:200]}", headers={"Location": where})
        raise Problem(403, "https_required", "Send this by https; by http the key would be readable on the way.")

    def own_headers(self, path: str, origin: Origin) -> tuple[Header, ...]:
        """Headers of every answer on this path."""
        headers = _OF_THE_API if path.startswith(_API) else _OF_PAGES
        if self.hsts_s and origin.scheme == "https":
            headers = (*headers, (b"strict-transport-security", b"max-age=%d" % self.hsts_s))
        return headers

    def cors_headers(self, fields: Mapping[bytes, bytes]) -> tuple[Header, ...]:
        """What lets a page of another site read the answer: only if that site is listed."""
        site = fields.get(b"origin")
        if site is None or not self.cors_origins:
            return ()
        if site not in self.cors_origins:
            return ((b"vary", b"Origin"),)
        return (
            (b"vary", b"Origin"),
            (b"access-control-allow-origin", site),
            (b"access-control-allow-credentials", b"true"),
            (b"access-control-expose-headers", _CORS_SHOWN),
        )

    def preflight(self, scope: Scope, fields: Mapping[bytes, bytes]) -> tuple[Header, ...] | None:
        """Headers that answer a browser which asks whether a listed site may send a request; None: it is no such."""
        if scope["method"] != "OPTIONS" or fields.get(b"origin") not in self.cors_origins:
            return None
        if b"access-control-request-method" not in fields:
            return None
        return (
            (b"access-control-allow-methods", _CORS_METHODS),
            (b"access-control-allow-headers", _CORS_HEADERS),
            (b"access-control-max-age", _CORS_KEPT_S),
        )


def check_key_address(key: ApiKey | None, address: str) -> None:
    """Let pass a key that may be used from there.

    Raises:
        AddressNotAllowedError: it may not.
    """
    if key is not None and key.limits.networks and not contains(key.limits.networks, address):
        raise AddressNotAllowedError(f"The API key '{key.name}'", address)


def limit_headers(passed: Passed) -> tuple[Header, ...]:
    """What is left of the tightest limit; nothing where none applies."""
    if not passed.per_minute:
        return ()
    return (
        (b"x-ratelimit-limit", b"%d" % passed.per_minute),
        (b"x-ratelimit-remaining", b"%d" % passed.remaining),
        (b"x-ratelimit-reset", b"%d" % -(-passed.reset_s // 1)),
    )

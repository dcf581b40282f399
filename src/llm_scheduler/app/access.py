"""Puts together what lets callers in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.api.origin import Origins
from llm_scheduler.api.parts import AccessParts
from llm_scheduler.api.protection import Protection
from llm_scheduler.domain.outbound import Reach
from llm_scheduler.ports.tokens import NoTokens
from llm_scheduler.security.outbound import SystemResolver
from llm_scheduler.services.directory import Directory
from llm_scheduler.services.door import Door
from llm_scheduler.services.outbound import OutboundRules
from llm_scheduler.services.rate_limits import RateLimits, Rates

if TYPE_CHECKING:
    from llm_scheduler.app.keys import Keys
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.meter import Meter
    from llm_scheduler.ports.store import Store
    from llm_scheduler.services.catalogue import Catalogue
    from llm_scheduler.services.ledger import Ledger
    from llm_scheduler.settings import Settings


def make_access(  # noqa: PLR0913 - everything that it is made of
    store: Store, catalogue: Catalogue, clock: Clock, keys: Keys, settings: Settings, ledger: Ledger, meter: Meter
) -> AccessParts:
    """Everything of it; loads nothing yet."""
    directory = Directory(store)
    limits = RateLimits(ledger, directory, catalogue, meter, _rates(settings))
    return AccessParts(
        Door(keys.api_key, directory, catalogue, clock, NoTokens()), directory, _protection(settings, limits)
    )


def make_outbound(settings: Settings) -> OutboundRules:
    """Where models may call."""
    return OutboundRules(SystemResolver(), Reach(settings.outbound), settings.outbound_allow)


def _protection(settings: Settings, limits: RateLimits) -> Protection:
    return Protection(
        Origins(settings.trusted_proxies, settings.forwarded_header.encode()),
        settings.admin_networks,
        frozenset(site.encode() for site in settings.cors_origins),
        settings.hsts_seconds,
        settings.require_https,
        limits,
    )


def _rates(settings: Settings) -> Rates:
    return Rates(
        address=settings.rate_limit_address_rpm,
        open=settings.rate_limit_open_rpm,
        failures=settings.rate_limit_failures_rpm,
        key=settings.rate_limit_key_rpm,
        user=settings.rate_limit_user_rpm,
    )

"""Puts together what lets callers in, and starts what keeps it fresh."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from llm_scheduler.api.origin import Origins
from llm_scheduler.api.parts import AccessParts
from llm_scheduler.api.protection import Protection
from llm_scheduler.app.signing import make_signing
from llm_scheduler.domain.errors import SchedulerError
from llm_scheduler.domain.outbound import Reach
from llm_scheduler.relay.following_access import POLL_S, FollowingAccess
from llm_scheduler.security.drawing import drawn
from llm_scheduler.security.outbound import SystemResolver
from llm_scheduler.services.api_keys import FORGET_EVERY_S, ApiKeys
from llm_scheduler.services.audit import Audit
from llm_scheduler.services.directory import Directory
from llm_scheduler.services.door import Door
from llm_scheduler.services.happenings import Chronicler
from llm_scheduler.services.key_use import KeyUse
from llm_scheduler.services.outbound import OutboundRules
from llm_scheduler.services.presence import KEEP_EVERY_S
from llm_scheduler.services.rate_limits import RateLimits, Rates
from llm_scheduler.services.rotation import TAKE_UP_EVERY_S, Rotation
from llm_scheduler.services.tenants import Tenants
from llm_scheduler.services.users import Users

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llm_scheduler.app.adapters import Adapters
    from llm_scheduler.app.installation import Installation
    from llm_scheduler.app.keys import Keys
    from llm_scheduler.settings import Settings

SWEEP_EVERY_S: Final = 600.0


def make_access(of: Adapters, keys: Keys) -> AccessParts:
    """Everything of it; loads nothing yet."""
    store, catalogue, clock, settings = of.store, of.catalogue, of.clock, of.settings
    directory = Directory(store)
    signing = make_signing(of, directory, keys)
    limits = RateLimits(of.ledger, directory, catalogue, of.meter, _rates(settings))
    protection, audit = _protection(settings, limits), Audit(store, clock, of.meter)
    signing.sign_in.tell = Chronicler(audit, directory, clock).tell
    signing.sign_in.check_administration = protection.check_administration
    return AccessParts(
        door=Door(keys.api_key, directory, catalogue, clock, signing.tokens),
        directory=directory,
        tenants=Tenants(store, catalogue, directory, of.models, of.broker),
        users=Users(store, directory, of.models, signing.passwords),
        api_keys=ApiKeys(store, directory, clock, drawn),
        audit=audit,
        rotation=Rotation(store, keys.vault, clock, of.models.renew),
        protection=protection,
        signing=signing,
    )


def make_outbound(settings: Settings) -> OutboundRules:
    """Where models may call."""
    return OutboundRules(SystemResolver(), Reach(settings.outbound), settings.outbound_allow)


def add_access_sweeps(of: Installation) -> None:
    """What the leader does now and then."""
    of.loops.also(FORGET_EVERY_S, of.access.api_keys.forget)
    of.loops.also(TAKE_UP_EVERY_S, of.access.rotation.step)


def access_loops(of: Installation) -> list[asyncio.Task[None]]:
    """What goes on in the background of this process from now on."""
    tasks = [asyncio.create_task(KeyUse(of.store, of.access.door).run(), name="key-use")]
    if of.settings.is_cluster:
        following = FollowingAccess(
            of.access.directory,
            of.channel,
            of.clock,
            of.settings.access_trusted_s,
            POLL_S if of.is_api else None,
        )
        tasks.append(asyncio.create_task(following.run(), name="following-access"))
    return tasks


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


def access_steps(access: AccessParts) -> list[tuple[float, Callable[[], Awaitable[object]]]]:
    """What every process does now and then: seconds between, and what."""
    return [] if access.signing is None else [(KEEP_EVERY_S, access.signing.presence.keep)]


async def close_access(access: AccessParts) -> None:
    """Write down what waits, let go."""
    if access.signing is not None:
        with contextlib.suppress(SchedulerError):
            await access.signing.presence.keep()
        if access.signing.provider is not None:
            await access.signing.provider.close()
        access.signing.passwords.close()

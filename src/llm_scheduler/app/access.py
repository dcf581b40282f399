"""Puts together what lets callers in, and starts what keeps it fresh."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from llm_scheduler.api.parts import AccessParts
from llm_scheduler.ports.tokens import NoTokens
from llm_scheduler.relay.following_access import POLL_S, FollowingAccess
from llm_scheduler.security.drawing import drawn
from llm_scheduler.security.passwords import Passwords
from llm_scheduler.services.api_keys import FORGET_EVERY_S, ApiKeys
from llm_scheduler.services.directory import Directory
from llm_scheduler.services.door import Door
from llm_scheduler.services.key_use import KeyUse
from llm_scheduler.services.tenants import Tenants
from llm_scheduler.services.users import Users

if TYPE_CHECKING:
    from llm_scheduler.app.installation import Installation
    from llm_scheduler.app.keys import Keys
    from llm_scheduler.ports.broker import Broker
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.store import Store
    from llm_scheduler.services.catalogue import Catalogue
    from llm_scheduler.services.models import Models


def make_access(
    store: Store, catalogue: Catalogue, clock: Clock, keys: Keys, models: Models, broker: Broker
) -> AccessParts:
    """Everything of it; loads nothing yet."""
    directory = Directory(store)
    return AccessParts(
        door=Door(keys.api_key, directory, catalogue, clock, NoTokens()),
        directory=directory,
        tenants=Tenants(store, catalogue, directory, models, broker),
        users=Users(store, directory, models, Passwords()),
        api_keys=ApiKeys(store, directory, clock, drawn),
    )


def add_access_sweeps(of: Installation) -> None:
    """What the leader does now and then."""
    of.loops.also(FORGET_EVERY_S, of.access.api_keys.forget)


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

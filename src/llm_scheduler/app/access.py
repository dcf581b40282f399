"""Puts together what lets callers in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.api.parts import AccessParts
from llm_scheduler.ports.tokens import NoTokens
from llm_scheduler.security.passwords import Passwords
from llm_scheduler.services.directory import Directory
from llm_scheduler.services.door import Door
from llm_scheduler.services.tenants import Tenants
from llm_scheduler.services.users import Users

if TYPE_CHECKING:
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
        Door(keys.api_key, directory, catalogue, clock, NoTokens()),
        directory,
        Tenants(store, catalogue, directory, models, broker),
        Users(store, directory, models, Passwords()),
    )

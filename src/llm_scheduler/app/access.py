"""Puts together what lets callers in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.api.parts import AccessParts
from llm_scheduler.ports.tokens import NoTokens
from llm_scheduler.services.audit import Audit
from llm_scheduler.services.directory import Directory
from llm_scheduler.services.door import Door

if TYPE_CHECKING:
    from llm_scheduler.app.keys import Keys
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.meter import Meter
    from llm_scheduler.ports.store import Store
    from llm_scheduler.services.catalogue import Catalogue


def make_access(store: Store, catalogue: Catalogue, clock: Clock, keys: Keys, meter: Meter) -> AccessParts:
    """Everything of it; loads nothing yet."""
    directory = Directory(store)
    door = Door(keys.api_key, directory, catalogue, clock, NoTokens())
    return AccessParts(door, directory, audit=Audit(store, clock, meter))

"""Puts together what lets callers in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.api.parts import AccessParts
from llm_scheduler.ports.tokens import NoTokens
from llm_scheduler.services.directory import Directory
from llm_scheduler.services.door import Door
from llm_scheduler.services.rotation import Rotation

if TYPE_CHECKING:
    from llm_scheduler.app.keys import Keys
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.store import Store
    from llm_scheduler.services.catalogue import Catalogue
    from llm_scheduler.services.models import Models


def make_access(store: Store, catalogue: Catalogue, clock: Clock, keys: Keys, models: Models) -> AccessParts:
    """Everything of it; loads nothing yet."""
    directory = Directory(store)
    rotation = Rotation(store, keys.vault, clock, models.renew)
    return AccessParts(Door(keys.api_key, directory, catalogue, clock, NoTokens()), directory, rotation)

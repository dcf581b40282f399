"""Models that reach into the server are made by those who run it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.domain.access import Permission
from llm_scheduler.domain.access_errors import ServerModelError
from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.ports.provider import ServerKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llm_scheduler.api.parts import Caller


def check_reach(caller: Caller, type_name: str, configs: Iterable[Mapping[str, object] | None]) -> None:
    """Let pass configs that stay outside the server, and whoever may manage the system.

    Other tenants' models are looked at where models are kept. This is about the installation's own tenant, whose owners
    need not be those who run the machine.

    Raises:
        ServerModelError: one of them runs inside the server, or names files on it.
    """
    kind = caller.parts.catalogue.kinds.get(type_name)
    if caller.tenant_id != DEFAULT_TENANT or not isinstance(kind, ServerKind):
        return
    if caller.principal.may(Permission.SYSTEM_MANAGE):
        return
    if any(config is not None and kind.needs_server(config) for config in configs):
        raise ServerModelError(type_name)

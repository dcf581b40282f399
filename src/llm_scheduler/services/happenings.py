"""What happened around signing in, told to whoever keeps account of it: the log, or the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.ids import TenantId, UserId

_log = structlog.get_logger(__name__)
NOTHING: Final[Mapping[str, object]] = {}


class Device(NamedTuple):
    """Where a request comes from, as far as it says."""

    address: str = ""
    agent: str = ""
    request_id: str = ""


class Happening(NamedTuple):
    """One thing. `action` reads like `login.opened`; `username` is empty for one that nobody has.

    What a stranger typed as a username may be a password in the wrong field: it is told to nobody.
    """

    action: str
    is_done: bool
    device: Device
    user_id: UserId | None = None
    username: str = ""
    tenant_id: TenantId | None = None
    facts: Mapping[str, object] = NOTHING


def logged(happening: Happening) -> None:
    """Tell the log."""
    write = _log.info if happening.is_done else _log.warning
    write(
        happening.action,
        is_done=happening.is_done,
        user_id=happening.user_id,
        address=happening.device.address,
        request_id=happening.device.request_id,
        **happening.facts,
    )

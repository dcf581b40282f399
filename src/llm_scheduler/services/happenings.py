"""What happened around signing in, told to whoever keeps account of it: the log, or the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import orjson
import structlog

from llm_scheduler.domain.access import PrincipalKind
from llm_scheduler.domain.audit import AuditEntry, AuditOutcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.ids import TenantId, UserId
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.services.audit import Audit
    from llm_scheduler.services.directory import Directory

_log = structlog.get_logger(__name__)
REUSED: Final = "login.refresh_reused"
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


class Chronicler:
    """Tells the log, and the audit log what no audited request leaves there by itself.

    That is what happens without a request, and a refresh token that was used twice: staying signed in is not audited,
    but somebody has a copy.
    """

    def __init__(self, audit: Audit, directory: Directory, clock: Clock) -> None:
        self._audit, self._directory, self._clock = audit, directory, clock

    def tell(self, happening: Happening) -> None:
        """Write it down; waits for nothing."""
        logged(happening)
        device = happening.device
        if device.request_id and happening.action != REUSED:
            return
        user = None if happening.user_id is None else self._directory.user(happening.user_id)
        entry = AuditEntry(
            at=self._clock.now(),
            tenant_id=happening.tenant_id,
            # Who it was is not known: the account is what it is about.
            actor_kind=PrincipalKind.NOBODY.value,
            actor_id=None,
            actor="",
            action=happening.action,
            target_kind="user",
            target=happening.username if user is None else user.username,
            outcome=AuditOutcome.DONE if happening.is_done else AuditOutcome.FAILED,
            address=device.address,
            request_id=device.request_id,
            after=orjson.dumps(dict(happening.facts), default=str).decode() if happening.facts else None,
        )
        self._audit.note(entry)

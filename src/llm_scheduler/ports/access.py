"""The record of who may do what. Read whole, then step by step: an installation's users and keys fit in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from llm_scheduler.ports.accounts import AccountMoves
from llm_scheduler.ports.api_keys import KeysMoves
from llm_scheduler.ports.audit import AuditMoves
from llm_scheduler.ports.logins import LoginsMoves
from llm_scheduler.ports.people import PeopleMoves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.access import ApiKey, Login, Membership, User
    from llm_scheduler.domain.ids import KeyId, LoginId, Millis, UserId


class AccessSnapshot(NamedTuple):
    """Everything by which callers are let in, of one moment.

    `logins` are those that are neither revoked nor expired. `version` grows with every change of the rest.
    """

    users: Sequence[User]
    memberships: Sequence[Membership]
    keys: Sequence[ApiKey]
    logins: Sequence[Login]
    version: int


class AccessChanges(NamedTuple):
    """What differs from an earlier snapshot.

    The ids are of all that was touched, users with all of their memberships; `now` has those of them that are still
    there. What was touched and is not in it is gone, revoked or over. `at` is when it was read.
    """

    user_ids: frozenset[UserId]
    key_ids: frozenset[KeyId]
    login_ids: frozenset[LoginId]
    now: AccessSnapshot
    at: Millis


class AccessRecord(PeopleMoves, KeysMoves, LoginsMoves, AccountMoves, AuditMoves, Protocol):
    """Everything of it."""

    async def access(self) -> AccessSnapshot:
        """Users, memberships, keys that are not revoked, sign-ins that are alive."""
        ...

    async def access_since(self, version: int) -> AccessChanges | None:
        """What has changed since that snapshot; None if that cannot be told, or is so much that all is read as soon."""
        ...

    async def access_version(self) -> int:
        """Which snapshot `access` would give now; grows with every change."""
        ...

"""What people change of their own accounts, and accounts that come to be by signing in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from llm_scheduler.domain.access import Role, User
    from llm_scheduler.domain.ids import Millis, TenantId, UserId


class AccountMoves(Protocol):
    """What is written of them."""

    async def first_user(self, user: User, tenant_id: TenantId) -> User | None:
        """Add a person who is an owner of that tenant, too; None if there is a person already. Has its id then."""
        ...

    async def sign_up(self, user: User) -> User:
        """Add a person with a `subject`, unless they are there; a username that is taken gets a number.

        The answer is as the record has it.
        """
        ...

    async def change_account(
        self, user_id: UserId, changes: Mapping[str, object], expected: Mapping[str, object] | None = None
    ) -> bool:
        """Set columns of an account, if those `expected` are as they were read; whether it was done.

        Only a person's own: password, second factor, name and address.
        """
        ...

    async def follow_groups(self, user_id: UserId, roles: Mapping[TenantId, Role], *, is_admin: bool) -> bool:
        """Make these the user's memberships and no others; whether anything changed."""
        ...

    async def note_seen(self, user_ids: Collection[UserId]) -> None:
        """They were here just now. No change of anybody's access."""
        ...

    async def last_seen(self, user_ids: Collection[UserId]) -> Mapping[UserId, Millis]:
        """When they were last here, as it is this moment; without those who never were."""
        ...

    async def account(self, user_id: UserId) -> User | None:
        """One account, as it is this moment."""
        ...

    async def account_named(self, username: str) -> User | None:
        """By name, in lower case."""
        ...

    async def has_person(self) -> bool:
        """Whether there is an account of a person yet."""
        ...

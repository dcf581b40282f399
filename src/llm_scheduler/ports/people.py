"""Users, memberships and tenants in the record.

Changes of one kind wait for each other: what a move judges by holds until it is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.domain.access import Membership, Role, User
    from llm_scheduler.domain.ids import ModelId, TaskId, TenantId, UserId
    from llm_scheduler.domain.tenant import Tenant


class Erased(NamedTuple):
    """One step of a tenant's removal."""

    rows: int
    """How many went: tasks, or rows of small tables."""
    tasks: Sequence[tuple[ModelId, TaskId]]
    """Those of them that waited: the index is to forget them."""
    is_over: bool
    """Nothing is left, the tenant's own row is gone too."""
    is_waiting: bool = False
    """Only running tasks are left: try again later."""


class PeopleMoves(Protocol):
    """What is written and asked of them."""

    async def add_tenant(self, tenant: Tenant) -> Tenant:
        """Insert; the answer has id and times.

        Raises:
            TenantNameTakenError: as its name says.
        """
        ...

    async def change_tenant(self, tenant_id: TenantId, changes: Mapping[str, Any]) -> Tenant:
        """Set some fields of the tenant.

        Raises:
            TenantNotFoundError, TenantNameTakenError: as their names say.
        """
        ...

    async def erase_tenant(self, tenant_id: TenantId, limit: int) -> Erased:
        """Remove at most so many tasks or rows of a suspended tenant; at the end the tenant itself.

        Tasks go first, models last but one; a tenant that is gone is over. The audit log is left alone.
        """
        ...

    async def unfinished(self, tenant_id: TenantId) -> int:
        """How many of the tenant's tasks are not over."""
        ...

    async def rows_of(self, table: str, tenant_id: TenantId, after: int, limit: int) -> Sequence[Mapping[str, Any]]:
        """Rows of a table that has `id` and `tenant_id`, as they are, by id: for an export."""
        ...

    async def add_user(self, user: User, membership: Membership | None = None) -> User:
        """Insert, as a member of a tenant or of none; the answer has id and times.

        Raises:
            UsernameTakenError: as its name says.
        """
        ...

    async def change_user(self, user_id: UserId, changes: Mapping[str, Any], *, ends_logins: bool = False) -> User:
        """Set some fields. `ends_logins`: nothing that was issued before is good any more.

        Raises:
            UserNotFoundError, UsernameTakenError: as their names say.
            LastAdminError: it would leave no administrator that may sign in.
        """
        ...

    async def remove_user(self, user_id: UserId) -> None:
        """Delete the user with memberships, API keys and sign-ins.

        Raises:
            UserNotFoundError: there is none.
            LastAdminError: it is the last administrator.
        """
        ...

    async def set_member(self, tenant_id: TenantId, user_id: UserId, role: Role) -> bool:
        """Add the user to the tenant, or give another role there; whether it is new.

        Raises:
            TenantNotFoundError, UserNotFoundError: as their names say.
        """
        ...

    async def remove_member(self, tenant_id: TenantId, user_id: UserId) -> bool:
        """Take the user out, and revoke the user's API keys there; whether it was a member."""
        ...

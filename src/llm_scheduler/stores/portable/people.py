"""`ports.people.PeopleMoves`: users, memberships and tenants for both engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.stores.portable import tenants, users
from llm_scheduler.stores.portable.access import Access
from llm_scheduler.stores.rows import named
from llm_scheduler.stores.tables import METADATA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.domain.access import Membership, Role, User
    from llm_scheduler.domain.ids import TenantId, UserId
    from llm_scheduler.domain.tenant import Tenant
    from llm_scheduler.ports.people import Erased

EXPORTED: Final = frozenset({"audit_log"})
"""Tables whose rows are asked for as they are."""


class PeopleCalls(Access):
    """See the port for what each call promises."""

    async def add_tenant(self, tenant: Tenant) -> Tenant:
        """Insert."""
        return await self._write(lambda transaction: tenants.add_tenant(transaction, tenant))

    async def change_tenant(self, tenant_id: TenantId, changes: Mapping[str, Any]) -> Tenant:
        """Set some fields."""
        return await self._write(lambda transaction: tenants.change_tenant(transaction, tenant_id, changes))

    async def erase_tenant(self, tenant_id: TenantId, limit: int) -> Erased:
        """One step of its removal."""
        return await self._write(lambda transaction: tenants.erase(transaction, tenant_id, limit))

    async def unfinished(self, tenant_id: TenantId) -> int:
        """By the index of tenant and status alone."""
        return await self._read(lambda reader: reader.value(tenants.UNFINISHED_OF, (tenant_id,))) or 0

    async def rows_of(self, table: str, tenant_id: TenantId, after: int, limit: int) -> Sequence[Mapping[str, Any]]:
        """A page of a table that is exported as it is."""
        if table not in EXPORTED:
            raise ValueError(f"{table} is not exported so")
        # Plain text: a name that SQLAlchemy would quote is a class of its own, which no JSON takes as a key.
        columns = tuple(str(column.name) for column in METADATA.tables[table].columns)
        query = f"SELECT {named(columns)} FROM {table} WHERE tenant_id = ? AND id > ? ORDER BY id LIMIT ?"  # noqa: S608
        rows = await self._read(lambda reader: reader.rows(columns, query, (tenant_id, after, limit)))
        return [dict(zip(columns, row, strict=True)) for row in rows]

    async def add_user(self, user: User, membership: Membership | None = None) -> User:
        """Insert."""
        return await self._write(lambda transaction: users.add_user(transaction, user, membership))

    async def change_user(self, user_id: UserId, changes: Mapping[str, Any], *, ends_logins: bool = False) -> User:
        """Set some fields."""
        return await self._write(
            lambda transaction: users.change_user(transaction, user_id, changes, ends_logins=ends_logins)
        )

    async def remove_user(self, user_id: UserId) -> None:
        """Delete the user."""
        await self._write(lambda transaction: users.remove_user(transaction, user_id))

    async def set_member(self, tenant_id: TenantId, user_id: UserId, role: Role) -> bool:
        """Add, or give another role."""
        return await self._write(lambda transaction: users.set_member(transaction, tenant_id, user_id, role))

    async def remove_member(self, tenant_id: TenantId, user_id: UserId) -> bool:
        """Take out."""
        return await self._write(lambda transaction: users.remove_member(transaction, tenant_id, user_id))

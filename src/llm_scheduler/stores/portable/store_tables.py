"""`ports.store.SessionMoves` (without rescue), `ModelMoves`, `Actions` and `Replies`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.stores import reply_statements
from llm_scheduler.stores.portable import registry
from llm_scheduler.stores.portable.access import Access
from llm_scheduler.stores.rows import (
    ACTION_COLUMNS,
    MODEL_COLUMNS,
    SESSION_COLUMNS,
    TENANT_COLUMNS,
    action_of,
    model_of,
    named,
    session_of,
    tenant_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.domain.ids import ModelId, SessionId, TenantId
    from llm_scheduler.domain.model import Model
    from llm_scheduler.domain.session import BeatAnswer, Session, Vitals
    from llm_scheduler.domain.tenant import Tenant
    from llm_scheduler.ports.promises import ActionProgress, Taken

ALL = 2**31
MODELS = f"SELECT {named(MODEL_COLUMNS)} FROM models ORDER BY name, id LIMIT ?"  # noqa: S608 - names of our own, values are bound
TENANTS = f"SELECT {named(TENANT_COLUMNS)} FROM tenants ORDER BY id LIMIT ?"  # noqa: S608 - names of our own, values are bound
SESSIONS = f"SELECT {named(SESSION_COLUMNS)} FROM sessions WHERE alive >= ? ORDER BY id DESC LIMIT ?"  # noqa: S608 - names of our own, values are bound
ACTION = f"SELECT {named(ACTION_COLUMNS)} FROM actions WHERE id = ?"  # noqa: S608 - names of our own, values are bound
UNFINISHED_ACTIONS = f"SELECT {named(ACTION_COLUMNS)} FROM actions WHERE status = 'running' ORDER BY id LIMIT ?"  # noqa: S608 - names of our own, values are bound


class TableCalls(Access):
    """The small tables; see the port for what each call promises."""

    async def open_session(self, host: str, pid: int, version: str, role: str = "all") -> SessionId:
        """Register this process start."""
        return await self._write(lambda transaction: registry.open_session(transaction, (host, pid, version), role))

    async def beat(self, session_id: SessionId, vitals: Vitals) -> BeatAnswer:
        """Renew; learn what to stop."""
        return await self._write(lambda transaction: registry.beat(transaction, session_id, vitals), is_loose=True)

    async def close_session(self, session_id: SessionId) -> None:
        """Leave in good order."""
        await self._write(lambda transaction: registry.close_session(transaction, session_id), is_loose=True)

    async def bury(self, ttl_s: float) -> int:
        """Mark sessions dead that missed their ttl."""
        return await self._write(lambda transaction: registry.bury(transaction, ttl_s), is_loose=True)

    async def sessions(self, *, alive_only: bool = True) -> Sequence[Session]:
        """Processes of every role, newest first."""
        rows = await self._read(lambda reader: reader.rows(SESSION_COLUMNS, SESSIONS, (int(alive_only), ALL)))
        return [session_of(row) for row in rows]

    async def add_model(self, model: Model) -> Model:
        """Insert; the answer has id and times."""
        return await self._write(lambda transaction: registry.add_model(transaction, model))

    async def save_model(self, model: Model) -> Model:
        """Write every changeable column, if the version is the one that was read; version grows."""
        return await self._write(lambda transaction: registry.save_model(transaction, model))

    async def remove_model(self, model_id: ModelId) -> None:
        """Delete a model with its finished tasks, a slice per transaction."""
        while await self._write(lambda transaction: registry.remove_model(transaction, model_id)):
            pass

    async def models(self) -> Sequence[Model]:
        """All models, by name."""
        return [model_of(row) for row in await self._read(lambda r: r.rows(MODEL_COLUMNS, MODELS, (ALL,)))]

    async def tenants(self) -> Sequence[Tenant]:
        """All tenants, by id."""
        return [tenant_of(row) for row in await self._read(lambda r: r.rows(TENANT_COLUMNS, TENANTS, (ALL,)))]

    async def save_tenant(self, tenant: Tenant) -> None:
        """Insert or update by id."""
        await self._write(lambda transaction: registry.save_tenant(transaction, tenant))

    async def set_current_workers(self, counts: Mapping[ModelId, int]) -> None:
        """Attempts that run now, by model."""
        await self._write(lambda transaction: registry.set_current_workers(transaction, counts), is_loose=True)

    async def add_action(self, action: str, filter_json: str, priority: int | None) -> ActionProgress:
        """Begin a bulk action."""
        return await self._write(lambda transaction: registry.add_action(transaction, action, filter_json, priority))

    async def save_action(
        self, action_id: int, *, seen: int, changed: int, status: str, error: str | None = None
    ) -> None:
        """Note progress."""
        counts = (seen, changed)
        await self._write(
            lambda transaction: registry.save_action(transaction, action_id, counts, status, error), is_loose=True
        )

    async def action(self, action_id: int) -> ActionProgress | None:
        """How far it is."""
        rows = await self._read(lambda reader: reader.rows(ACTION_COLUMNS, ACTION, (action_id,)))
        return action_of(rows[0]) if rows else None

    async def unfinished_actions(self) -> Sequence[ActionProgress]:
        """Those a restart must take up again."""
        rows = await self._read(lambda reader: reader.rows(ACTION_COLUMNS, UNFINISHED_ACTIONS, (ALL,)))
        return [action_of(row) for row in rows]

    async def take_key(self, tenant_id: TenantId, key: str, fingerprint: str) -> Taken | None:
        """Take it, or by which request it is taken."""
        return await self._write(lambda transaction: registry.take_key(transaction, (tenant_id, key), fingerprint))

    async def keep_reply(self, tenant_id: TenantId, key: str, answer: str) -> None:
        """The answer of the request that has taken it."""
        await self._write(lambda transaction: transaction.do(reply_statements.KEEP_REPLY, (answer, tenant_id, key)))

    async def free_key(self, tenant_id: TenantId, key: str) -> None:
        """The next one may try."""
        await self._write(lambda transaction: transaction.do(reply_statements.FREE_KEY, (tenant_id, key)))

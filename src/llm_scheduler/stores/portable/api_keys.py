"""`ports.api_keys.KeysMoves`: API keys for both engines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.domain.access_errors import ApiKeyRevokedError
from llm_scheduler.domain.ids import KeyId, Millis
from llm_scheduler.stores import key_statements as texts
from llm_scheduler.stores.access_rows import KEY_COLUMNS, key_of, key_row
from llm_scheduler.stores.portable.access import Access
from llm_scheduler.stores.portable.access_version import access_changed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llm_scheduler.domain.access import ApiKey
    from llm_scheduler.ports.api_keys import KeyFilter
    from llm_scheduler.stores.portable.access import Transaction

_IDS: Final = "models"
"""Keys take their ids from the block of models, as budgets do: few rows, and no block of their own."""
_BEYOND: Final = 2**53


def add(transaction: Transaction, key: ApiKey) -> ApiKey:
    """A new row, with id and time."""
    added = replace(key, id=KeyId(transaction.new_id(_IDS)), created_at=transaction.now)
    transaction.insert("api_keys", KEY_COLUMNS, [key_row(added)])
    access_changed(transaction, keys=[added.id])
    return added


def change(transaction: Transaction, key_id: KeyId, changes: Mapping[str, Any]) -> ApiKey | None:
    """Set some columns."""
    held = _held(transaction, key_id)
    if held is None:
        return None
    changed = replace(held, **changes)
    row = dict(zip(KEY_COLUMNS, key_row(changed), strict=True))
    values = (row["name"], row["scopes"], row["limits"], row["expires_at"], key_id)
    transaction.do(texts.CHANGE, values)
    access_changed(transaction, keys=[key_id])
    return changed


def revoke(transaction: Transaction, key_id: KeyId) -> ApiKey | None:
    """Set when."""
    if transaction.run(texts.REVOKE, (transaction.now, key_id)):
        access_changed(transaction, keys=[key_id])
    found = transaction.rows(KEY_COLUMNS, texts.HOLD_KEY, (key_id,))
    return key_of(found[0]) if found else None


def renew(transaction: Transaction, key_id: KeyId, fresh: ApiKey, overlap_ms: int) -> tuple[ApiKey, ApiKey] | None:
    """A new row beside the old one, which ends soon."""
    held = _held(transaction, key_id)
    if held is None:
        return None
    ends_at = Millis(transaction.now + overlap_ms)
    transaction.do(texts.END, (ends_at, key_id, ends_at))
    access_changed(transaction, keys=[key_id])
    sooner = ends_at if held.expires_at is None else min(ends_at, held.expires_at)
    return add(transaction, fresh), replace(held, expires_at=sooner)


def note_used(transaction: Transaction, key_ids: Iterable[KeyId], at: Millis) -> None:
    """In one order, as others hold them; nobody's access changes by it."""
    transaction.do_in(texts.NOTE_USED, sorted(key_ids), (at,), (at,))


def forget(transaction: Transaction, before: Millis, limit: int) -> int:
    """Told by a look, decided again by the statement."""
    old = [row[0] for row in transaction.rows(("id",), texts.OLD, (before, before, limit))]
    if old:
        transaction.do_in(texts.FORGET, old, after=(before, before))
        access_changed(transaction, keys=[KeyId(one) for one in old])
    return len(old)


def _held(transaction: Transaction, key_id: KeyId) -> ApiKey | None:
    found = transaction.rows(KEY_COLUMNS, texts.HOLD_KEY, (key_id,))
    if not found:
        return None
    key = key_of(found[0])
    if key.revoked_at is not None:
        raise ApiKeyRevokedError(key_id)
    return key


class KeysCalls(Access):
    """See the port for what each call promises."""

    async def api_keys(self, where: KeyFilter, limit: int) -> Sequence[ApiKey]:
        """A page, newest first."""
        before_id = _BEYOND if where.after_id is None else where.after_id
        params = (where.tenant_id, before_id, where.user_id, where.user_id, int(where.with_revoked), limit)
        return [key_of(row) for row in await self._read(lambda reader: reader.rows(KEY_COLUMNS, texts.PAGE, params))]

    async def api_key(self, key_id: KeyId) -> ApiKey | None:
        """One."""
        rows = await self._read(lambda reader: reader.rows(KEY_COLUMNS, texts.HOLD_KEY, (key_id,)))
        return key_of(rows[0]) if rows else None

    async def add_api_key(self, key: ApiKey) -> ApiKey:
        """Insert; the answer has id and time."""
        return await self._write(lambda transaction: add(transaction, key))

    async def change_api_key(self, key_id: KeyId, changes: Mapping[str, object]) -> ApiKey | None:
        """Set some of name, scopes, limits, expires_at."""
        return await self._write(lambda transaction: change(transaction, key_id, changes))

    async def revoke_api_key(self, key_id: KeyId) -> ApiKey | None:
        """Good for nothing from now on."""
        return await self._write(lambda transaction: revoke(transaction, key_id))

    async def renew_api_key(self, key_id: KeyId, fresh: ApiKey, overlap_ms: int) -> tuple[ApiKey, ApiKey] | None:
        """A key beside this one, which ends soon."""
        return await self._write(lambda transaction: renew(transaction, key_id, fresh, overlap_ms))

    async def note_keys_used(self, key_ids: Iterable[KeyId], at: Millis) -> None:
        """They were used about then."""
        await self._write(lambda transaction: note_used(transaction, key_ids, at), is_loose=True)

    async def forget_api_keys(self, before: Millis, limit: int) -> int:
        """Delete those that were over before then."""
        return await self._write(lambda transaction: forget(transaction, before, limit))

"""`ports.logins.LoginsMoves`: sign-ins, failed attempts and the keys that sign tokens for both engines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from llm_scheduler.domain.ids import LoginId
from llm_scheduler.domain.tries import Tries
from llm_scheduler.ports.logins import SigningKey
from llm_scheduler.stores.access_rows import LOGIN_COLUMNS, login_of, login_row
from llm_scheduler.stores.portable.access import Access
from llm_scheduler.stores.portable.access_version import access_changed
from llm_scheduler.stores.rows import named

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from llm_scheduler.domain.access import Login
    from llm_scheduler.domain.ids import Millis, UserId
    from llm_scheduler.ports.logins import Renewal
    from llm_scheduler.stores.portable.access import Transaction

ALL: Final = 2**31
TRY: Final = "try:"
"""What the names of counted attempts begin with in `states`."""
KEY_COLUMNS: Final = ("kid", "secret", "created_at", "retired_at")
LOGIN: Final = f"SELECT {named(LOGIN_COLUMNS)} FROM logins WHERE id = ?"  # noqa: S608
LOGINS_OF: Final = (
    f"SELECT {named(LOGIN_COLUMNS)} FROM logins "  # noqa: S608
    "WHERE user_id = ? AND revoked_at IS NULL AND expires_at > ? ORDER BY used_at DESC, id DESC LIMIT ?"
)
RENEW: Final = (
    "UPDATE logins SET token_hash = ?, tenant_id = ?, expires_at = ?, address = ?, agent = ?, "
    "generation = generation + 1, used_at = ? "
    "WHERE id = ? AND generation = ? AND token_hash = ? AND revoked_at IS NULL AND expires_at > ?"
)
END: Final = "UPDATE logins SET revoked_at = ? WHERE user_id = ? AND revoked_at IS NULL"
ENDED: Final = "SELECT id FROM logins WHERE user_id = ? AND revoked_at = ?"
GROW_EPOCH: Final = "UPDATE users SET epoch = epoch + 1, updated_at = ? WHERE id = ?"
FORGET_LOGINS: Final = "DELETE FROM logins WHERE expires_at < ? OR revoked_at < ?"
COUNTED: Final = "SELECT data FROM states WHERE name = ?"
COUNT: Final = "UPDATE states SET version = version + 1, updated_at = ?, data = ? WHERE name = ?"
FORGET_TRIES: Final = "DELETE FROM states WHERE name >= ? AND name < ? AND updated_at < ?"
SIGNING_KEYS: Final = f"SELECT {named(KEY_COLUMNS)} FROM signing_keys ORDER BY created_at, kid LIMIT ?"  # noqa: S608
KEYS_IN_USE: Final = "SELECT kid FROM signing_keys WHERE retired_at IS NULL LIMIT 1"
RETIRE_KEYS: Final = "UPDATE signing_keys SET retired_at = ? WHERE retired_at IS NULL AND kid <> ?"
DROP_KEYS: Final = "DELETE FROM signing_keys WHERE retired_at <= ?"
SIGN_UP: Final = "sign_up"
"""Guards what may happen once: the first user, the first signing key."""


class LoginsCalls(Access):
    """See the port for what each call promises."""

    async def open_login(self, login: Login) -> Login:
        """Add a sign-in."""
        return await self._write(lambda transaction: _open(transaction, login))

    async def login(self, login_id: LoginId) -> Login | None:
        """One sign-in."""
        rows = await self._read(lambda reader: reader.rows(LOGIN_COLUMNS, LOGIN, (login_id,)))
        return login_of(rows[0]) if rows else None

    async def logins(self, user_id: UserId) -> Sequence[Login]:
        """Those of a user that are alive."""
        values = (user_id, self._clock.now(), ALL)
        rows = await self._read(lambda reader: reader.rows(LOGIN_COLUMNS, LOGINS_OF, values))
        return [login_of(row) for row in rows]

    async def renew_login(self, login_id: LoginId, generation: int, token_hash: str, renewal: Renewal) -> bool:
        """Let the next generation follow. Who may come in stays the same: the version does not grow."""

        def renew(transaction: Transaction) -> bool:
            now = transaction.now
            values = (*renewal, now, login_id, generation, token_hash, now)
            return transaction.run(RENEW, values) > 0

        return await self._write(renew)

    async def end_logins(self, user_id: UserId, *, only: LoginId | None = None, but: LoginId | None = None) -> int:
        """End sign-ins of a user."""
        return await self._write(lambda transaction: _end(transaction, user_id, only, but))

    async def end_everything(self, user_id: UserId) -> int:
        """End all of them, and the tokens."""

        def end(transaction: Transaction) -> int:
            transaction.do(GROW_EPOCH, (transaction.now, user_id))
            ended = transaction.run(END, (transaction.now, user_id))
            access_changed(transaction, users=[user_id], logins=ended_now(transaction, user_id))
            return ended

        return await self._write(end)

    async def forget_logins(self, before: Millis) -> int:
        """Delete old ones."""
        return await self._write(lambda transaction: transaction.run(FORGET_LOGINS, (before, before)), is_loose=True)

    async def take_try(self, names: Collection[str]) -> int:
        """Count one attempt, or say how long to wait."""
        return await self._write(lambda transaction: _take(transaction, sorted(names)))

    async def forgive_tries(self, names: Collection[str], failures: float) -> None:
        """Take failures back."""
        await self._write(lambda transaction: _forgive(transaction, sorted(names), failures))

    async def forget_tries(self, before: Millis) -> int:
        """Delete old counts."""
        # The character after the colon ends the range.
        values = (TRY, TRY[:-1] + ";", before)
        return await self._write(lambda transaction: transaction.run(FORGET_TRIES, values), is_loose=True)

    async def signing_keys(self) -> Sequence[SigningKey]:
        """All, oldest first."""
        rows = await self._read(lambda reader: reader.rows(KEY_COLUMNS, SIGNING_KEYS, (ALL,)))
        return [SigningKey(*row) for row in rows]

    async def add_signing_key(self, key: SigningKey, *, is_first: bool = False) -> None:
        """Add a key; others learn of it as of every change of access."""

        def add(transaction: Transaction) -> None:
            transaction.guard(SIGN_UP, is_exclusive=True)
            if is_first and transaction.value(KEYS_IN_USE) is not None:
                return
            transaction.do(RETIRE_KEYS, (transaction.now, key.kid))
            # No insert: a commit whose answer was lost is played again.
            row = (key.kid, key.secret, transaction.now, None)
            transaction.upsert("signing_keys", KEY_COLUMNS, ("secret",), [row])
            access_changed(transaction)

        await self._write(add)

    async def drop_signing_keys(self, retired_before: Millis) -> int:
        """Delete retired ones."""

        def drop(transaction: Transaction) -> int:
            dropped = transaction.run(DROP_KEYS, (retired_before,))
            if dropped:
                access_changed(transaction)
            return dropped

        return await self._write(drop)


def _open(transaction: Transaction, login: Login) -> Login:
    opened = replace(login, id=LoginId(transaction.new_id("logins")))
    transaction.insert("logins", LOGIN_COLUMNS, [login_row(opened)])
    access_changed(transaction, logins=[opened.id])
    return opened


def _end(transaction: Transaction, user_id: UserId, only: LoginId | None, but: LoginId | None) -> int:
    statement, values = END, [transaction.now, user_id]
    if only is not None:
        statement, values = f"{statement} AND id = ?", [*values, only]
    if but is not None:
        statement, values = f"{statement} AND id <> ?", [*values, but]
    ended = transaction.run(statement, values)
    if ended:
        access_changed(transaction, logins=ended_now(transaction, user_id))
    return ended


def ended_now(transaction: Transaction, user_id: UserId) -> list[LoginId]:
    """Sign-ins of a user that this transaction has ended."""
    return [LoginId(row[0]) for row in transaction.rows(("id",), ENDED, (user_id, transaction.now))]


def _take(transaction: Transaction, names: list[str]) -> int:
    now = transaction.now
    found = _counts(transaction, names)
    wait_ms = max(tries.wait_ms(now) for tries in found.values())
    if not wait_ms:
        _count(transaction, {name: tries.failed(now) for name, tries in found.items()})
    return wait_ms


def _forgive(transaction: Transaction, names: list[str], failures: float) -> None:
    found = _counts(transaction, names)
    _count(transaction, {name: tries.forgiven(transaction.now, failures) for name, tries in found.items()})


def _counts(transaction: Transaction, names: list[str]) -> dict[str, Tries]:
    """What is counted, each row held until the commit: it is made first where there is none."""
    columns = ("name", "version", "updated_at", "data")
    rows = [(TRY + name, 0, transaction.now, "{}") for name in names]
    transaction.upsert("states", columns, ("name",), rows)
    return {name: _tries(transaction.rows(("data",), COUNTED, (TRY + name,))) for name in names}


def _count(transaction: Transaction, counts: dict[str, Tries]) -> None:
    for name, tries in counts.items():
        data = orjson.dumps(tries._asdict()).decode()
        transaction.do(COUNT, (transaction.now, data, TRY + name))


def _tries(rows: list[list[Any]]) -> Tries:
    return Tries(**orjson.loads(rows[0][0])) if rows else Tries()

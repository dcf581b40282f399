"""The second factor: one-time codes by time, each good once, and recovery codes for when the telephone is gone."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from llm_scheduler.domain.errors import InvalidInputError, UnsealError
from llm_scheduler.domain.sign_in_errors import WrongTotpError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.access import User
    from llm_scheduler.domain.ids import UserId
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.second_factor import OneTimeCodes
    from llm_scheduler.ports.store import Store
    from llm_scheduler.ports.vault import Vault

RECOVERY_CODES: Final = 10
TICKET_MS: Final = 600_000
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"
"""None that look like another."""
_RECOVERY_CHARS: Final = 16


class Begun(NamedTuple):
    """A second factor that is not in force yet. `ticket` comes back with the first code."""

    secret: str
    uri: str
    ticket: str


class SecondFactor:
    """Makes, checks and removes it."""

    def __init__(self, store: Store, vault: Vault, codes: OneTimeCodes, clock: Clock) -> None:
        self._store, self._vault, self._codes, self._clock = store, vault, codes, clock

    def begin(self, user: User) -> Begun:
        """A new secret; nothing is kept before a code proves that the app has it."""
        secret = self._codes.new_secret()
        ticket = orjson.dumps({"secret": secret, "until": self._clock.now() + TICKET_MS}).decode()
        return Begun(secret, self._codes.uri(secret, user.username), self._vault.seal(ticket, _ticket_context(user.id)))

    async def confirm(self, user: User, ticket: str, code: str) -> Sequence[str]:
        """Put it in force; recovery codes, shown this once.

        Raises:
            InvalidInputError: the ticket is not of this user, or too old.
            WrongTotpError: the code is not the secret's.
        """
        try:
            fields = orjson.loads(self._vault.open(ticket, _ticket_context(user.id)))
        except (UnsealError, ValueError) as error:
            raise InvalidInputError(
                "That ticket does not hold; begin again: POST /api/v1/me/totp.", "ticket"
            ) from error
        if fields["until"] < self._clock.now():
            raise InvalidInputError("That ticket is too old; begin again: POST /api/v1/me/totp.", "ticket")
        if not await self._use(user.id, fields["secret"], code):
            raise WrongTotpError
        recovery = [_recovery_code() for _ in range(RECOVERY_CODES)]
        changes = {
            "totp": self._vault.seal(fields["secret"], context_of(user.id)),
            "recovery": _packed(tuple(map(_digest, recovery))),
        }
        await self._store.change_account(user.id, changes)
        return recovery

    async def check(self, user: User, code: str) -> None:
        """Use a code, of the app or for recovery; no code is taken twice, in whichever process.

        Raises:
            WrongTotpError: it does not hold, or was used.
            UnsealError: the secret cannot be read with the keys in force.
        """
        given = code.replace(" ", "").replace("-", "").lower()
        if len(given) == _RECOVERY_CHARS:
            is_right = await self._recover(user, _digest(given))
        else:
            secret = self._vault.open(user.totp or "", context_of(user.id))
            is_right = await self._use(user.id, secret, given)
        if not is_right:
            raise WrongTotpError

    async def remove(self, user: User) -> None:
        """The password alone is enough from now on."""
        await self._store.change_account(user.id, {"totp": None, "recovery": None})

    async def _use(self, user_id: UserId, secret: str, code: str) -> bool:
        step = self._codes.step(secret, code, self._clock.now())
        if step is None:
            return False
        name = f"totp:{user_id}"
        kept = await self._store.state(name)
        if kept is not None and int(kept.data.partition(" ")[0]) >= step:
            return False
        # Two who bring the same code would both write the same text, which counts as done twice: so it is told apart.
        mark = f"{step} {secrets.token_hex(8)}"
        return await self._store.save_state(name, mark, 0 if kept is None else kept.version)

    async def _recover(self, user: User, digest: str) -> bool:
        found = [kept for kept in user.recovery if hmac.compare_digest(kept, digest)]
        if not found:
            return False
        left = tuple(kept for kept in user.recovery if kept not in found)
        # Only if they are as they were read: of two who bring the same code one succeeds.
        return await self._store.change_account(
            user.id, {"recovery": _packed(left)}, {"recovery": _packed(user.recovery)}
        )


def context_of(user_id: UserId) -> str:
    """Where the secret of a user's second factor may be opened."""
    return f"user:{user_id}:totp"


def _ticket_context(user_id: UserId) -> str:
    return f"user:{user_id}:totp-ticket"


def _packed(recovery: tuple[str, ...]) -> str | None:
    """As the record keeps them."""
    return orjson.dumps(recovery).decode() if recovery else None


def _recovery_code() -> str:
    """79 bits, in fours."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(_RECOVERY_CHARS))
    return "-".join(letters[start : start + 4] for start in range(0, _RECOVERY_CHARS, 4))


def _digest(code: str) -> str:
    return hashlib.sha256(code.replace("-", "").encode("utf-8", "replace")).hexdigest()

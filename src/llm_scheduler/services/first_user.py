"""The first person of an installation: by a token that a start prints, good once, or by a setting."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import TYPE_CHECKING, Final

import orjson

from llm_scheduler.domain.access import User
from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.ids import DEFAULT_TENANT, UserId
from llm_scheduler.domain.people import USERNAME, is_service_username
from llm_scheduler.domain.sign_in_errors import SetupClosedError, WrongSetupTokenError
from llm_scheduler.services.happenings import Happening

if TYPE_CHECKING:
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.passwords import Passwords
    from llm_scheduler.ports.store import Store
    from llm_scheduler.services.happenings import Device
    from llm_scheduler.services.sign_in import SignedIn, SignIn

_STATE: Final = "setup"
_MOST_TOKENS: Final = 16
_SHARED_MS: Final = 86_400_000
_MOST_ATTEMPTS: Final = 10


class FirstUser:
    """Opens the door for the first one, and shuts it behind them.

    Args:
        store: keeps the hashes of the tokens, so that every process takes each.
        passwords: checks and hashes.
        sign_in: lets them in.
        clock: says which tokens are old.
        is_shared: other processes start, too: their tokens hold beside this one's, for a day.
    """

    def __init__(
        self, store: Store, passwords: Passwords, sign_in: SignIn, clock: Clock, *, is_shared: bool = False
    ) -> None:
        self._store, self._passwords, self._sign_in = store, passwords, sign_in
        self._clock, self._is_shared = clock, is_shared

    async def is_missing(self) -> bool:
        """Whether there is no person yet."""
        return not await self._store.has_person()

    async def invite(self) -> str | None:
        """A token that makes the first user; None if there is one. Those of earlier starts hold no longer."""
        if not await self.is_missing():
            return None
        token = secrets.token_urlsafe(24)
        now = self._clock.now()
        for _ in range(_MOST_ATTEMPTS):
            kept = await self._store.state(_STATE)
            others = orjson.loads(kept.data) if kept is not None and self._is_shared else []
            others = [one for one in others if one["at"] > now - _SHARED_MS][-_MOST_TOKENS + 1 :]
            data = orjson.dumps([*others, {"hash": _digest(token), "at": now}]).decode()
            if await self._store.save_state(_STATE, data, 0 if kept is None else kept.version):
                return token
        return None

    async def accept(self, token: str, username: str, password: str, device: Device) -> SignedIn:
        """Make the first user, an administrator and owner in the default tenant, and let them in.

        Raises:
            SetupClosedError: there is a user already.
            WrongSetupTokenError: the token is not of the last start.
            WeakPasswordError: says what is wanted.
            InvalidInputError: nobody may be called that.
            AddressNotAllowedError: the installation is not run from there.
        """
        if not await self.is_missing():
            raise SetupClosedError
        kept = await self._store.state(_STATE)
        hashes = [one["hash"] for one in orjson.loads(kept.data)] if kept is not None else []
        digest = _digest(token)
        if not any([hmac.compare_digest(digest, one) for one in hashes]):
            self._sign_in.tell(Happening("setup.done", False, device))
            raise WrongSetupTokenError
        # Before there is a user that could not sign in from here.
        self._sign_in.check_administration(device.address)
        user = await self.make(username, password, device)
        if user is None:
            raise SetupClosedError
        return await self._sign_in.open(user, None, device)

    async def make(self, username: str, password: str, device: Device) -> User | None:
        """Make that user if there is none; None if there is one."""
        name = username.strip().lower()
        if not re.match(USERNAME, name) or is_service_username(name):
            detail = "Use lower case letters, digits and ._@-, beginning with a letter or digit, and not with 'svc.'."
            raise InvalidInputError(detail, "username")
        self._passwords.check(password, name)
        if not await self.is_missing():
            return None
        wanted = User(UserId(0), name, is_admin=True, password_hash=await self._passwords.hash(password))
        user = await self._store.first_user(wanted, DEFAULT_TENANT)
        if user is not None:
            self._sign_in.tell(Happening("setup.done", True, device, user.id, user.username))
        return user


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()

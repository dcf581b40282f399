"""Failed attempts to sign in, counted by name and by address: each further one has to wait longer.

The counts are kept in the record, which every shape of installation has and no restart forgets. Redis would have to be
there, and would forget when it is emptied; memory would give an attacker five more attempts for each process.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.ids import Millis
from llm_scheduler.domain.sign_in_errors import TooManyAttemptsError
from llm_scheduler.domain.tries import KEPT_MS

if TYPE_CHECKING:
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.logins import LoginsMoves

_ALL: Final = 1_000.0
_IPV6_BITS: Final = 64
"""One customer has so many addresses; to count each by itself would be to count none."""


class Throttle:
    """Asked before a password is looked at, told how it ended."""

    def __init__(self, store: LoginsMoves, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def begin(self, username: str, address: str) -> None:
        """Count an attempt.

        Raises:
            TooManyAttemptsError: it is too early for one.
        """
        wait_ms = await self._store.take_try({_name_key(username), _address_key(address)})
        if wait_ms:
            raise TooManyAttemptsError(wait_ms / 1000)

    async def excuse(self, username: str, address: str) -> None:
        """That attempt was no failure, nor a success."""
        await self._store.forgive_tries({_name_key(username), _address_key(address)}, 1)

    async def succeed(self, username: str, address: str) -> None:
        """It was them. The name is free again; of the address only this attempt is taken back.

        Else somebody with an account of their own could clear their address between attempts on others'.
        """
        await self._store.forgive_tries({_name_key(username)}, _ALL)
        await self._store.forgive_tries({_address_key(address)}, 1)

    async def sweep(self) -> None:
        """Forget what has faded."""
        await self._store.forget_tries(Millis(self._clock.now() - KEPT_MS))


def _name_key(username: str) -> str:
    """What people type as a name may be anything, even a password: it is not kept."""
    return "name:" + hashlib.sha256(username.encode("utf-8", "replace")).hexdigest()[:40]


def _address_key(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "address:" + hashlib.sha256(address.encode("utf-8", "replace")).hexdigest()[:40]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return f"address:{parsed.ipv4_mapped}"
        return f"address:{ipaddress.ip_network((parsed, _IPV6_BITS), strict=False)}"
    return f"address:{parsed}"

"""Passwords by Argon2id, hashed in threads of their own: a flood of sign-ins cannot eat the process."""

from __future__ import annotations

import asyncio
import contextlib
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from pwdlib.hashers.argon2 import Argon2Hasher

from llm_scheduler.domain.sign_in_errors import SignInBusyError, WeakPasswordError
from llm_scheduler.ports.passwords import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_CHARS: Final = 256
AT_ONCE: Final = 2
MOST_WAITING: Final = 16
"""About a second of work; who comes then is told to come again."""
T = TypeVar("T")


class Effort(NamedTuple):
    """What one hash costs: passes, memory in KiB, lanes.

    64 MiB and two passes are over twice the least that OWASP's Password Storage Cheat Sheet asks for (19 MiB, two
    passes). One lane: more would take more cores at a time from the event loop, and cost an attacker nothing more.
    """

    passes: int = 2
    memory_kib: int = 65_536
    lanes: int = 1


class ArgonPasswords:
    """`ports.passwords.Passwords`.

    Args:
        least_chars: shortest password that is taken.
        effort: of new hashes; older ones are renewed when their owner signs in.
    """

    def __init__(self, least_chars: int = 10, effort: Effort | None = None) -> None:
        effort = effort or Effort()
        self._least_chars = least_chars
        # By itself, without the `PasswordHash` around it: a damaged hash is a wrong password, no fault.
        self._hasher = Argon2Hasher(time_cost=effort.passes, memory_cost=effort.memory_kib, parallelism=effort.lanes)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords")
        self._under_way = 0
        self._stand_in: str | None = None
        self.computed = 0
        """Hashes that were computed so far."""

    def check(self, password: str, username: str) -> None:
        """Refuse what is guessed first; no rules of what characters it must have.

        Source: NIST SP 800-63B-4, 3.1.1.2.
        """
        plain = _normal(password)
        if len(plain) < self._least_chars:
            raise WeakPasswordError(f"Use at least {self._least_chars} characters; a few words make a good one.")
        if len(plain) > MOST_CHARS:
            raise WeakPasswordError(f"Use at most {MOST_CHARS} characters.")
        lower = plain.casefold()
        if username and lower == username.casefold():
            raise WeakPasswordError("Use something other than the username.")
        if lower in commonest() or len(set(lower)) == 1:
            raise WeakPasswordError("That is one of the passwords that are tried first; use another.")

    async def hash(self, password: str) -> str:
        """The text to keep."""
        plain = _normal(password)
        return await self._run(lambda: self._hasher.hash(plain))

    async def verify(self, password: str, hashed: str | None) -> Verdict:
        """Whether it is the one; without a hash a stand-in is looked at, which takes as long."""
        plain = _normal(password)[: MOST_CHARS + 1]
        if hashed is None:
            await self._run(lambda: self._hasher.verify(plain, self._dummy()))
            return Verdict(False)
        kept = hashed
        is_right = await self._run(lambda: self._hasher.verify(plain, kept))
        if is_right and self._hasher.check_needs_rehash(kept):
            return Verdict(True, await self.hash(password))
        return Verdict(is_right)

    async def warm(self) -> None:
        """Make the stand-in now: the first stranger must not be the one to wait for it."""
        await self._run(self._dummy)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _dummy(self) -> str:
        if self._stand_in is None:
            self._stand_in = self._hasher.hash("nobody's password")
        return self._stand_in

    async def _run(self, work: Callable[[], T]) -> T:
        if self._under_way >= AT_ONCE + MOST_WAITING:
            raise SignInBusyError
        self._under_way += 1
        self.computed += 1
        job = self._threads.submit(work)
        # Counted until the thread is done, not until the caller loses patience: hanging up makes no room.
        loop = asyncio.get_running_loop()
        job.add_done_callback(lambda _: self._tell_done(loop))
        return await asyncio.wrap_future(job)

    def _tell_done(self, loop: asyncio.AbstractEventLoop) -> None:
        """From the thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody counts any more
            loop.call_soon_threadsafe(self._note_done)

    def _note_done(self) -> None:
        self._under_way -= 1


def _normal(password: str) -> str:
    """The same for one that was typed on another keyboard."""
    return unicodedata.normalize("NFKC", password)


@lru_cache(maxsize=1)
def commonest() -> frozenset[str]:
    """Passwords that are tried first, in lower case."""
    text = files("llm_scheduler.security").joinpath("common_passwords.txt").read_text("utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))

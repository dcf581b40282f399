"""Something between the program and its store or broker, that fails at a chosen call in a chosen way."""

from __future__ import annotations

import asyncio
import inspect
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from redis import Redis

from llm_scheduler.domain.errors import BrokerUnavailableError, SchedulerError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DIED: Final = 86
"""Exit code of a process that a trap ended."""
ACTIONS: Final = ("die before", "die after", "refuse", "lose reply", "late")


@dataclass(frozen=True)
class Point:
    """One place where a process fails.

    Attributes:
        port: `store` or `broker`.
        method: of the port.
        action: `die before` and `die after` the call, as kill -9 would; `refuse` it undone; `lose reply` of one
            that was done; make it `late`; `away`: from this call on the whole port refuses for `seconds`;
            `wipe` the index before the call, or `rewind` it to what it was when the trap was set.
        nth: which call since the trap was set, from 1 on.
        times: so many calls in a row fail.
        seconds: of `late` and `away`.
    """

    port: str
    method: str
    action: str
    nth: int = 1
    times: int = 1
    seconds: float = 0.3

    def __str__(self) -> str:
        number = f"#{self.nth}" if self.nth > 1 else ""
        times = f"×{self.times}" if self.times > 1 else ""
        seconds = f" {self.seconds:g} s" if self.action in ("late", "away") else ""
        return f"{self.action}{seconds} {self.port}.{self.method}{number}{times}"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Trap:
    """Waits for its call once it is set; writes `fired` to the case's log when it is met."""

    def __init__(self, point: Point | None, log: Path, settings: Mapping[str, str]) -> None:
        self.point, self._log, self._settings = point, log, settings
        self._remembered: dict[bytes, tuple[int, bytes]] = {}
        self.is_set = False
        self._calls = 0
        self._away_until_s = 0.0

    def wrap(self, port: str, inner: Any) -> Any:
        """The same port, with the trap before and behind each call."""
        return _Wrapped(self, port, inner)

    async def before(self, port: str, method: str) -> str | None:
        """Fail as told; else what is still to be done after the call."""
        point = self.point
        if point is None or not self.is_set or port != point.port:
            return None
        loop = asyncio.get_running_loop()
        if loop.time() < self._away_until_s:
            raise _refusal(port)
        if method != point.method:
            return None
        self._calls += 1
        if not point.nth <= self._calls < point.nth + point.times:
            return None
        self._note("fired")
        match point.action:
            case "die before":
                os._exit(DIED)
            case "refuse":
                raise _refusal(port)
            case "away":
                self._away_until_s = loop.time() + point.seconds
                raise _refusal(port)
            case "wipe" | "rewind":
                self._lose()
            case "late":
                await asyncio.sleep(point.seconds)
        return point.action

    def remember_index(self) -> None:
        """Take a copy of the index, for `rewind`."""
        if self.point is not None and self.point.action == "rewind":
            with self._redis() as redis:
                self._remembered = {key: (max(0, redis.pexpiretime(key)), redis.dump(key)) for key in self._keys(redis)}  # type: ignore[misc]

    def _lose(self) -> None:
        """Empty the index, or put it back to what is remembered."""
        with self._redis() as redis:
            for key in self._keys(redis):
                redis.delete(key)
            for key, (expires_ms, value) in self._remembered.items():
                redis.restore(key, expires_ms, value, absttl=bool(expires_ms))

    def _redis(self) -> Redis:
        return Redis.from_url(self._settings["redis_url"])

    def _keys(self, redis: Redis) -> list[bytes]:
        return list(redis.scan_iter(f"*{self._settings['redis_prefix']}*", count=1_000))

    def after(self, port: str, action: str | None) -> None:
        """What is done behind the call."""
        if action == "die after":
            os._exit(DIED)
        if action == "lose reply":
            raise _refusal(port)

    def _note(self, what: str) -> None:
        with self._log.open("a") as log:
            log.write(f"{what}\n")


def _refusal(port: str) -> SchedulerError:
    kind = StoreUnavailableError if port == "store" else BrokerUnavailableError
    return kind("a fail point says so")


class _Wrapped:
    def __init__(self, trap: Trap, port: str, inner: Any) -> None:
        self._trap, self._port, self._inner = trap, port, inner

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if not inspect.iscoroutinefunction(value):
            return value

        async def call(*args: Any, **kwargs: Any) -> Any:
            action = await self._trap.before(self._port, name)
            answer = await value(*args, **kwargs)
            self._trap.after(self._port, action)
            return answer

        setattr(self, name, call)
        return call

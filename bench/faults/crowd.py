"""The submitters: real HTTP, idempotency keys, retries as a sane client does, and a list of what was acknowledged."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from tests.live import KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.faults.loads import Item, Posting

GIVE_UP_S = 90.0
REQUEST_S = 15.0
LONGEST_PAUSE_S = 1.0
AT_ONCE = 64


@dataclass
class Request:
    """One HTTP request that was answered, or was not (status 0). Seconds of the monotonic clock."""

    at_s: float
    took_s: float
    status: int


@dataclass
class Heard:
    """What the submitters know."""

    acknowledged: dict[int, int | None] = field(default_factory=dict)
    """Number to task id; of a bulk only that it was taken."""
    cancelled: set[int] = field(default_factory=set)
    """Numbers whose cancel was acknowledged."""
    given_up: set[int] = field(default_factory=set)
    requests: list[Request] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    def waits_ms(self, begin_s: float, end_s: float) -> list[float]:
        """How long the requests took that were sent within a span."""
        return [one.took_s * 1000 for one in self.requests if begin_s <= one.at_s <= end_s]


class Crowd:
    """Submits a load in the background, from a thread of its own.

    Args:
        urls: of API processes; a request that fails goes to the next one.
        postings: in order of time.
        key: prefix of the idempotency keys.
    """

    def __init__(self, urls: Sequence[str], postings: Sequence[Posting], key: str) -> None:
        self._urls, self._postings, self._key = list(urls), postings, key
        self._turn = 0
        self.heard = Heard()
        self.began_s = time.monotonic()
        self._began_at = datetime.now(UTC)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="crowd", daemon=True)

    def begin(self) -> None:
        """Start submitting."""
        self.began_s, self._began_at = time.monotonic(), datetime.now(UTC)
        self._thread.start()

    def join(self, within_s: float) -> bool:
        """Wait until everything was answered; whether it was in time."""
        self._thread.join(within_s)
        return not self._thread.is_alive()

    @property
    def is_done(self) -> bool:
        return not self._thread.is_alive()

    async def _run(self) -> None:
        connector = aiohttp.TCPConnector(limit=AT_ONCE)
        timeout = aiohttp.ClientTimeout(total=REQUEST_S)
        headers = {"Authorization": f"Bearer {KEY}"}
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
            self._session = session
            jobs: list[asyncio.Task[None]] = []
            for posting in self._postings:
                await asyncio.sleep(max(0.0, self.began_s + posting.at_s - time.monotonic()))
                jobs.append(asyncio.create_task(self._post(posting)))
            await asyncio.gather(*jobs)

    async def _post(self, posting: Posting) -> None:
        items = posting.items
        single = len(items) == 1
        key = f"{self._key}-{items[0].number}"
        lines = [orjson.dumps(self._body(item)) for item in items]
        path = "/api/v1/tasks" if single else "/api/v1/tasks/bulk"
        kind = "application/json" if single else "application/x-ndjson"
        status, answer = await self._ask("POST", path, b"\n".join(lines), kind, key)
        taken = 200 <= status < 300 and (single or answer["accepted"] == len(items))
        for item in items:
            if taken:
                self.heard.acknowledged[item.number] = answer["id"] if single else None
            else:
                self.heard.given_up.add(item.number)
        if taken and single and items[0].cancel_after_s is not None:
            await asyncio.sleep(items[0].cancel_after_s)
            status, _ = await self._ask("POST", f"/api/v1/tasks/{answer['id']}/cancel", b"{}")
            if status == 200:
                self.heard.cancelled.add(items[0].number)

    def _body(self, item: Item) -> dict[str, Any]:
        body: dict[str, Any] = {"model": item.model, "input": f"task {item.number} takes {item.takes_ms} ms"}
        if item.due_in_s is not None:
            due = self._began_at + timedelta(seconds=item.due_in_s)
            body["run_at"] = due.isoformat(timespec="milliseconds")
        return body | item.fields

    async def _ask(
        self, method: str, path: str, body: bytes, kind: str = "application/json", key: str | None = None
    ) -> tuple[int, Any]:
        """Ask until there is an answer that a repetition would not change; (0, None) when time is up."""
        headers = {"Content-Type": kind} | ({"Idempotency-Key": key} if key else {})
        until_s = time.monotonic() + GIVE_UP_S
        pause_s = 0.05
        while True:
            status, answer, retry_after_s = await self._once(method, path, body, headers)
            if 200 <= status < 500 and status != 429:
                if status not in (200, 201, 202, 409):
                    self.heard.refused[f"{status}"] += 1
                return status, answer
            self.heard.refused[f"{status or 'no answer'}"] += 1
            if time.monotonic() > until_s:
                return 0, None
            await asyncio.sleep(min(retry_after_s or pause_s, LONGEST_PAUSE_S))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _once(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, Any, float | None]:
        url = self._urls[self._turn % len(self._urls)]
        self._turn += 1
        at_s = time.monotonic()
        status, answer, retry_after = 0, None, None
        try:
            async with self._session.request(method, url + path, data=body, headers=headers) as response:
                raw = await response.read()
                status, retry_after = response.status, response.headers.get("Retry-After")
                answer = orjson.loads(raw) if raw else None
        except (aiohttp.ClientError, TimeoutError, OSError, orjson.JSONDecodeError):
            status = 0
        self.heard.requests.append(Request(at_s, time.monotonic() - at_s, status))
        return status, answer, float(retry_after) if retry_after else None

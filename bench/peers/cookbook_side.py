"""The algorithm of openai-cookbook's parallel processor, written anew after its description.

    python -m bench.peers.cookbook_side BASE_URL TASKS_FILE RPM TPM

Source: openai-cookbook, examples/api_request_parallel_processor.py (commit 04a3090): two capacities that begin with a
whole minute's worth and refill evenly up to it; a request goes out when both have room for it (prompt and
`max_tokens`); an error puts it back into a retry queue that is served first, at most five attempts; after a rate-limit
error nothing goes out for 15 s; the loop turns every millisecond. Its pause is taken on any 429, which is what its
text says. A line of the file is the body of a chat completion. Prints how many succeeded and failed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

PAUSE_S = 15.0
TURN_S = 0.001
ATTEMPTS = 5


@dataclass
class Request:
    body: dict[str, Any]
    left: int = ATTEMPTS

    @property
    def tokens(self) -> int:
        """The stub counts a word as a token; the original asks tiktoken."""
        words = sum(len(message["content"].split()) for message in self.body["messages"])
        return words + 3 + self.body["max_tokens"]


@dataclass
class Capacity:
    per_minute: float
    available: float
    at_s: float

    def refill(self, now_s: float) -> None:
        self.available = min(self.per_minute, self.available + self.per_minute * (now_s - self.at_s) / 60)
        self.at_s = now_s


class Processor:
    def __init__(self, session: aiohttp.ClientSession, url: str, rpm: float, tpm: float) -> None:
        self._session, self._url = session, url
        now_s = time.monotonic()
        self._requests, self._tokens = Capacity(rpm, rpm, now_s), Capacity(tpm, tpm, now_s)
        self._retries: deque[Request] = deque()
        self._limited_at_s = float("-inf")
        self._open = 0
        self.done = self.failed = 0

    async def run(self, bodies: list[dict[str, Any]]) -> None:
        fresh = deque(map(Request, bodies))
        running: set[asyncio.Task[None]] = set()
        while fresh or self._retries or self._open:
            waiting = self._retries or fresh
            now_s = time.monotonic()
            for capacity in (self._requests, self._tokens):
                capacity.refill(now_s)
            if waiting and self._requests.available >= 1 and self._tokens.available >= waiting[0].tokens:
                request = waiting.popleft()
                self._requests.available -= 1
                self._tokens.available -= request.tokens
                request.left -= 1
                self._open += 1
                call = asyncio.create_task(self._call(request))
                running.add(call)
                call.add_done_callback(running.discard)
            await asyncio.sleep(TURN_S)
            pause_s = self._limited_at_s + PAUSE_S - time.monotonic()
            if pause_s > 0:
                await asyncio.sleep(pause_s)

    async def _call(self, request: Request) -> None:
        async with self._session.post(f"{self._url}/chat/completions", json=request.body) as answer:
            await answer.read()
        self._open -= 1
        if answer.status == 200:
            self.done += 1
            return
        if answer.status == 429:
            self._limited_at_s = time.monotonic()
        if request.left:
            self._retries.append(request)
        else:
            self.failed += 1


async def main() -> None:
    base_url, path, rpm, tpm = sys.argv[1:]
    bodies = [json.loads(line) for line in Path(path).read_text().splitlines()]  # noqa: ASYNC240 - before anything runs
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        processor = Processor(session, base_url, float(rpm), float(tpm))
        await processor.run(bodies)
    print(json.dumps({"done": processor.done, "failed": processor.failed}))


if __name__ == "__main__":
    asyncio.run(main())

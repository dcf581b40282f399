"""A server in OpenAI's format that serves so many calls at once, and lets the others wait without a word.

    python -m tests.stubs.queueing_stub --port 0 [--slots 6] [--token-ms 8] [--cap 20]

The first line that it prints is its port. `say N words` in the prompt sets the length. `GET /stub/stats` tells the
calls, the most that were inside at once, and how long the last ones waited; `POST /stub/reset` begins anew. Beyond
`cap` calls inside, the next ones are refused with 429.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import deque

import orjson
from aiohttp import web

from tests.stubs import openai_wire

_PROMPT_MS_PER_TOKEN = 0.2


class Queueing:
    """The server's state and its routes."""

    def __init__(self, slots: int, token_s: float, cap: int | None) -> None:
        self._slots, self._token_s, self._cap = asyncio.Semaphore(slots), token_s, cap
        self._reset()
        self.inside = 0

    def _reset(self) -> None:
        self.calls = self.refused = self.most = 0
        self.waits: deque[float] = deque(maxlen=2_000)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._call)
        app.router.add_get("/stub/stats", self._stats)
        app.router.add_post("/stub/reset", self._begin_anew)
        return app

    async def _call(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        reply = openai_wire.reply_to(body)
        if self._cap is not None and self.inside >= self._cap:
            self.refused += 1
            return web.json_response({"error": {"message": "too many calls at once", "type": "busy"}}, status=429)
        self.calls += 1
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            began_s = time.monotonic()
            async with self._slots:
                self.waits.append(time.monotonic() - began_s)
                return await self._answer(request, body, reply)
        finally:
            self.inside -= 1

    async def _answer(
        self, request: web.Request, body: dict[str, object], reply: openai_wire.Reply
    ) -> web.StreamResponse:
        await asyncio.sleep(reply.prompt_tokens * _PROMPT_MS_PER_TOKEN / 1000)
        events = [*map(openai_wire.sse, openai_wire.chunks("chat", body, reply))]
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for event in events:
            await asyncio.sleep(self._token_s)
            await response.write(event)
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    async def _stats(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "calls": self.calls,
                "refused": self.refused,
                "most": self.most,
                "inside": self.inside,
                "waits": list(self.waits),
            }
        )

    async def _begin_anew(self, _request: web.Request) -> web.Response:
        self._reset()
        return web.json_response({})


def main() -> None:
    """Serve until terminated."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--slots", type=int, default=6)
    parser.add_argument("--token-ms", type=float, default=8)
    parser.add_argument("--cap", type=int)
    given = parser.parse_args()
    asyncio.run(_serve(Queueing(given.slots, given.token_ms / 1000, given.cap), given.port))


async def _serve(server: Queueing, port: int) -> None:
    runner = web.AppRunner(server.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()

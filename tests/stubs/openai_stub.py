"""A strict server in OpenAI's and Anthropic's format that fails as it is told.

    python -m tests.stubs.openai_stub --port 0 [--rpm 60] [--tpm 10000] [--counting bucket] [--headers openai]

The first line that it prints is its port. A behaviour is `name` or `name:argument` (see `BEHAVIOURS`).
It is taken from `POST /stub/behaviour`, else from the header `x-stub`, else from a model named
`stub:<behaviour>`; else all goes well. `GET /stub/stats` counts, `GET /stub/requests` shows the last
requests, `POST /stub/limits` and `POST /stub/reset` start afresh.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from tests.stubs import anthropic_wire, openai_wire
from tests.stubs.accounts import COUNTINGS, STYLES, Accounts
from tests.stubs.canned import CANNED
from tests.stubs.openai_wire import Reply

HUGE_PIECE = b"data: " + orjson.dumps({"choices": [{"index": 0, "delta": {"content": "x" * 1_000_000}}]}) + b"\n\n"
SSE = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


@dataclass
class Job:
    """One request on its way through the stub."""

    request: web.Request
    kind: str
    body: dict[str, Any]
    reply: Reply
    argument: str

    @property
    def is_stream(self) -> bool:
        return bool(self.body.get("stream")) and self.kind != "embedding"

    def events(self, *, calls_tool: bool = False) -> list[bytes]:
        if self.kind == "message":
            made = anthropic_wire.events(self.body, self.reply, calls_tool=calls_tool)
            return [anthropic_wire.sse(event) for event in made]
        made = openai_wire.chunks(self.kind, self.body, self.reply, calls_tool=calls_tool)
        return [*map(openai_wire.sse, made), b"data: [DONE]\n\n"]

    def whole(self) -> dict[str, Any]:
        if self.kind == "message":
            return anthropic_wire.whole(self.body, self.reply)
        if self.kind == "embedding":
            return openai_wire.embeddings(self.body, self.reply)
        return openai_wire.whole(self.kind, self.body, self.reply)


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    body = orjson.dumps(value)
    return web.Response(body=body, status=status, headers={"content-type": "application/json", **(headers or {})})


async def _stream(job: Job, pieces: list[bytes], *, ends: bool = True) -> web.StreamResponse:
    response = web.StreamResponse(headers=SSE)
    response.enable_chunked_encoding()
    await response.prepare(job.request)
    for piece in pieces:
        await response.write(piece)
    if ends:
        await response.write_eof()
    return response


async def _tell_limits(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(request.get("limits", {}))


def _peer(request: web.Request) -> Any:
    return request.transport.get_extra_info("peername") if request.transport else None


def _abort(job: Job) -> None:
    if job.request.transport is not None:
        job.request.transport.abort()


async def normal(job: Job) -> web.StreamResponse:
    if job.is_stream:
        return await _stream(job, [b"".join(job.events())])
    return _json(job.whole())


async def delay(job: Job) -> web.StreamResponse:
    await asyncio.sleep(float(job.argument or 1))
    return await normal(job)


async def slow(job: Job) -> web.StreamResponse:
    """Seconds between chunks."""
    response = await _stream(job, [], ends=False)
    for piece in job.events():
        await response.write(piece)
        await asyncio.sleep(float(job.argument or 0.01))
    await response.write_eof()
    return response


async def error(job: Job) -> web.StreamResponse:
    canned = CANNED[job.argument]
    return web.Response(
        body=canned.body, status=canned.status, headers={"content-type": "application/json", **canned.headers}
    )


async def retry_after(job: Job) -> web.StreamResponse:
    canned = CANNED["429"]
    return web.Response(body=canned.body, status=429, headers={"retry-after": job.argument or "1"})


async def stream_error(job: Job) -> web.StreamResponse:
    canned = orjson.loads(CANNED["529" if job.kind == "message" else "500"].body)
    return await _stream(job, [*job.events()[:5], openai_wire.sse(canned)])


async def cut(job: Job) -> web.StreamResponse:
    """Some chunks, then a broken connection."""
    response = await _stream(job, job.events()[:5], ends=False)
    await asyncio.sleep(0.02)
    _abort(job)
    return response


async def cut_clean(job: Job) -> web.StreamResponse:
    """Some chunks, then the proper end of the body."""
    return await _stream(job, job.events()[:5])


async def no_done(job: Job) -> web.StreamResponse:
    return await _stream(job, job.events()[:-1])


async def no_usage(job: Job) -> web.StreamResponse:
    events = [event for event in job.events() if b'"prompt_tokens"' not in event]
    return await _stream(job, events)


async def plain(job: Job) -> web.StreamResponse:
    return _json(job.whole())


async def refuse_stream_options(job: Job) -> web.StreamResponse:
    if "stream_options" in job.body:
        return _json({"error": {"message": "Extra inputs are not permitted: stream_options"}}, 400)
    return await normal(job)


async def hang(job: Job) -> web.StreamResponse:
    await asyncio.Event().wait()
    return await normal(job)


async def hang_mid(job: Job) -> web.StreamResponse:
    await _stream(job, job.events()[:5], ends=False)
    return await hang(job)


async def hang_end(job: Job) -> web.StreamResponse:
    """Everything is said, but the body does not end."""
    await _stream(job, job.events(), ends=False)
    return await hang(job)


async def garbage(job: Job) -> web.StreamResponse:
    return web.Response(body=b"\x00\xff garbage sk-proj-abcdef123456", content_type="application/json")


async def garbage_stream(job: Job) -> web.StreamResponse:
    return await _stream(job, [job.events()[0], b"data: {not json\n\n"])


async def html(job: Job) -> web.StreamResponse:
    return web.Response(body=b"<html><title>Sign in</title></html>", content_type="text/html")


async def empty(job: Job) -> web.StreamResponse:
    return web.Response(body=b"", content_type="application/json")


async def huge(job: Job) -> web.StreamResponse:
    """So many megabytes."""
    response = await _stream(job, [], ends=False)
    for _ in range(int(job.argument or 80)):
        await response.write(HUGE_PIECE)
    await response.write_eof()
    return response


async def drop(job: Job) -> web.StreamResponse:
    """The connection closes without a word."""
    _abort(job)
    return web.Response()


_used: set[Any] = set()


async def drop_kept(job: Job) -> web.StreamResponse:
    """A connection's first request is answered; at its second it closes without a word."""
    peer = _peer(job.request)
    if peer in _used:
        return await drop(job)
    _used.add(peer)
    return await normal(job)


async def tool(job: Job) -> web.StreamResponse:
    return await _stream(job, job.events(calls_tool=True))


BEHAVIOURS: dict[str, Callable[[Job], Awaitable[web.StreamResponse]]] = {
    act.__name__: act
    for act in (
        normal, delay, slow, error, retry_after, stream_error, cut, cut_clean, no_done, no_usage, plain,
        refuse_stream_options, hang, hang_mid, hang_end, garbage, garbage_stream, html, empty, huge, drop, drop_kept,
        tool,
    )
}  # fmt: skip


class Stub:
    """The server's state and its routes."""

    def __init__(
        self, accounts: Accounts, *, api_key: str = "", behaviour: str = "", charges_most: bool = False
    ) -> None:
        self.accounts = accounts
        self.charges_most = charges_most
        self.api_key = api_key
        self.behaviour = behaviour
        self.peers: set[Any] = set()
        self.requests: deque[dict[str, Any]] = deque(maxlen=100)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 28)
        app.on_response_prepare.append(_tell_limits)
        for path, kind in (
            ("/chat/completions", "chat"),
            ("/completions", "completion"),
            ("/embeddings", "embedding"),
            ("/messages", "message"),
        ):
            app.router.add_post(f"/v1{path}", self._route(kind))
        app.router.add_get("/stub/stats", self._stats)
        app.router.add_get("/stub/requests", self._requests)
        app.router.add_post("/stub/behaviour", self._set_behaviour)
        app.router.add_post("/stub/limits", self._set_limits)
        app.router.add_post("/stub/reset", self._reset)
        return app

    def _route(self, kind: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.accounts.begin()
            try:
                response = await self._answer(kind, request)
            except (asyncio.CancelledError, ConnectionResetError):
                self.accounts.aborted += 1  # the client went away
                raise
            finally:
                self.accounts.end()
            self.accounts.errors += response.status >= 400
            return response

        return handle

    async def _answer(self, kind: str, request: web.Request) -> web.StreamResponse:
        data = await request.read()
        self.peers.add(_peer(request))
        self.accounts.connections = len(self.peers)
        try:
            body: Any = orjson.loads(data)
        except orjson.JSONDecodeError:
            body = None
        self.requests.append(
            {
                "path": request.path_qs,
                "headers": {str(name).lower(): value for name, value in request.headers.items()},
                "body": body,
            }
        )
        refusal = self._refusal(kind, request, body)
        if refusal is not None:
            return refusal
        reply = openai_wire.reply_to(body)
        wait_s = self.accounts.arrive(self._charge(body, reply))
        request["limits"] = self.accounts.headers()
        if wait_s is not None:
            headers = {"retry-after-ms": str(int(wait_s * 1000) + 1)}
            return _json(orjson.loads(CANNED["429"].body), 429, headers)
        model = body["model"]
        named = model.removeprefix("stub:") if model.startswith("stub:") else "normal"
        name, _, argument = (self.behaviour or request.headers.get("x-stub") or named).partition(":")
        return await BEHAVIOURS[name](Job(request, kind, body, reply, argument))

    def _charge(self, body: Any, reply: Reply) -> int:
        most = body.get("max_completion_tokens") or body.get("max_tokens") if self.charges_most else None
        return reply.prompt_tokens + most if most else reply.tokens

    def _refusal(self, kind: str, request: web.Request, body: Any) -> web.Response | None:
        given = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.api_key and given != self.api_key:
            return _json({"error": {"message": f"Incorrect API key provided: {given}", "code": "invalid_api_key"}}, 401)
        if kind == "message" and "anthropic-version" not in request.headers:
            return _json({"type": "error", "error": {"type": "invalid_request_error", "message": "no version"}}, 400)
        said = anthropic_wire.problem(body) if kind == "message" else openai_wire.problem(kind, body)
        return _json({"error": {"message": said, "type": "invalid_request_error"}}, 400) if said else None

    async def _stats(self, request: web.Request) -> web.Response:
        return _json(self.accounts.stats(float(request.query.get("since_s", 0))))

    async def _requests(self, request: web.Request) -> web.Response:
        return _json(list(self.requests))

    async def _set_behaviour(self, request: web.Request) -> web.Response:
        self.behaviour = (await request.json())["behaviour"]
        return _json({"behaviour": self.behaviour})

    async def _set_limits(self, request: web.Request) -> web.Response:
        given = await request.json()
        self.accounts.rpm, self.accounts.tpm = given.get("rpm"), given.get("tpm")
        self.accounts.span_s = given.get("span_s", self.accounts.span_s)
        return await self._reset(request)

    async def _reset(self, request: web.Request) -> web.Response:
        self.accounts.reset()
        self.requests.clear()
        return _json({})


async def serve(options: argparse.Namespace) -> None:
    accounts = Accounts(options.rpm, options.tpm, options.span_s, options.counting, options.headers)
    stub = Stub(accounts, api_key=options.api_key, behaviour=options.behaviour, charges_most=options.charges_most)
    runner = web.AppRunner(stub.app(), handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, options.host, options.port, backlog=4096)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rpm", type=int)
    parser.add_argument("--tpm", type=int)
    parser.add_argument("--span-s", type=float, default=60.0)
    parser.add_argument("--counting", choices=sorted(COUNTINGS), default="sliding")
    parser.add_argument("--headers", choices=STYLES, default="", help="whose rate-limit headers to write")
    parser.add_argument("--charges-most", action="store_true", help="max_tokens count, whatever comes out")
    parser.add_argument("--api-key", default="")
    parser.add_argument("--behaviour", default="")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()

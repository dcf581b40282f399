"""Answers kept for idempotency keys of requests that make something other than single tasks."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

import orjson

from llm_scheduler.api.answers import Answer
from llm_scheduler.api.errors import Problem
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import idempotency_key
from llm_scheduler.domain.errors import IdempotencyConflictError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from llm_scheduler.api.parts import Caller
    from llm_scheduler.domain.ids import TenantId

_under_way: Final[WeakValueDictionary[tuple[TenantId, str], asyncio.Lock]] = WeakValueDictionary()
"""Of the requests with a key that this process is at; each holds its own."""


async def once(request: Request, body: bytes, make: Callable[[], Awaitable[Answer]]) -> Answer:
    """What `make` answers; for a key that was used with this body on this path, the first answer with 200.

    Raises:
        IdempotencyConflictError: the key was used with another body.
    """
    key = idempotency_key(request)
    if key is None:
        return await make()
    caller = caller_of(request)
    fingerprint = hashlib.sha256(request.scope["path"].encode() + b"\0" + body).hexdigest()
    lock = _under_way.setdefault((caller.tenant_id, key), asyncio.Lock())
    async with lock:  # a repeat that comes meanwhile waits for the first one's answer
        return await _made(caller, key, fingerprint, make)


async def _made(caller: Caller, key: str, fingerprint: str, make: Callable[[], Awaitable[Answer]]) -> Answer:
    store = caller.parts.store
    kept = await store.reply(caller.tenant_id, key)
    if kept is not None:
        if kept[0] != fingerprint:
            raise IdempotencyConflictError(key)
        caller.trail.is_silent = True
        return Answer(200, kept[1].encode())
    answer = await make()
    await store.keep_reply(caller.tenant_id, key, fingerprint, answer.body.decode())
    return answer


async def once_shown(request: Request, body: bytes, make: Callable[[], Awaitable[tuple[Answer, str]]]) -> Answer:
    """As `once` for an answer that has a secret: it is not kept, only where the thing is that was made.

    `make` gives both. Of a repeated request nothing is made twice, and the secret is not shown again.

    Raises:
        IdempotencyConflictError: the key was used with another body.
        Problem: 409 `shown_once`, the key was used with this one.
    """
    place = ""

    async def keepable() -> Answer:
        nonlocal place
        answer, place = await make()
        made.append(answer)
        return Answer(answer.status, orjson.dumps({"location": place}))

    made: list[Answer] = []
    kept = await once(request, body, keepable)
    if made:
        return made[0]
    place = orjson.loads(kept.body)["location"]
    detail = f"An earlier request with this Idempotency-Key made {place}; its secret is shown only once."
    raise Problem(409, "shown_once", detail, members={"location": place})

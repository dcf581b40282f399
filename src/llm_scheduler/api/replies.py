"""Answers kept for idempotency keys of requests that make something other than single tasks."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Final

import orjson

from llm_scheduler.api.answers import Answer
from llm_scheduler.api.errors import Problem
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import idempotency_key
from llm_scheduler.domain.errors import IdempotencyConflictError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

_LOOK_AGAIN_S: Final = 0.1


async def once(request: Request, body: bytes, make: Callable[[], Awaitable[Answer]]) -> Answer:
    """What `make` answers; for a key that was used with this body on this path, the first answer with 200.

    Of requests that come at once, also to several processes, one is carried out, and the others wait for its answer.

    Raises:
        IdempotencyConflictError: the key was used with another body.
    """
    key = idempotency_key(request)
    if key is None:
        return await make()
    caller = caller_of(request)
    store, tenant_id = caller.parts.store, caller.tenant_id
    fingerprint = hashlib.sha256(request.scope["path"].encode() + b"\0" + body).hexdigest()
    while (taken := await store.take_key(tenant_id, key, fingerprint)) is not None:
        if taken.fingerprint != fingerprint:
            raise IdempotencyConflictError(key)
        if taken.answer is not None:
            caller.trail.is_silent = True
            return Answer(200, taken.answer.encode())
        await asyncio.sleep(_LOOK_AGAIN_S)  # the first one is at it, here or in another process
    try:
        answer = await make()
    except BaseException:
        await store.free_key(tenant_id, key)
        raise
    await store.keep_reply(tenant_id, key, answer.body.decode())
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

"""Answers kept for idempotency keys of requests that make something other than single tasks."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from llm_scheduler.api.answers import Answer
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import idempotency_key
from llm_scheduler.domain.errors import IdempotencyConflictError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request


async def once(request: Request, body: bytes, make: Callable[[], Awaitable[Answer]]) -> Answer:
    """What `make` answers; for a key that was used with this body on this path, the first answer with 200.

    Raises:
        IdempotencyConflictError: the key was used with another body.
    """
    key = idempotency_key(request)
    if key is None:
        return await make()
    caller = caller_of(request)
    store = caller.parts.store
    fingerprint = hashlib.sha256(request.scope["path"].encode() + b"\0" + body).hexdigest()
    kept = await store.reply(caller.tenant_id, key)
    if kept is not None:
        if kept[0] != fingerprint:
            raise IdempotencyConflictError(key)
        caller.trail.is_silent = True
        return Answer(200, kept[1].encode())
    answer = await make()
    await store.keep_reply(caller.tenant_id, key, fingerprint, answer.body.decode())
    return answer

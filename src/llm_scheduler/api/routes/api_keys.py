"""API keys: make, look, change, revoke, renew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, Nothing, json_answer
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import (
    checked,
    no_query,
    parsed,
    path_id,
    query_of,
    read_body,
    read_json_bytes,
    read_optional_body,
)
from llm_scheduler.api.replies import once_shown
from llm_scheduler.api.schemas.api_keys import (
    ApiKeyBody,
    ApiKeyDetails,
    ApiKeyList,
    ApiKeyMade,
    ApiKeyPatch,
    ApiKeyQuery,
    ApiKeyRenewed,
    ApiKeyShown,
    RenewBody,
    key_json,
)
from llm_scheduler.api.schemas.money import budget_json
from llm_scheduler.domain.ids import KeyId
from llm_scheduler.ports.api_keys import KeyFilter
from llm_scheduler.services.api_keys import KeyDraft

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.api.parts import Caller
    from llm_scheduler.domain.access import ApiKey

router: Final = APIRouter(route_class=DirectRoute)
_ALL: Final = "/api/v1/api-keys"
_ONE: Final = "/api/v1/api-keys/{key_id}"


@router.post(
    _ALL,
    **operation(
        Tag.ACCESS,
        "Make an API key",
        body=ApiKeyBody,
        answers={201: ApiKeyMade},
        problems=(404, 409, 413, 415, 503),
        headers=("Idempotency-Key",),
    ),
)
async def add(request: Request) -> Answer:
    """Make a key of your own, or as an owner one of a service account. Its text is in this answer only.

    It may do what its scopes say, and of that never more than its user may at the time. A key that makes another
    hands its own limits and end on. A repeated request with one Idempotency-Key makes nothing and is 409
    `shown_once`: the answer with the text is not kept.
    """
    caller = caller_of(request)
    no_query(request)
    raw = await read_json_bytes(request)
    body = checked(parsed(raw), ApiKeyBody, "body")
    caller.audit(target=body.name)

    async def make() -> tuple[Answer, str]:
        draft = KeyDraft(body.name, body.user, body.scopes, body.limits(), body.ends_at(caller.parts.clock.now()))
        key, text = await caller.parts.access.api_keys.add(caller.principal, draft)
        place, shown = f"{_ALL}/{key.id}", _shown(caller, key)
        caller.audit(target=str(key.id), after=shown)
        return json_answer({**shown, "key": text}, 201, place), place

    return await once_shown(request, raw, make)


@router.get(
    _ALL, **operation(Tag.ACCESS, "List API keys", query=ApiKeyQuery, answers={200: ApiKeyList}, problems=(503,))
)
async def list_keys(request: Request) -> Answer:
    """A page of your own keys, newest first; with `all` or `user`, as an owner, those of others."""
    caller = caller_of(request)
    query = query_of(request, ApiKeyQuery)
    after = None if query.cursor is None else KeyId(int(query.cursor))
    where = KeyFilter(caller.tenant_id, with_revoked=query.revoked, after_id=after)
    # One more than asked for tells whether there is a next page.
    found = await caller.parts.access.api_keys.list(
        caller.principal, where, query.limit + 1, user=query.user, is_all=query.all
    )
    items = found[: query.limit]
    cursor = str(items[-1].id) if len(found) > len(items) else None
    return json_answer({"items": [_shown(caller, key) for key in items], "next_cursor": cursor})


@router.get(_ONE, **operation(Tag.ACCESS, "Get an API key", answers={200: ApiKeyDetails}, problems=(404, 503)))
async def get(request: Request) -> Answer:
    """One key: what it may do, when it was last used, what its budgets say."""
    caller = caller_of(request)
    no_query(request)
    key = await caller.parts.access.api_keys.get(caller.principal, _key_id(request))
    now, name_of = caller.parts.clock.now(), caller.parts.catalogue.name_of
    budgets = [one for one in await caller.parts.budgets.list(caller.tenant_id) if one.key_id == key.id]
    return json_answer({**_shown(caller, key), "budgets": [budget_json(one, name_of, now) for one in budgets]})


@router.patch(
    _ONE,
    **operation(
        Tag.ACCESS,
        "Change an API key",
        body=ApiKeyPatch,
        answers={200: ApiKeyShown},
        problems=(404, 409, 413, 415, 503),
    ),
)
async def change(request: Request) -> Answer:
    """Change what is given; it holds for the next request with the key. Its text stays as it is."""
    caller = caller_of(request)
    no_query(request)
    body = await read_body(request, ApiKeyPatch)
    changes = body.changes(caller.parts.clock.now())
    keys, key_id = caller.parts.access.api_keys, _key_id(request)
    caller.audit(before=_shown(caller, await keys.get(caller.principal, key_id)))
    shown = _shown(caller, await keys.change(caller.principal, key_id, changes))
    caller.audit(after=shown)
    return json_answer(shown)


@router.delete(_ONE, **operation(Tag.ACCESS, "Revoke an API key", answers={204: "It is revoked."}, problems=(404, 503)))
async def revoke(request: Request) -> Nothing:
    """Revoke it for good: here at once, in other processes within a second. It stays to be seen for 90 days."""
    caller = caller_of(request)
    no_query(request)
    keys, key_id = caller.parts.access.api_keys, _key_id(request)
    caller.audit(before=_shown(caller, await keys.get(caller.principal, key_id)))
    await keys.revoke(caller.principal, key_id)
    return Nothing()


@router.post(
    _ONE + "/renew",
    **operation(
        Tag.ACCESS,
        "Renew an API key",
        body=RenewBody,
        needs_body=False,
        answers={201: ApiKeyRenewed},
        problems=(404, 409, 413, 415, 503),
        headers=("Idempotency-Key",),
    ),
)
async def renew(request: Request) -> Answer:
    """Make a key with the same name, scopes and limits; the old one ends `overlap_s` from now, a day by default.

    The new text is in this answer only. Without `expires_at` or `expires_in_s` it holds as long as the old one was to
    hold when it was made.
    """
    caller = caller_of(request)
    no_query(request)
    body = await read_optional_body(request, RenewBody) or RenewBody()

    async def make() -> tuple[Answer, str]:
        ends_at = body.ends_at(caller.parts.clock.now())
        (key, text), old = await caller.parts.access.api_keys.renew(
            caller.principal, _key_id(request), body.overlap_s * 1000, ends_at
        )
        place = f"{_ALL}/{key.id}"
        shown = {**_shown(caller, key), "replaces": _shown(caller, old)}
        # The new one's id, for `id` is among the fields that nobody sets.
        caller.audit(after={**shown, "new_id": key.id})
        return json_answer({**shown, "key": text}, 201, place), place

    return await once_shown(request, body.model_dump_json().encode(), make)


def _key_id(request: Request) -> KeyId:
    return KeyId(path_id(request, "key_id"))


def _shown(caller: Caller, key: ApiKey) -> Mapping[str, object]:
    return key_json(key, caller.parts.access.api_keys.username(key), caller.parts.clock.now())

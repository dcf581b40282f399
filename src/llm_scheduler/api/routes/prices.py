"""Prices: what applies and why, overrides, and importing them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, Nothing, json_answer
from llm_scheduler.api.errors import Problem, invalid
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import is_json, media_type, no_query, parsed, path_id, query_of, read_body, read_bytes
from llm_scheduler.api.schemas.money import (
    ImportQuery,
    ImportShown,
    OverrideShown,
    PriceBody,
    PriceList,
    PriceQuery,
    applied_json,
    override_json,
)
from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.domain.money import DEFAULT_TIER
from llm_scheduler.services.price_import import from_csv, from_litellm
from llm_scheduler.services.prices import UNKNOWN

if TYPE_CHECKING:
    from llm_scheduler.api.parts import Caller
    from llm_scheduler.domain.budget import PriceRow
    from llm_scheduler.domain.ids import TenantId
    from llm_scheduler.domain.model import Model
    from llm_scheduler.services.price_import import Read

router: Final = APIRouter(route_class=DirectRoute)
_MOST_LISTED: Final = 1_000


@router.get(
    "/api/v1/prices",
    **operation(Tag.MONEY, "List prices", query=PriceQuery, answers={200: PriceList}, problems=(404, 503)),
)
async def list_prices(request: Request) -> Answer:
    """What a token of each model costs now, by tier, and where that is known from; and all overrides."""
    caller = caller_of(request)
    name = query_of(request, PriceQuery).model
    models = caller.parts.models
    if name is None:
        chosen = caller.parts.catalogue.visible(caller.tenant_id, caller.principal.allowed_models)
    else:
        chosen = [models.get(name, caller.tenant_id)]
    items = [item for model in chosen for item in await _applied(caller, model)]
    overrides = await caller.parts.budgets.prices(caller.tenant_id)
    return json_answer({"items": items, "overrides": [override_json(row) for row in overrides]})


async def _applied(caller: Caller, model: Model) -> list[dict[str, object]]:
    now, prices = caller.parts.clock.now(), caller.parts.prices
    known = await prices.known(model, caller.tenant_id, now)
    rows = {tier: one.row for tier, one in known.items()}
    tiers = await prices.tiers(model, caller.tenant_id, now) or {DEFAULT_TIER: UNKNOWN}
    return [applied_json(model.name, tier, price, rows.get(tier)) for tier, price in sorted(tiers.items())]


@router.put(
    "/api/v1/prices",
    **operation(Tag.MONEY, "Set a price", body=PriceBody, answers={200: OverrideShown}, problems=(413, 415, 503)),
)
async def put(request: Request) -> Answer:
    """Override a price. One of the same scope, provider, model, tier and date is replaced."""
    caller = caller_of(request)
    no_query(request)
    body = await read_body(request, PriceBody)
    if body.scope == "installation" and caller.tenant_id != DEFAULT_TENANT:
        raise invalid(
            "Only the installation's own tenant sets prices for everybody; use scope 'tenant'.", "body", "scope"
        )
    row = body.row(caller.tenant_id, "api")
    caller.audit(target=f"{body.provider}/{body.model}/{body.tier}")
    if row.tenant_id is None:
        caller.audit_tenant(None)
    former = [one for one in await caller.parts.budgets.prices(caller.tenant_id) if _place(one) == _place(row)]
    [saved] = await caller.parts.budgets.save_prices([row])
    caller.audit(before=override_json(former[0]) if former else None, after=override_json(saved))
    return json_answer(override_json(saved))


@router.post(
    "/api/v1/prices/import",
    **operation(Tag.MONEY, "Import prices", query=ImportQuery, answers={200: ImportShown}, problems=(413, 415, 503)),
)
async def import_prices(request: Request) -> Answer:
    """Take prices from CSV or from LiteLLM's JSON file. Bad lines are listed by number; the others are taken.

    CSV columns: provider, model, tier, valid_from (a date), input_usd_per_million, output_usd_per_million,
    cached_input_usd_per_million, cache_write_usd_per_million, request_usd.
    """
    caller = caller_of(request)
    asked = query_of(request, ImportQuery).format
    kind = media_type(request)
    body = await read_bytes(request, caller.parts.max_body_bytes, "send it in parts")
    owner = None if caller.tenant_id == DEFAULT_TENANT else caller.tenant_id
    if asked == "csv" or (asked is None and kind == "text/csv"):
        read = _csv(body, owner)
    elif asked == "litellm" or (asked is None and is_json(kind)):
        read = from_litellm(parsed(body), owner)
    else:
        raise Problem(415, "unsupported_media_type", "Send text/csv, or LiteLLM's file as application/json.")
    if not read.rows:
        said = f" Line {read.bad[0].line}: {read.bad[0].detail}" if read.bad else ""
        raise invalid(f"There is no price in the body.{said}", "body")
    await caller.parts.budgets.save_prices(read.rows)
    caller.audit(after={"imported": len(read.rows), "rejected": len(read.bad)})
    rejected = [{"line": bad.line, "code": "invalid_request", "detail": bad.detail} for bad in read.bad]
    return json_answer(
        {"imported": len(read.rows), "rejected": rejected[:_MOST_LISTED], "rejected_total": len(rejected)}
    )


def _place(row: PriceRow) -> tuple[object, ...]:
    """What an override is replaced by."""
    return row.tenant_id, row.provider, row.model, row.tier, row.valid_from


def _csv(body: bytes, owner: TenantId | None) -> Read:
    try:
        return from_csv(body.decode("utf-8-sig"), owner)
    except UnicodeDecodeError:
        raise invalid("The body is not UTF-8; save the file as UTF-8.", "body") from None


@router.delete(
    "/api/v1/prices/{price_id}",
    **operation(Tag.MONEY, "Remove a price", answers={204: "It is gone."}, problems=(404, 503)),
)
async def remove(request: Request) -> Nothing:
    """Delete an override; what stands beneath it applies again."""
    caller = caller_of(request)
    no_query(request)
    price_id = path_id(request, "price_id")
    mine = {row.id: row for row in await caller.parts.budgets.prices(caller.tenant_id)}
    owner = mine[price_id].tenant_id if price_id in mine else caller.tenant_id
    if price_id in mine:
        caller.audit(before=override_json(mine[price_id]))
    if owner is None and caller.tenant_id != DEFAULT_TENANT:
        owner = caller.tenant_id
    await caller.parts.budgets.remove_price(price_id, owner)
    return Nothing()

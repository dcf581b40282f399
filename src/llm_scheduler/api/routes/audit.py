"""The audit log: listed, exported, verified. Nothing here writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, json_answer
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import query_of
from llm_scheduler.api.schemas.audit import (
    CSV_COLUMNS,
    AuditExportQuery,
    AuditPageShown,
    AuditQuery,
    AuditVerifiedShown,
    AuditVerifyQuery,
    csv_lines,
    entry_json,
    verified_json,
)
from llm_scheduler.api.streams import RowStream
from llm_scheduler.domain.access import Permission, PrincipalKind
from llm_scheduler.domain.access_errors import TenantNotFoundError
from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.services.audit import verified

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from llm_scheduler.api.parts import Caller
    from llm_scheduler.api.schemas.audit import AuditWhere
    from llm_scheduler.domain.audit import AuditFilter
    from llm_scheduler.domain.ids import TenantId
    from llm_scheduler.ports.audit import AuditPage

router: Final = APIRouter(route_class=DirectRoute)
PAGE: Final = 500
_CSV, _NDJSON = "text/csv; charset=utf-8", "application/x-ndjson"


@router.get(
    "/api/v1/audit",
    **operation(Tag.AUDIT, "List the audit log", query=AuditQuery, answers={200: AuditPageShown}, problems=(404, 503)),
)
async def list_audit(request: Request) -> Answer:
    """Who did what, newest first. Owners see what is about their tenant, administrators everything."""
    caller = caller_of(request)
    query = query_of(request, AuditQuery)
    page = await caller.parts.store.audit_page(_where(caller, query), limit=query.limit, cursor=query.cursor)
    items = [entry_json(row, lambda tenant_id: _name(caller, tenant_id)) for row in page.items]
    return json_answer({"items": items, "next_cursor": page.next_cursor})


@router.get(
    "/api/v1/audit/export",
    **operation(
        Tag.AUDIT,
        "Export the audit log",
        query=AuditExportQuery,
        answers={200: "Lines."},
        media=(_NDJSON, "text/csv"),
        problems=(404, 503),
    ),
)
async def export(request: Request) -> RowStream:
    """Everything that matches, newest first: NDJSON whose last line is `{"rows": N}`, or with `format=csv` CSV."""
    caller = caller_of(request)
    query = query_of(request, AuditExportQuery)
    where = _where(caller, query)
    caller.audit(after={"format": query.format})
    # The first page before the answer begins: a record that is away is a problem, not a broken stream.
    page = await caller.parts.store.audit_page(where, limit=PAGE)
    if query.format == "csv":
        return RowStream(_csv(caller, where, page), _CSV, "audit.csv")
    return RowStream(_lines(caller, where, page), _NDJSON)


@router.get(
    "/api/v1/audit/verify",
    **operation(
        Tag.AUDIT, "Verify the audit log", query=AuditVerifyQuery, answers={200: AuditVerifiedShown}, problems=(503,)
    ),
)
async def verify(request: Request) -> Answer:
    """Go along the chain of hashes, to its end or its first fault."""
    caller = caller_of(request)
    query = query_of(request, AuditVerifyQuery)
    store = caller.parts.store
    chain = await verified(store, last=query.last, expected=query.expect or "")
    return json_answer(verified_json(chain, is_guarded=await store.is_audit_guarded()))


def _where(caller: Caller, query: AuditWhere) -> AuditFilter:
    """What may be seen, and of that what is asked for.

    Raises:
        TenantNotFoundError: there is no such tenant, or it is none of theirs.
    """
    principal = caller.principal
    # A key acts in its own tenant, also an administrator's; that of the installation's tenant stands for all.
    is_bound = principal.kind is PrincipalKind.KEY and caller.tenant_id != DEFAULT_TENANT
    sees_all = principal.may(Permission.SYSTEM_READ) and not is_bound
    if query.tenant is None:
        return query.where(is_of_tenant=not sees_all, tenant_id=None if sees_all else caller.tenant_id)
    found = caller.parts.catalogue.tenant_named(query.tenant)
    if found is None or not (sees_all or found.id == caller.tenant_id):
        raise TenantNotFoundError(query.tenant)
    return query.where(is_of_tenant=True, tenant_id=found.id)


def _name(caller: Caller, tenant_id: TenantId | None) -> str | None:
    found = None if tenant_id is None else caller.parts.catalogue.tenants_by_id.get(tenant_id)
    return None if found is None else found.name


async def _lines(caller: Caller, where: AuditFilter, first: AuditPage) -> AsyncGenerator[bytes, None]:
    rows = 0
    async for page in _pages(caller, where, first):
        rows += len(page.items)
        shown = (entry_json(row, lambda tenant_id: _name(caller, tenant_id)) for row in page.items)
        yield b"".join(orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE) for one in shown)
    yield orjson.dumps({"rows": rows}, option=orjson.OPT_APPEND_NEWLINE)


async def _csv(caller: Caller, where: AuditFilter, first: AuditPage) -> AsyncGenerator[bytes, None]:
    yield ",".join(CSV_COLUMNS).encode() + b"\r\n"
    async for page in _pages(caller, where, first):
        yield csv_lines(page.items, lambda tenant_id: _name(caller, tenant_id))


async def _pages(caller: Caller, where: AuditFilter, first: AuditPage) -> AsyncGenerator[AuditPage, None]:
    page = first
    while True:
        yield page
        if page.next_cursor is None:
            return
        page = await caller.parts.store.audit_page(where, limit=PAGE, cursor=page.next_cursor)

"""Who belongs to the caller's tenant, and its service accounts."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, Nothing, json_answer
from llm_scheduler.api.granting import check_grant
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.paging import PageQuery, page
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import checked, no_query, parsed, query_of, read_body, read_json_bytes
from llm_scheduler.api.replies import once
from llm_scheduler.api.schemas.people import (
    MemberBody,
    MemberList,
    MemberShown,
    ServiceBody,
    ServiceList,
    ServiceShown,
    member_json,
    service_json,
)
from llm_scheduler.domain.access import Role

router: Final = APIRouter(route_class=DirectRoute)
_MEMBERS: Final = "/api/v1/members"
_MEMBER: Final = _MEMBERS + "/{username}"
_SERVICES: Final = "/api/v1/service-accounts"


@router.get(
    _MEMBERS, **operation(Tag.ACCESS, "List members", query=PageQuery, answers={200: MemberList}, problems=(503,))
)
async def list_members(request: Request) -> Answer:
    """Who belongs to your tenant, by name; service accounts are among them."""
    caller = caller_of(request)
    query = query_of(request, PageQuery)
    members = caller.parts.access.users.members(caller.tenant_id)
    found, cursor = page(members, lambda member: member.user.username, query)
    return json_answer({"items": [member_json(member) for member in found], "next_cursor": cursor})


@router.put(
    _MEMBER,
    **operation(
        Tag.ACCESS,
        "Set a member's role",
        body=MemberBody,
        answers={200: MemberShown, 201: MemberShown},
        problems=(404, 413, 415, 503),
    ),
)
async def set_member(request: Request) -> Answer:
    """Add a user, whom an administrator has made, to your tenant; or give a member another role."""
    caller = caller_of(request)
    no_query(request)
    role = Role((await read_body(request, MemberBody)).role)
    check_grant(caller, role)
    users, name = caller.parts.access.users, _name(request)
    before = users.found_member(name, caller.tenant_id)
    caller.audit(before=None if before is None else member_json(before))
    member, is_new = await users.set_member(name, caller.tenant_id, role)
    shown = member_json(member)
    caller.audit(after=shown)
    return json_answer(shown, 201 if is_new else 200)


@router.delete(
    _MEMBER,
    **operation(Tag.ACCESS, "Remove a member", answers={204: "It is gone."}, problems=(404, 503)),
)
async def remove_member(request: Request) -> Nothing:
    """Take somebody out of your tenant; the API keys that the user had here are revoked."""
    caller = caller_of(request)
    no_query(request)
    check_grant(caller, Role.VIEWER)
    users, name = caller.parts.access.users, _name(request)
    caller.audit(before=member_json(users.member(name, caller.tenant_id)))
    await users.remove_member(name, caller.tenant_id)
    return Nothing()


@router.get(
    _SERVICES,
    **operation(Tag.ACCESS, "List service accounts", query=PageQuery, answers={200: ServiceList}, problems=(503,)),
)
async def list_services(request: Request) -> Answer:
    """Your tenant's accounts for programs, by name."""
    caller = caller_of(request)
    query = query_of(request, PageQuery)
    services = caller.parts.access.users.services(caller.tenant_id)
    found, cursor = page(services, lambda member: member.user.display_name or "", query)
    return json_answer({"items": [service_json(member) for member in found], "next_cursor": cursor})


@router.post(
    _SERVICES,
    **operation(
        Tag.ACCESS,
        "Add a service account",
        body=ServiceBody,
        answers={201: ServiceShown, 200: ServiceShown},
        problems=(409, 413, 415, 503),
        headers=("Idempotency-Key",),
    ),
)
async def add_service(request: Request) -> Answer:
    """An account for a program. It has no password: make API keys for it."""
    caller = caller_of(request)
    no_query(request)
    raw = await read_json_bytes(request)
    body = checked(parsed(raw), ServiceBody, "body")
    role = Role(body.role)
    caller.audit(target=body.name)
    check_grant(caller, role)

    async def make() -> Answer:
        made = await caller.parts.access.users.add_service(body.name, caller.tenant_id, role)
        shown = service_json(made)
        caller.audit(after=shown)
        return json_answer(shown, 201, f"{_SERVICES}/{body.name}")

    return await once(request, raw, make)


@router.delete(
    _SERVICES + "/{account}",
    **operation(Tag.ACCESS, "Remove a service account", answers={204: "It is gone."}, problems=(404, 503)),
)
async def remove_service(request: Request) -> Nothing:
    """Delete an account of a program with its API keys."""
    caller = caller_of(request)
    no_query(request)
    check_grant(caller, Role.VIEWER)
    users, name = caller.parts.access.users, request.path_params["account"]
    caller.audit(before=service_json(users.service(name, caller.tenant_id)))
    await users.remove_service(name, caller.tenant_id)
    return Nothing()


def _name(request: Request) -> str:
    return request.path_params["username"]

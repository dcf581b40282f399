"""Users of the installation, for administrators."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, Nothing, json_answer
from llm_scheduler.api.granting import check_grant
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.paging import page
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import no_query, query_of, read_body
from llm_scheduler.api.schemas.people import (
    UserBody,
    UserList,
    UserMade,
    UserPatch,
    UserShown,
    UsersQuery,
    user_json,
)
from llm_scheduler.domain.access import Role
from llm_scheduler.services.users import new_user

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.api.parts import Caller
    from llm_scheduler.domain.access import User

router: Final = APIRouter(route_class=DirectRoute)
_PATH: Final = "/api/v1/users"
_ONE: Final = _PATH + "/{username}"


@router.get(_PATH, **operation(Tag.ACCESS, "List users", query=UsersQuery, answers={200: UserList}, problems=(503,)))
async def list_users(request: Request) -> Answer:
    """All users, by name; with `q` those whose name, display name or address has that text in it."""
    caller = caller_of(request)
    query = query_of(request, UsersQuery)
    found, cursor = page(caller.parts.access.users.list(query.q), lambda user: user.username, query)
    return json_answer({"items": await _all_shown(caller, found), "next_cursor": cursor})


@router.post(
    _PATH,
    **operation(Tag.ACCESS, "Add a user", body=UserBody, answers={201: UserMade}, problems=(409, 413, 415, 503)),
)
async def add(request: Request) -> Answer:
    """An account. Without a password one is made and shown here, once; make the user a member of a tenant next."""
    caller = caller_of(request)
    no_query(request)
    body = await read_body(request, UserBody)
    caller.audit(target=body.username)
    check_grant(caller, Role.ADMIN)
    fields = {name: getattr(body, name) for name in ("username", "display_name", "email", "is_admin")}
    user, password = await caller.parts.access.users.add(
        new_user(**fields), body.password, is_external=body.is_external
    )
    shown = _shown(caller, user)
    caller.audit(after=shown)
    return json_answer(shown | {"initial_password": password}, 201, f"{_PATH}/{user.username}")


@router.get(_ONE, **operation(Tag.ACCESS, "Get a user", answers={200: UserShown}, problems=(404, 503)))
async def get_user(request: Request) -> Answer:
    """One user, and what the user is in which tenant."""
    caller = caller_of(request)
    no_query(request)
    found = [caller.parts.access.users.get(_name(request))]
    return json_answer((await _all_shown(caller, found))[0])


@router.patch(
    _ONE,
    **operation(
        Tag.ACCESS,
        "Change a user",
        body=UserPatch,
        answers={200: UserShown},
        problems=(404, 409, 413, 415, 503),
    ),
)
async def change(request: Request) -> Answer:
    """Change what is given. Who is disabled is signed out everywhere, and the API keys open nothing."""
    caller = caller_of(request)
    no_query(request)
    body = await read_body(request, UserPatch)
    check_grant(caller, Role.ADMIN)
    users = caller.parts.access.users
    caller.audit(before=_shown(caller, users.get(_name(request))))
    changed = await users.change(_name(request), body.changes())
    caller.audit(after=_shown(caller, changed))
    return json_answer((await _all_shown(caller, [changed]))[0])


@router.post(
    _ONE + "/password",
    **operation(Tag.ACCESS, "Reset a password", answers={200: UserMade}, problems=(404, 503)),
)
async def reset_password(request: Request) -> Answer:
    """Make another password, shown here once, to be changed at the first sign-in. Every sign-in of before ends."""
    caller = caller_of(request)
    no_query(request)
    check_grant(caller, Role.ADMIN)
    caller.audit(given=["password"])
    user, password = await caller.parts.access.users.reset_password(_name(request))
    return json_answer((await _all_shown(caller, [user]))[0] | {"initial_password": password})


@router.delete(
    _ONE,
    **operation(Tag.ACCESS, "Remove a user", answers={204: "It is gone."}, problems=(404, 409, 503)),
)
async def remove(request: Request) -> Nothing:
    """Delete a user with memberships and API keys. What the user submitted stays with its tenant."""
    caller = caller_of(request)
    no_query(request)
    check_grant(caller, Role.ADMIN)
    users = caller.parts.access.users
    caller.audit(before=_shown(caller, users.get(_name(request))))
    await users.remove(_name(request))
    return Nothing()


def _name(request: Request) -> str:
    return request.path_params["username"]


async def _all_shown(caller: Caller, users: Sequence[User]) -> list[dict[str, object]]:
    """With when they were last here: that changes with every minute, so the directory is not told."""
    seen = await caller.parts.store.last_seen([user.id for user in users])
    return [_shown(caller, replace(user, last_seen_at=seen.get(user.id))) for user in users]


def _shown(caller: Caller, user: User) -> dict[str, object]:
    tenants = caller.parts.catalogue.tenants_by_id
    memberships = caller.parts.access.directory.memberships(user.id)
    known = [(tenants[one.tenant_id].name, one) for one in memberships if one.tenant_id in tenants]
    return user_json(user, sorted(known, key=lambda one: one[0]))

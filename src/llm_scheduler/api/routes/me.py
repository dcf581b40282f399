"""One's own account: who one is, name, password, sign-ins, second factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, Nothing, json_answer, maybe_stamp, stamp
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import no_query, path_id, read_body
from llm_scheduler.api.schemas.sign_in import (
    ConfirmBody,
    EndedShown,
    MeShown,
    OwnPasswordBody,
    OwnUserShown,
    ProfilePatch,
    ProofBody,
    SignInList,
    TotpBegun,
    TotpConfirmed,
    session_json,
)
from llm_scheduler.api.signing import device_of, signing_of
from llm_scheduler.domain.ids import LoginId

if TYPE_CHECKING:
    from llm_scheduler.api.parts import Caller
    from llm_scheduler.domain.access import User

router: Final = APIRouter(route_class=DirectRoute)
_PATH: Final = "/api/v1/me"
_WRITES: Final = (413, 415, 503)


@router.get(_PATH, **operation(Tag.ME, "Who am I?", answers={200: MeShown}, problems=(503,)))
async def who(request: Request) -> Answer:
    """Who is calling, in which tenant, with which permissions, and where else they may act."""
    no_query(request)
    caller = caller_of(request)
    principal = caller.principal
    user = None
    if principal.user_id is not None:
        user = await caller.parts.store.account(principal.user_id)
    key = {"id": principal.key_id, "name": principal.key_name}
    return json_answer(
        {
            "kind": principal.kind.value,
            "user": None if user is None else _user_json(user),
            "key": None if principal.key_id is None else key,
            "session_id": principal.login_id,
            "tenant": caller.parts.catalogue.tenants_by_id[caller.tenant_id].name,
            "role": principal.role.value,
            "permissions": sorted(principal.permissions),
            "tenants": _places(caller),
        }
    )


@router.patch(
    _PATH,
    **operation(Tag.ME, "Change my profile", body=ProfilePatch, answers={200: OwnUserShown}, problems=(404, *_WRITES)),
)
async def change(request: Request) -> Answer:
    """Set display name and address."""
    no_query(request)
    body = await read_body(request, ProfilePatch)
    changes: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
    account, caller = signing_of(request).own_account, caller_of(request)
    before = (await account.me(caller.principal)).user
    caller.audit(target=before.username, before=_user_json(before))
    shown = _user_json(await account.change(caller.principal, changes, device_of(request)))
    caller.audit(after=shown)
    return json_answer(shown)


@router.post(
    f"{_PATH}/password",
    **operation(
        Tag.ME,
        "Change my password",
        body=OwnPasswordBody,
        answers={200: EndedShown},
        problems=(404, 409, 429, *_WRITES),
    ),
)
async def password(request: Request) -> Answer:
    """Take a new password. Every other sign-in ends; this one and API keys go on."""
    no_query(request)
    body = await read_body(request, OwnPasswordBody)
    caller, account = _caller(request), signing_of(request).own_account
    ended = await account.change_password(
        caller.principal, body.current_password, body.new_password, device_of(request)
    )
    shown = {"ended_sessions": ended}
    caller.audit(after=shown, given=["password"])
    return json_answer(shown)


@router.get(f"{_PATH}/sessions", **operation(Tag.ME, "My sign-ins", answers={200: SignInList}, problems=(404, 503)))
async def sessions(request: Request) -> Answer:
    """Sign-ins that are alive: from where, with what, until when."""
    no_query(request)
    caller = caller_of(request)
    me, found = await signing_of(request).own_account.sessions(caller.principal)
    tenants = caller.parts.catalogue.tenants_by_id
    names = {login.id: tenants[login.tenant_id].name for login in found if login.tenant_id in tenants}
    items = [session_json(login, me.login_id, names.get(login.id)) for login in found]
    return json_answer({"items": items, "next_cursor": None})


@router.delete(
    f"{_PATH}/sessions/{{login_id}}",
    **operation(Tag.ME, "End one of my sign-ins", answers={204: "It is over."}, problems=(404, 503)),
)
async def end_session(request: Request) -> Nothing:
    """End a sign-in; its access tokens hold no longer, either."""
    no_query(request)
    login_id = LoginId(path_id(request, "login_id"))
    principal = caller_of(request).principal
    await signing_of(request).own_account.end_session(principal, login_id, device_of(request))
    return Nothing()


@router.post(
    f"{_PATH}/totp",
    **operation(
        Tag.ME,
        "Begin a second factor",
        body=ProofBody,
        answers={200: TotpBegun},
        problems=(404, 409, 429, *_WRITES),
    ),
)
async def begin_totp(request: Request) -> Answer:
    """A secret for an authenticator app. Nothing changes before a code of it is confirmed."""
    no_query(request)
    body = await read_body(request, ProofBody)
    begun = await signing_of(request).own_account.begin_totp(
        _caller(request).principal, body.password, device_of(request)
    )
    return json_answer(begun._asdict())


@router.post(
    f"{_PATH}/totp/confirm",
    **operation(
        Tag.ME,
        "Put the second factor in force",
        body=ConfirmBody,
        answers={200: TotpConfirmed},
        problems=(404, 409, *_WRITES),
    ),
)
async def confirm_totp(request: Request) -> Answer:
    """With the first code. The answer has recovery codes, which are not shown again."""
    no_query(request)
    body = await read_body(request, ConfirmBody)
    caller, account = _caller(request), signing_of(request).own_account
    codes = await account.confirm_totp(caller.principal, body.ticket, body.code, device_of(request))
    caller.audit(before={"has_totp": False}, after={"has_totp": True})
    return json_answer({"recovery_codes": [*codes]})


@router.delete(
    f"{_PATH}/totp",
    **operation(
        Tag.ME,
        "Remove my second factor",
        body=ProofBody,
        answers={204: "The password alone is enough."},
        problems=(404, 429, *_WRITES),
    ),
)
async def remove_totp(request: Request) -> Nothing:
    """Asks for the password."""
    no_query(request)
    body = await read_body(request, ProofBody)
    caller, account = _caller(request), signing_of(request).own_account
    await account.remove_totp(caller.principal, body.password, device_of(request))
    caller.audit(before={"has_totp": True}, after={"has_totp": False})
    return Nothing()


def _caller(request: Request) -> Caller:
    """Who is about to change something of their own account."""
    caller = caller_of(request)
    caller.audit(target=caller.principal.username)
    return caller


def _user_json(user: User) -> dict[str, object]:
    return {
        "id": user.id,
        "username": user.username,
        "display_name": user.display_name,
        "email": user.email,
        "is_admin": user.is_admin,
        "has_password": user.password_hash is not None,
        "has_totp": user.totp is not None,
        "recovery_codes_left": len(user.recovery),
        "must_change_password": user.must_change_password,
        "created_at": stamp(user.created_at),
        "last_seen_at": maybe_stamp(user.last_seen_at),
    }


def _places(caller: Caller) -> list[dict[str, object]]:
    """Where the caller may act: administrators everywhere, a key in its own tenant."""
    principal, tenants = caller.principal, caller.parts.catalogue.tenants_by_id
    if principal.key_id is not None or principal.user_id is None or principal.is_admin:
        ids = [principal.tenant_id] if principal.key_id is not None else [*tenants]
        roles = dict.fromkeys(ids, principal.role)
    else:
        memberships = caller.parts.access.directory.memberships(principal.user_id)
        roles = {one.tenant_id: one.role for one in memberships}
    return [
        {"name": tenants[one].name, "role": role.value, "state": tenants[one].state.value}
        for one, role in sorted(roles.items())
        if one in tenants
    ]

"""What everybody is to get from every route: written out by hand, not taken from the program.

`who` names those whose role lets them call it: B the installation's own key, A an administrator, O an owner, D a
developer, V a viewer, K an owner's API key with the one scope `tasks:read`; `-` everybody, also without a key.
Others get 403, whatever it is about. `own`, `foreign` and `shared` are the answers about a thing of the caller's
tenant, of another tenant, of the installation (for its own tenant that is `own`); None: there is no such thing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.flow.permission_world import login_id_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.flow.permission_world import World

FAR_OFF = "2099-01-01T00:00:00Z"
CSV = "provider,model,tier,valid_from,input_usd_per_million,output_usd_per_million\nopenai,x,default,2030-01-01,1,2\n"


class Asked(NamedTuple):
    """A request: the path with its query, a body, and of what type that is."""

    path: str
    body: Any = None
    media: str = "application/json"


Make = "Callable[[World, str], Awaitable[Asked]]"


class Row(NamedTuple):
    """One route, asked in one way. `make` gives the request about a fresh thing of that tenant."""

    method: str
    path: str
    who: str
    own: int
    make: Callable[[World, str], Awaitable[Asked]]
    foreign: int | None = None
    shared: int | None = None
    is_system: bool = False
    """It is about all tenants: others' names may be read in it."""
    is_whole: bool = False
    """Administrators in the installation's own tenant are shown all tenants together."""
    names_all_to: str = ""
    """They may act in every tenant, and are told which there are."""
    foreign_says: str = ""
    """Stands in the answer about a foreign thing, where that is no error."""
    but: tuple[str, int] = ("", 0)
    """Those who may call it, and get another answer about a thing of their own tenant, for it is somebody else's."""
    ends_sign_in: bool = False
    """The caller's."""


def plain(path: str, body: Any = None, media: str = "application/json") -> Callable[[World, str], Awaitable[Asked]]:
    """Always the same request."""

    async def make(_world: World, _tenant: str) -> Asked:
        return Asked(path, body, media)

    return make


async def task(world: World, tenant: str, status: str = "scheduled") -> int:
    """A task of the tenant."""
    body = {"model": "shared", "input": f"of-{tenant}-input", "run_at": FAR_OFF}
    made = await world.made(world.root(tenant), "/api/v1/tasks", body)
    if status == "cancelled":
        await world.made(world.root(tenant), f"/api/v1/tasks/{made['id']}/cancel", None)
    return made["id"]


def about_task(path: str, status: str = "scheduled") -> Callable[[World, str], Awaitable[Asked]]:
    async def make(world: World, tenant: str) -> Asked:
        return Asked(path.format(task_id=await task(world, tenant, status)))

    return make


def dead(path: str) -> Callable[[World, str], Awaitable[Asked]]:
    async def make(world: World, tenant: str) -> Asked:
        return Asked(path, {"ids": [await task(world, tenant)]})

    return make


async def action(world: World, tenant: str) -> Asked:
    body = {"action": "cancel", "filter": {"type": f"of-{tenant}-nothing"}}
    made = await world.made(world.root(tenant), "/api/v1/tasks/actions", body)
    return Asked(f"/api/v1/tasks/actions/{made['id']}")


def about_model(suffix: str = "", body: Any = None) -> Callable[[World, str], Awaitable[Asked]]:
    async def make(world: World, tenant: str) -> Asked:
        name = world.name(tenant)
        config = {"text": f"of-{tenant}-config"}
        await world.made(world.root(tenant), "/api/v1/models", {"name": name, "type": "scripted", "config": config})
        return Asked(f"/api/v1/models/{name}{suffix}", body)

    return make


async def chat(world: World, tenant: str) -> Asked:
    name = world.name(tenant)
    # What it says may be read by whoever may call it, and stays with them.
    model = {"name": name, "type": "scripted", "config": {"text": "Good morning"}}
    await world.made(world.root(tenant), "/api/v1/models", model)
    return Asked("/v1/chat/completions", {"model": name, "messages": [{"role": "user", "content": "Hi"}]})


async def openai_model(world: World, tenant: str) -> Asked:
    return Asked((await about_model()(world, tenant)).path.removeprefix("/api"))


def about_endpoint(suffix: str = "", body: Any = None) -> Callable[[World, str], Awaitable[Asked]]:
    async def make(world: World, tenant: str) -> Asked:
        asked = await about_model("/endpoints")(world, tenant)
        config = {"text": f"of-{tenant}-config"}
        await world.made(world.root(tenant), asked.path, {"name": "east", "config": config})
        return Asked(f"{asked.path}/east{suffix}", body)

    return make


async def new_model(world: World, tenant: str) -> Asked:
    return Asked("/api/v1/models", {"name": world.name(tenant), "type": "scripted"})


async def new_endpoint(world: World, tenant: str) -> Asked:
    return (await about_model("/endpoints")(world, tenant))._replace(body={"name": "west"})


def about_budget(suffix: str = "", body: Any = None) -> Callable[[World, str], Awaitable[Asked]]:
    """A budget that an owner has made."""

    async def make(world: World, tenant: str) -> Asked:
        name = world.name(tenant)
        owner = await world.signed_in(f"owner-{tenant}", tenant)
        await world.made(owner, "/api/v1/budgets", {"name": name, "limit_microusd": 10**9})
        return Asked(f"/api/v1/budgets/{name}{suffix}", body)

    return make


def about_imposed(suffix: str = "", body: Any = None) -> Callable[[World, str], Awaitable[Asked]]:
    """A budget that an administrator has made."""

    async def make(world: World, tenant: str) -> Asked:
        name = world.name(tenant)
        await world.made(world.root(tenant), "/api/v1/budgets", {"name": name, "limit_microusd": 10**9})
        return Asked(f"/api/v1/budgets/{name}{suffix}", body)

    return make


async def new_budget(world: World, tenant: str) -> Asked:
    return Asked("/api/v1/budgets", {"name": world.name(tenant), "limit_microusd": 10**9})


PRICE = {"provider": "openai", "tier": "default", "valid_from": FAR_OFF}
RATES = {"input_nanousd": 1, "output_nanousd": 1}


async def price(world: World, tenant: str) -> Asked:
    scope = "installation" if tenant == "default" else "tenant"
    body = {**PRICE, **RATES, "model": world.name(tenant), "scope": scope}
    made = await world.made(world.root(tenant), "/api/v1/prices", body, "PUT")
    return Asked(f"/api/v1/prices/{made['id']}")


async def new_price(world: World, tenant: str) -> Asked:
    return Asked("/api/v1/prices", {**PRICE, **RATES, "model": world.name(tenant), "scope": "tenant"})


async def new_tenant(world: World, tenant: str) -> Asked:
    return Asked("/api/v1/tenants", {"name": world.name(tenant)})


def about_tenant(
    suffix: str = "", body: Any = None, *, state: str = "active"
) -> Callable[[World, str], Awaitable[Asked]]:
    async def make(world: World, _tenant: str) -> Asked:
        name = world.name("new")
        await world.made(world.root(), "/api/v1/tenants", {"name": name})
        if state == "suspended":
            await world.made(world.root(), f"/api/v1/tenants/{name}/suspend", None)
        return Asked(f"/api/v1/tenants/{name}{suffix.format(name=name)}", body)

    return make


async def removal(world: World, _tenant: str) -> Asked:
    asked = await about_tenant("?confirm={name}", state="suspended")(world, "")
    made = await world.made(world.root(), asked.path, None, "DELETE")
    return Asked(f"/api/v1/tenants/removals/{made['id']}")


def about_user(suffix: str = "", body: Any = None) -> Callable[[World, str], Awaitable[Asked]]:
    async def make(world: World, tenant: str) -> Asked:
        name = world.name(tenant)
        await world.user(name)
        return Asked(f"/api/v1/users/{name}{suffix}", body)

    return make


async def new_user(world: World, tenant: str) -> Asked:
    return Asked("/api/v1/users", {"username": world.name(tenant), "is_external": True})


def about_member(body: Any = None) -> Callable[[World, str], Awaitable[Asked]]:
    async def make(world: World, tenant: str) -> Asked:
        name = world.name(tenant)
        await world.user(name)
        await world.made(world.root(tenant), f"/api/v1/members/{name}", {"role": "viewer"}, "PUT")
        return Asked(f"/api/v1/members/{name}", body)

    return make


async def new_member(world: World, _tenant: str) -> Asked:
    name = world.name("new")
    await world.user(name)
    return Asked(f"/api/v1/members/{name}", {"role": "viewer"})


def service_as_member(body: Any) -> Callable[[World, str], Awaitable[Asked]]:
    async def make(world: World, tenant: str) -> Asked:
        made = await world.made(world.root(tenant), "/api/v1/service-accounts", {"name": world.name(tenant)})
        return Asked(f"/api/v1/members/{made['username']}", body)

    return make


async def service(world: World, tenant: str) -> Asked:
    name = world.name(tenant)
    await world.made(world.root(tenant), "/api/v1/service-accounts", {"name": name})
    return Asked(f"/api/v1/service-accounts/{name}")


async def new_service(world: World, tenant: str) -> Asked:
    return Asked("/api/v1/service-accounts", {"name": world.name(tenant)})


def about_key(suffix: str = "", body: Any = None) -> Callable[[World, str], Awaitable[Asked]]:
    """A key of the tenant's owner."""

    async def make(world: World, tenant: str) -> Asked:
        asked = {"name": world.name(tenant), "user": f"owner-{tenant}"}
        made = await world.made(world.root(tenant), "/api/v1/api-keys", asked)
        return Asked(f"/api/v1/api-keys/{made['id']}{suffix}", body)

    return make


async def new_key(world: World, tenant: str) -> Asked:
    return Asked("/api/v1/api-keys", {"name": world.name(tenant)})


async def new_key_of_the_owner(world: World, tenant: str) -> Asked:
    return Asked("/api/v1/api-keys", {"name": world.name(tenant), "user": f"owner-{tenant}"})


async def anothers_sign_in(world: World, tenant: str) -> Asked:
    name = world.name(tenant)
    await world.user(name)
    await world.made(world.root(tenant), f"/api/v1/members/{name}", {"role": "viewer"}, "PUT")
    who = await world.signed_in(name, tenant)
    return Asked(f"/api/v1/me/sessions/{login_id_of(who.user_id)}")


TASK = {"model": "shared", "input": "Hi", "run_at": FAR_OFF}
SIGNER = {"username": "signer", "password": "four words of a signer"}
SETUP = {"token": "x", "username": "first", "password": "four words of a first"}
PASSWORDS = {"current_password": "x", "new_password": "four new words of mine"}
NOTHING = {"action": "cancel", "filter": {"q": "nothing-at-all"}}

ROWS = (
    # What OpenAI's clients call
    Row("POST", "/v1/chat/completions", "BAOD", 200, chat, 404, 200),
    Row("GET", "/v1/models", "BAODV", 200, plain("/v1/models")),
    Row("GET", "/v1/models/{name:path}", "BAODV", 200, openai_model, 404, 200),
    # Tasks
    Row("POST", "/api/v1/tasks", "BAOD", 201, plain("/api/v1/tasks", TASK)),
    Row("GET", "/api/v1/tasks", "BAODVK", 200, plain("/api/v1/tasks")),
    Row("GET", "/api/v1/tasks/export", "BAODVK", 200, plain("/api/v1/tasks/export")),
    Row("GET", "/api/v1/tasks/export", "BAODVK", 200, plain("/api/v1/tasks/export?format=ndjson")),
    # Searching in payloads takes the permission to read them.
    Row("GET", "/api/v1/tasks/export", "BAOD", 200, plain("/api/v1/tasks/export?q=nothing-at-all")),
    Row("GET", "/api/v1/tasks/counts", "BAODVK", 200, plain("/api/v1/tasks/counts")),
    Row("POST", "/api/v1/tasks/bulk", "BAOD", 201, plain("/api/v1/tasks/bulk", [TASK])),
    Row("POST", "/api/v1/tasks/actions", "BAOD", 202, plain("/api/v1/tasks/actions", NOTHING)),
    Row("GET", "/api/v1/tasks/actions/{action_id}", "BAODVK", 200, action, 404),
    Row("GET", "/api/v1/tasks/{task_id}", "BAODVK", 200, about_task("/api/v1/tasks/{task_id}"), 404),
    Row("DELETE", "/api/v1/tasks/{task_id}", "BAOD", 204, about_task("/api/v1/tasks/{task_id}", "cancelled"), 404),
    Row("GET", "/api/v1/tasks/{task_id}/attempts", "BAODVK", 200, about_task("/api/v1/tasks/{task_id}/attempts"), 404),
    Row("GET", "/api/v1/tasks/{task_id}/logs", "BAOD", 200, about_task("/api/v1/tasks/{task_id}/logs"), 404),
    Row("GET", "/api/v1/tasks/{task_id}/explain", "BAODVK", 200, about_task("/api/v1/tasks/{task_id}/explain"), 404),
    Row("GET", "/api/v1/tasks/{task_id}/events", "BAODVK", 200, about_task("/api/v1/tasks/{task_id}/events"), 404),
    Row("POST", "/api/v1/tasks/{task_id}/cancel", "BAOD", 200, about_task("/api/v1/tasks/{task_id}/cancel"), 404),
    Row(
        "POST",
        "/api/v1/tasks/{task_id}/retry",
        "BAOD",
        200,
        about_task("/api/v1/tasks/{task_id}/retry", "cancelled"),
        404,
    ),
    Row("GET", "/api/v1/events", "BAODVK", 200, plain("/api/v1/events")),
    Row("GET", "/api/v1/dead-letters", "BAODVK", 200, plain("/api/v1/dead-letters")),
    Row(
        "POST",
        "/api/v1/dead-letters/requeue",
        "BAOD",
        200,
        dead("/api/v1/dead-letters/requeue"),
        200,
        foreign_says='"changed":0',
    ),
    Row(
        "POST",
        "/api/v1/dead-letters/discard",
        "BAOD",
        200,
        dead("/api/v1/dead-letters/discard"),
        200,
        foreign_says='"changed":0',
    ),
    # Models: the installation's are called, not changed
    Row("POST", "/api/v1/models", "BAO", 201, new_model),
    Row("GET", "/api/v1/models", "BAODV", 200, plain("/api/v1/models")),
    Row("GET", "/api/v1/models/{name:path}", "BAODV", 200, about_model(), 404, 200),
    Row("PATCH", "/api/v1/models/{name:path}", "BAO", 200, about_model("", {"max_workers": 2}), 404, 403),
    Row("DELETE", "/api/v1/models/{name:path}", "BAO", 204, about_model(), 404, 403),
    Row("POST", "/api/v1/models/{name:path}/test", "BAO", 200, about_model("/test"), 404, 403),
    Row("POST", "/api/v1/models/{name:path}/pause", "BAO", 200, about_model("/pause"), 404, 403),
    Row("POST", "/api/v1/models/{name:path}/resume", "BAO", 200, about_model("/resume"), 404, 403),
    Row("POST", "/api/v1/models/{name:path}/scale", "BAO", 200, about_model("/scale", {"max_workers": 2}), 404, 403),
    Row("GET", "/api/v1/models/{name:path}/predictions", "BAODV", 200, about_model("/predictions"), 404, 200),
    Row("GET", "/api/v1/models/{name:path}/endpoints", "BAODV", 200, about_model("/endpoints"), 404, 200),
    Row("POST", "/api/v1/models/{name:path}/endpoints", "BAO", 201, new_endpoint, 404, 403),
    Row(
        "PATCH",
        "/api/v1/models/{name:path}/endpoints/{endpoint}",
        "BAO",
        200,
        about_endpoint("", {"weight": 2}),
        404,
        403,
    ),
    Row("DELETE", "/api/v1/models/{name:path}/endpoints/{endpoint}", "BAO", 204, about_endpoint(), 404, 403),
    Row(
        "POST", "/api/v1/models/{name:path}/endpoints/{endpoint}/drain", "BAO", 200, about_endpoint("/drain"), 404, 403
    ),
    Row(
        "POST",
        "/api/v1/models/{name:path}/endpoints/{endpoint}/resume",
        "BAO",
        200,
        about_endpoint("/resume"),
        404,
        403,
    ),
    Row("POST", "/api/v1/models/{name:path}/endpoints/{endpoint}/test", "BAO", 200, about_endpoint("/test"), 404, 403),
    Row("GET", "/api/v1/plugins", "BAODV", 200, plain("/api/v1/plugins")),
    # Money
    Row("POST", "/api/v1/budgets", "BAO", 201, new_budget),
    Row("GET", "/api/v1/budgets", "BAODV", 200, plain("/api/v1/budgets")),
    Row("GET", "/api/v1/budgets/{budget}", "BAODV", 200, about_budget(), 404),
    Row("PATCH", "/api/v1/budgets/{budget}", "BAO", 200, about_budget("", {"limit_microusd": 5}), 404),
    Row("POST", "/api/v1/budgets/{budget}/top-up", "BAO", 200, about_budget("/top-up", {"microusd": 5}), 404),
    Row("DELETE", "/api/v1/budgets/{budget}", "BAO", 204, about_budget(), 404),
    Row("PATCH", "/api/v1/budgets/{budget}", "BA", 200, about_imposed("", {"limit_microusd": 5})),
    Row("POST", "/api/v1/budgets/{budget}/top-up", "BA", 200, about_imposed("/top-up", {"microusd": 5})),
    Row("DELETE", "/api/v1/budgets/{budget}", "BA", 204, about_imposed()),
    Row("GET", "/api/v1/prices", "BAODV", 200, plain("/api/v1/prices")),
    Row("PUT", "/api/v1/prices", "BA", 200, new_price),
    Row("POST", "/api/v1/prices/import", "BA", 200, plain("/api/v1/prices/import", CSV, "text/csv")),
    Row("DELETE", "/api/v1/prices/{price_id}", "BA", 204, price, 404, 404),
    # Figures
    Row("GET", "/api/v1/stats/overview", "BAODV", 200, plain("/api/v1/stats/overview"), is_whole=True),
    Row("GET", "/api/v1/stats/daily", "BA", 200, plain("/api/v1/stats/daily")),
    Row("GET", "/api/v1/stats/usage", "BAODV", 200, plain("/api/v1/stats/usage"), is_whole=True),
    Row("GET", "/api/v1/stats/usage", "BA", 200, plain("/api/v1/stats/usage?group_by=tenant"), is_system=True),
    Row("GET", "/api/v1/stats/usage", "BAO", 200, plain("/api/v1/stats/usage?group_by=key")),
    Row("GET", "/api/v1/stats/history", "BA", 200, plain("/api/v1/stats/history"), is_system=True),
    Row("GET", "/api/v1/stats/series", "BAODV", 200, plain("/api/v1/stats/series")),
    Row("GET", "/api/v1/stats/errors", "BAODV", 200, plain("/api/v1/stats/errors")),
    Row("GET", "/api/v1/workers", "BAODV", 200, plain("/api/v1/workers")),
    # Access
    Row("GET", "/api/v1/tenant", "BAODV", 200, plain("/api/v1/tenant")),
    Row("GET", "/api/v1/tenant/export", "BAO", 200, plain("/api/v1/tenant/export")),
    Row("GET", "/api/v1/tenants", "BA", 200, plain("/api/v1/tenants"), is_system=True),
    Row("POST", "/api/v1/tenants", "BA", 201, new_tenant),
    Row("GET", "/api/v1/tenants/{tenant}", "BA", 200, about_tenant()),
    Row("PATCH", "/api/v1/tenants/{tenant}", "BA", 200, about_tenant("", {"weight": 2})),
    Row("POST", "/api/v1/tenants/{tenant}/suspend", "BA", 200, about_tenant("/suspend")),
    Row("POST", "/api/v1/tenants/{tenant}/resume", "BA", 200, about_tenant("/resume", state="suspended")),
    Row("DELETE", "/api/v1/tenants/{tenant}", "BA", 202, about_tenant("?confirm={name}", state="suspended")),
    Row("GET", "/api/v1/tenants/{tenant}/export", "BA", 200, about_tenant("/export")),
    Row("GET", "/api/v1/tenants/removals/{action_id}", "BA", 200, removal),
    Row("GET", "/api/v1/users", "BA", 200, plain("/api/v1/users"), is_system=True),
    Row("POST", "/api/v1/users", "BA", 201, new_user),
    Row("GET", "/api/v1/users/{username}", "BA", 200, about_user(), is_system=True),
    Row("PATCH", "/api/v1/users/{username}", "BA", 200, about_user("", {"display_name": "New"}), is_system=True),
    Row("POST", "/api/v1/users/{username}/password", "BA", 200, about_user("/password"), is_system=True),
    Row("DELETE", "/api/v1/users/{username}", "BA", 204, about_user()),
    Row("GET", "/api/v1/members", "BAO", 200, plain("/api/v1/members")),
    Row("PUT", "/api/v1/members/{username}", "BAO", 200, about_member({"role": "owner"})),
    # Users are the installation's: an owner may take in whom an administrator has made.
    Row("PUT", "/api/v1/members/{username}", "BAO", 201, new_member),
    Row("PUT", "/api/v1/members/{username}", "BAO", 200, service_as_member({"role": "viewer"}), 404),
    Row("DELETE", "/api/v1/members/{username}", "BAO", 204, about_member(), 404),
    Row("GET", "/api/v1/service-accounts", "BAO", 200, plain("/api/v1/service-accounts")),
    Row("POST", "/api/v1/service-accounts", "BAO", 201, new_service),
    Row("DELETE", "/api/v1/service-accounts/{account}", "BAO", 204, service, 404),
    # API keys: of one's own; an owner sees and ends those of others, and makes none of them
    Row("POST", "/api/v1/api-keys", "BAODV", 201, new_key, but=("B", 422)),
    Row("POST", "/api/v1/api-keys", "BAO", 201, new_key_of_the_owner),
    Row("GET", "/api/v1/api-keys", "BAODV", 200, plain("/api/v1/api-keys")),
    Row("GET", "/api/v1/api-keys", "BAO", 200, plain("/api/v1/api-keys?all=true")),
    Row("GET", "/api/v1/api-keys/{key_id}", "BAODV", 200, about_key(), 404, but=("DV", 404)),
    Row("PATCH", "/api/v1/api-keys/{key_id}", "BAODV", 200, about_key("", {"rpm": 5}), 404, but=("DV", 404)),
    Row("DELETE", "/api/v1/api-keys/{key_id}", "BAODV", 204, about_key(), 404, but=("DV", 404)),
    Row("POST", "/api/v1/api-keys/{key_id}/renew", "BAODV", 201, about_key("/renew"), 404, but=("DV", 404)),
    # Signing in: open to all, and no way around a password
    Row("GET", "/api/v1/auth/providers", "-", 200, plain("/api/v1/auth/providers")),
    Row("POST", "/api/v1/auth/setup", "-", 409, plain("/api/v1/auth/setup", SETUP)),
    Row("POST", "/api/v1/auth/login", "-", 200, plain("/api/v1/auth/login", SIGNER | {"cookie": False})),
    Row("POST", "/api/v1/auth/refresh", "-", 401, plain("/api/v1/auth/refresh", {"refresh_token": "r.1.2.x"})),
    Row("POST", "/api/v1/auth/logout", "-", 204, plain("/api/v1/auth/logout", {"refresh_token": "r.1.2.x"})),
    Row("GET", "/api/v1/auth/oidc/start", "-", 404, plain("/api/v1/auth/oidc/start")),
    Row("GET", "/api/v1/auth/oidc/callback", "-", 404, plain("/api/v1/auth/oidc/callback?state=x&code=y")),
    Row("POST", "/api/v1/auth/signing-keys/rotate", "BA", 200, plain("/api/v1/auth/signing-keys/rotate", {})),
    Row(
        "POST",
        "/api/v1/auth/logout-everywhere",
        "AODV",
        200,
        plain("/api/v1/auth/logout-everywhere"),
        ends_sign_in=True,
    ),
    # Own account: people who are signed in. These have no password here, so that there is none to change.
    Row("GET", "/api/v1/me", "BAODVK", 200, plain("/api/v1/me"), names_all_to="BA"),
    Row("PATCH", "/api/v1/me", "AODV", 200, plain("/api/v1/me", {"display_name": "New"})),
    Row("POST", "/api/v1/me/password", "AODV", 409, plain("/api/v1/me/password", PASSWORDS)),
    Row("GET", "/api/v1/me/sessions", "AODV", 200, plain("/api/v1/me/sessions")),
    Row("DELETE", "/api/v1/me/sessions/{login_id}", "AODV", 404, anothers_sign_in, 404),
    Row("POST", "/api/v1/me/totp", "AODV", 409, plain("/api/v1/me/totp", {"password": "x"})),
    Row(
        "POST",
        "/api/v1/me/totp/confirm",
        "AODV",
        422,
        plain("/api/v1/me/totp/confirm", {"ticket": "x", "code": "123456"}),
    ),
    # Without a body: each wrong password would make the next one wait.
    Row("DELETE", "/api/v1/me/totp", "BAODVK", 422, plain("/api/v1/me/totp", {})),
    # The installation, and what was done
    Row("GET", "/api/v1/system/network", "BA", 200, plain("/api/v1/system/network"), is_system=True),
    Row("GET", "/api/v1/system/settings", "BA", 200, plain("/api/v1/system/settings"), is_system=True),
    Row("GET", "/api/v1/system/secrets", "BA", 200, plain("/api/v1/system/secrets"), is_system=True),
    Row("GET", "/api/v1/system/secrets/rotate", "BA", 200, plain("/api/v1/system/secrets/rotate"), is_system=True),
    Row("POST", "/api/v1/system/secrets/rotate", "BA", 202, plain("/api/v1/system/secrets/rotate"), is_system=True),
    Row("GET", "/api/v1/audit", "BAO", 200, plain("/api/v1/audit?limit=500"), names_all_to="BA"),
    Row("GET", "/api/v1/audit/export", "BAO", 200, plain("/api/v1/audit/export"), names_all_to="BA"),
    Row("GET", "/api/v1/audit/verify", "BA", 200, plain("/api/v1/audit/verify?last=10"), is_system=True),
    # The process
    Row("GET", "/metrics", "BA", 200, plain("/metrics"), is_system=True),
    Row("GET", "/healthz", "-", 200, plain("/healthz")),
    Row("GET", "/readyz", "-", 200, plain("/readyz")),
    Row("GET", "/api/v1/openapi.json", "-", 200, plain("/api/v1/openapi.json")),
    Row("GET", "/docs", "-", 200, plain("/docs")),
    Row("GET", "/", "-", 200, plain("/")),
    Row("GET", "/static/docs.css", "-", 200, plain("/static/docs.css")),
    Row("GET", "/static/docs.js", "-", 200, plain("/static/docs.js")),
    Row("GET", "/static/landing.css", "-", 200, plain("/static/landing.css")),
    Row("GET", "/static/landing.js", "-", 200, plain("/static/landing.js")),
)

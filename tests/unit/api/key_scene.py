"""The API behind its real door: two tenants, a user of every kind, and keys that they make."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from tests.unit.api.scene import Scene, parts_of

from llm_scheduler.domain.access import Login, Membership, Role, User, UserKind
from llm_scheduler.domain.ids import DEFAULT_TENANT, LoginId, Millis, TenantId, UserId
from llm_scheduler.domain.tenant import Tenant
from llm_scheduler.ports.tokens import Claims
from llm_scheduler.security.drawing import drawn
from llm_scheduler.services.api_keys import ApiKeys
from llm_scheduler.services.directory import Directory
from llm_scheduler.services.door import Door
from llm_scheduler.stores.access_rows import (
    LOGIN_COLUMNS,
    MEMBERSHIP_COLUMNS,
    USER_COLUMNS,
    login_row,
    membership_row,
    user_row,
)
from llm_scheduler.stores.portable.access_version import access_changed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx2

    from llm_scheduler.stores.portable.access import Transaction

BOOTSTRAP: Final = "the-installations-own-key"
OTHER: Final = TenantId(2)
PEOPLE: Final[dict[str, tuple[UserId, Role, TenantId, UserKind]]] = {
    "olga": (UserId(101), Role.OWNER, DEFAULT_TENANT, UserKind.PERSON),
    "dan": (UserId(102), Role.DEVELOPER, DEFAULT_TENANT, UserKind.PERSON),
    "vic": (UserId(103), Role.VIEWER, DEFAULT_TENANT, UserKind.PERSON),
    "bot": (UserId(104), Role.DEVELOPER, DEFAULT_TENANT, UserKind.SERVICE),
    "oona": (UserId(105), Role.OWNER, OTHER, UserKind.PERSON),
}


class NamedTokens:
    """`NAME.x.y` is the token of that user; none ever ends."""

    def read(self, token: str) -> Claims | None:
        name = token.split(".")[0]
        if name not in PEOPLE:
            return None
        user_id, _, tenant_id, _ = PEOPLE[name]
        return Claims(user_id, tenant_id, LoginId(user_id), 0)


class KeyScene(Scene):
    """A scene whose callers are named."""

    def of(self, name: str) -> httpx2.AsyncClient:
        """One who signed in; or a key."""
        return self.client(f"{name}.x.y" if name in PEOPLE else name)

    async def made(self, by: str = "dan", status: int = 201, **body: Any) -> dict[str, Any]:
        """What `by` gets for asking for a key."""
        answer = await self.of(by).post("/api/v1/api-keys", json={"name": "k", **body})
        assert answer.status_code == status, answer.text
        return answer.json()

    async def key(self, by: str = "dan", **body: Any) -> str:
        """The text of a new key."""
        return (await self.made(by, **body))["key"]

    async def status(self, who: str, path: str = "/api/v1/models", method: str = "GET", **options: Any) -> int:
        return (await self.of(who).request(method, path, **options)).status_code

    async def write(self, statement: str, *params: object, user: UserId | None = None) -> None:
        """Change the record past every service, and say of whom."""

        def move(transaction: Transaction) -> None:
            transaction.do(statement, params)
            access_changed(transaction, users=() if user is None else [user])

        await self.parts.store._write(move)  # type: ignore[attr-defined]
        await self.parts.access.directory.load()


def _people(transaction: Transaction) -> None:
    for name, (user_id, role, tenant_id, kind) in PEOPLE.items():
        transaction.insert("users", USER_COLUMNS, [user_row(User(user_id, name, kind))])
        member = Membership(user_id, tenant_id, role)
        transaction.insert("memberships", MEMBERSHIP_COLUMNS, [membership_row(member)])
        far = Millis(2**50)
        login = Login(LoginId(user_id), user_id, tenant_id, f"hash-{name}", 0, Millis(0), Millis(0), far, "", "")
        transaction.insert("logins", LOGIN_COLUMNS, [login_row(login)])
    access_changed(transaction)


@asynccontextmanager
async def key_scene(folder: Path) -> AsyncIterator[KeyScene]:
    """A scene that cleans up."""
    parts = await parts_of(folder)
    await parts.store.save_tenant(Tenant(OTHER, "other"))
    await parts.models.load()
    await parts.store._write(_people)  # type: ignore[attr-defined]
    directory = Directory(parts.store)
    await directory.load()
    door = Door(BOOTSTRAP, directory, parts.catalogue, parts.clock, NamedTokens())
    keys = ApiKeys(parts.store, directory, parts.clock, drawn)
    access = replace(parts.access, door=door, directory=directory, api_keys=keys)
    scene = KeyScene(replace(parts, access=access))
    scene.http = scene.client(BOOTSTRAP)
    await scene.add_model()
    try:
        yield scene
    finally:
        await scene.http.aclose()
        await parts.actions.close()
        await parts.models.close()
        await parts.store.close()

"""An installation with three tenants, somebody of every role in each, and a way to ask as anybody.

Whoever signs in does so by a token of these tests; keys and sign-ins are written into the record as their rows.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.inside import inside

from llm_scheduler.domain.access import ApiKey, Login, Permission
from llm_scheduler.domain.ids import DEFAULT_TENANT, KeyId, LoginId, Millis, TenantId, UserId
from llm_scheduler.ports.tokens import Claims
from llm_scheduler.services.door import Door
from llm_scheduler.stores.access_rows import KEY_COLUMNS, LOGIN_COLUMNS, key_row, login_row
from llm_scheduler.stores.portable.access_version import access_changed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping
    from pathlib import Path

    from llm_scheduler.app.installation import Installation
    from llm_scheduler.services.directory import Directory
    from llm_scheduler.stores.portable.access import Transaction

BOOTSTRAP = "bootstrap-key-0123456789"
FAR = "203.0.113.9"
TENANTS = ("default", "acme", "bolt")
ROLES = ("owner", "developer", "viewer")
_YEAR_MS = 365 * 86_400_000
_BEYOND = 10**9
"""Ids of rows that these tests write begin here: the program's own never meet them."""


class Who(NamedTuple):
    """A caller: what is sent, and the tenant that is named (None: none)."""

    credential: str | None
    tenant: str | None = None

    @property
    def user_id(self) -> UserId:
        """Whose token it is."""
        return UserId(int((self.credential or "").split(".")[1]))


class Heard(NamedTuple):
    """An answer."""

    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def login_id_of(user_id: UserId) -> LoginId:
    """Of a user's only sign-in."""
    return LoginId(_BEYOND + user_id)


class TestTokens:
    """`t.USER.TENANT`, by ids: each user has one sign-in, and the token is as new as the account."""

    __test__ = False

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def read(self, token: str) -> Claims | None:
        parts = token.split(".")
        if len(parts) != 3 or parts[0] != "t":
            return None
        user_id = UserId(int(parts[1]))
        user = self._directory.user(user_id)
        epoch = 0 if user is None else user.epoch
        return Claims(user_id, TenantId(int(parts[2])), login_id_of(user_id), epoch)


class World:
    """The installation, and shorthand for making what routes are about."""

    def __init__(self, installation: Installation) -> None:
        access = installation.access
        door = Door(
            BOOTSTRAP, access.directory, installation.catalogue, installation.clock, TestTokens(access.directory)
        )
        installation.access = replace(access, door=door)
        self.installation, self.app = installation, installation.api()
        self._numbers = itertools.count(1)

    def name(self, tenant: str = "x") -> str:
        """A name that nothing has, and that says whose it is: others are never to read it."""
        return f"of-{tenant}-{next(self._numbers)}"

    def root(self, tenant: str | None = None) -> Who:
        """The installation's own key, in that tenant."""
        return Who(BOOTSTRAP, tenant)

    async def user(self, username: str, **fields: Any) -> None:
        await self.made(self.root(), "/api/v1/users", {"username": username, "is_external": True, **fields})

    async def signed_in(self, username: str, tenant: str, named: str | None = None) -> Who:
        """Somebody with a token for that tenant."""
        user = self.installation.access.directory.user_named(username)
        found = self.installation.catalogue.tenant_named(tenant)
        assert user is not None
        assert found is not None
        who = Who(f"t.{user.id}.{found.id}", named)
        if self.installation.access.directory.login(login_id_of(user.id)) is None:
            await self.sign_in_again(who)
        return who

    async def sign_in_again(self, who: Who) -> None:
        """Make a sign-in of that token's, or bring back one that is over."""
        now = self.installation.clock.now()
        login = Login(
            login_id_of(who.user_id), who.user_id, DEFAULT_TENANT, "h" * 64, 0, now, now, Millis(now + _YEAR_MS), "", ""
        )
        await self._write("logins", LOGIN_COLUMNS, login_row(login))

    async def key(self, username: str, tenant: str, *scopes: Permission, **limits: Any) -> Who:
        """An API key of somebody there."""
        user = self.installation.access.directory.user_named(username)
        found = self.installation.catalogue.tenant_named(tenant)
        assert user is not None
        assert found is not None
        number = next(self._numbers)
        text = f"llms_test_{number}"
        hashed = hashlib.sha256(text.encode()).hexdigest()
        key = ApiKey(KeyId(_BEYOND + number), found.id, user.id, text, text[:8], hashed, frozenset(scopes) or None)
        if limits:
            key = replace(key, limits=replace(key.limits, **limits))
        await self._write("api_keys", KEY_COLUMNS, key_row(key))
        return Who(text)

    async def _write(self, table: str, columns: tuple[str, ...], row: tuple[object, ...]) -> None:
        store: Any = self.installation.store

        def write(transaction: Transaction) -> None:
            transaction.upsert(table, columns, columns[1:], [row])
            access_changed(transaction)

        await store._write(write)
        await self.installation.access.directory.load()

    async def made(self, who: Who, path: str, body: Any, method: str = "POST") -> Any:
        """What is answered to a request that must succeed."""
        heard = await self.ask(who, method, path, body)
        assert heard.status < 300, (method, path, body, heard)
        return heard.json if heard.text else None

    async def ask(self, who: Who, method: str, path: str, body: Any = None, media: str = "application/json") -> Heard:
        """One request from far away. A stream is hung up on as soon as it has begun."""
        headers = [(b"content-type", media.encode())]
        if who.credential is not None:
            headers.append((b"authorization", f"Bearer {who.credential}".encode()))
        if who.tenant is not None:
            headers.append((b"x-tenant", who.tenant.encode()))
        path, _, query = path.partition("?")
        raw = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        headers.append((b"content-length", str(len(raw)).encode()))
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": headers,
            "client": (FAR, 50_000),
        }
        return await _Exchange(raw).with_app(self.app, scope)


class _Exchange:
    def __init__(self, body: bytes) -> None:
        self._body, self._status = body, 0
        self._asked = False
        self._pieces: list[bytes] = []
        self._begun = asyncio.Event()

    async def with_app(self, app: Any, scope: MutableMapping[str, Any]) -> Heard:
        async with asyncio.timeout(20):
            await app(scope, self._receive, self._send)
        return Heard(self._status, b"".join(self._pieces).decode())

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._begun.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._begun.set()
        else:
            self._pieces.append(message.get("body", b""))


@asynccontextmanager
async def world(folder: Path, **settings: Any) -> AsyncIterator[World]:
    """Tenants `default`, `acme`, `bolt` (and `gone`, suspended), `owner-acme` and so on in them, and `root`."""
    # All of them come from one address, and many are refused.
    unlimited = {"rate_limit_open_rpm": 0, "rate_limit_failures_rpm": 0}
    async with inside(folder, bootstrap_api_key=BOOTSTRAP, **(unlimited | settings)) as it:
        made = World(it.installation)
        root = made.root()
        for tenant in (*TENANTS[1:], "gone"):
            await made.made(root, "/api/v1/tenants", {"name": tenant})
        await made.user("root", is_admin=True)
        for tenant, role in itertools.product((*TENANTS, "gone"), ROLES):
            await made.user(f"{role}-{tenant}")
            await made.made(made.root(tenant), f"/api/v1/members/{role}-{tenant}", {"role": role}, "PUT")
        await made.made(root, "/api/v1/tenants/gone/suspend", None)
        yield made

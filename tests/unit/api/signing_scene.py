"""The API with people who sign in: real record, real passwords of little effort, a clock that can be put forward."""

from __future__ import annotations

import base64
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyotp.totp import TOTP
from tests.unit.api.scene import KEY, Scene, client_of, parts_of

from llm_scheduler.api.parts import AccessParts, SignInParts
from llm_scheduler.domain.access import Role, User, UserState
from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, TenantId, UserId
from llm_scheduler.domain.tenant import Tenant
from llm_scheduler.security.passwords import ArgonPasswords, Effort
from llm_scheduler.security.tokens import JwtTokens
from llm_scheduler.security.totp import PyotpCodes
from llm_scheduler.security.vault import AesVault
from llm_scheduler.services.directory import Directory
from llm_scheduler.services.door import Door
from llm_scheduler.services.first_user import FirstUser
from llm_scheduler.services.happenings import Happening
from llm_scheduler.services.late_news import LateNews
from llm_scheduler.services.own_account import OwnAccount
from llm_scheduler.services.presence import Presence
from llm_scheduler.services.second_factor import SecondFactor
from llm_scheduler.services.sign_in import Lifetimes, SignIn
from llm_scheduler.services.throttle import Throttle
from llm_scheduler.telemetry.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx2

    from llm_scheduler.api.parts import Parts

PASSWORD = "four words of Ann's own"
WORK = TenantId(7)


class MovedClock(SystemClock):
    """The machine's clock, put forward."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead_s = 0.0

    def now(self) -> Millis:
        return Millis(super().now() + round(self.ahead_s * 1000))

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.ahead_s

    def pass_s(self, seconds: float) -> None:
        self.ahead_s += seconds


def signing_over(parts: Parts, clock: MovedClock, **options: Any) -> AccessParts:
    """As `app.access` puts it together, for one process over the parts' record."""
    store, vault = parts.store, AesVault("a secret of the tests")
    directory = Directory(store)
    tokens = JwtTokens(store, vault, clock)
    directory.also.append(tokens.load)
    passwords = ArgonPasswords(effort=Effort(1, 8, 1))
    factor = SecondFactor(store, vault, PyotpCodes(), clock)
    throttle = Throttle(store, clock)
    sign_in = SignIn(
        store, directory, parts.catalogue, clock, passwords, tokens, throttle, factor, options.get("lifetimes")
    )
    signing = SignInParts(
        sign_in=sign_in,
        own_account=OwnAccount(store, directory, passwords, sign_in, factor),
        first_user=FirstUser(store, passwords, sign_in, clock, is_shared=options.get("is_shared", False)),
        tokens=tokens,
        passwords=passwords,
        presence=Presence(store),
        late_news=LateNews(directory, tokens),
        public_url=options.get("public_url"),
    )
    door = Door(KEY, directory, parts.catalogue, clock, tokens)
    return replace(parts.access, door=door, directory=directory, signing=signing)


class SigningScene(Scene):
    """What the tests say in one line."""

    def __init__(self, parts: Parts, clock: MovedClock) -> None:
        super().__init__(parts)
        self.clock = clock
        self.happened: list[Happening] = []
        self.signing.sign_in.tell = self.happened.append
        self.browser = client_of(self.app, key=None)

    @property
    def signing(self) -> SignInParts:
        signing = self.parts.access.signing
        assert signing is not None
        return signing

    @property
    def passwords(self) -> ArgonPasswords:
        passwords = self.signing.passwords
        assert isinstance(passwords, ArgonPasswords)
        return passwords

    async def add(self, username: str = "ann", password: str | None = PASSWORD, **roles: Role) -> UserId:
        """A person, by default an owner in the tenant `work`; by tenant name otherwise."""
        user = await self.parts.store.sign_up(User(UserId(0), username, subject=f"test|{username}"))
        if password is not None:
            hashed = await self.passwords.hash(password)
            await self.parts.store.change_account(user.id, {"password_hash": hashed})
        ids = {"work": WORK, "default": DEFAULT_TENANT}
        places = {ids[name]: role for name, role in (roles or {"work": Role.OWNER}).items()}
        await self.parts.store.follow_groups(user.id, places, is_admin=False)
        await self.parts.access.directory.load()
        return user.id

    async def set_state(self, user_id: UserId, state: UserState) -> None:
        """As an administrator would."""
        is_over = state is UserState.DISABLED
        await self.parts.store.change_user(user_id, {"state": state}, ends_logins=is_over)
        await self.parts.access.directory.load()

    async def login(
        self, username: str = "ann", password: str = PASSWORD, http: httpx2.AsyncClient | None = None, **fields: Any
    ) -> httpx2.Response:
        """Try to sign in."""
        body = {"username": username, "password": password, "cookie": False, **fields}
        return await (http or self.browser).post("/api/v1/auth/login", json=body)

    async def token(self, username: str = "ann", **fields: Any) -> dict[str, Any]:
        """Sign in; what the answer says."""
        answer = await self.login(username, **fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def me(self, token: str, path: str = "", **headers: str) -> httpx2.Response:
        """A GET with an access token."""
        return await self.browser.get(f"/api/v1/me{path}", headers={**bearer(token), **headers})

    async def refresh(self, token: str, **fields: Any) -> httpx2.Response:
        """Use a refresh token."""
        return await self.browser.post("/api/v1/auth/refresh", json={"refresh_token": token, **fields})


def bearer(token: str) -> dict[str, str]:
    """The header for an access token."""
    return {"Authorization": f"Bearer {token}"}


def code_of(secret: str, clock: MovedClock, steps: int = 0) -> str:
    """What an authenticator app shows."""
    return TOTP(secret).generate_otp(clock.now() // 30_000 + steps)


@asynccontextmanager
async def signing_scene(folder: Path, **options: Any) -> AsyncIterator[SigningScene]:
    """A scene that cleans up."""
    clock = MovedClock()
    parts = await parts_of(folder, clock=clock)
    await parts.store.save_tenant(Tenant(WORK, "work"))
    await parts.models.load()
    access = signing_over(parts, clock, lifetimes=Lifetimes(), **options)
    await access.directory.load()
    made = SigningScene(replace(parts, access=access), clock)
    try:
        yield made
    finally:
        await made.browser.aclose()
        await made.http.aclose()
        made.passwords.close()
        await parts.models.close()
        await parts.store.close()


def kid_of(token: str) -> str:
    """The id of the key that a token was signed with."""
    head = token.partition(".")[0]
    return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]

"""Limits of requests a minute: of a key, a user, a tenant, an address, and of those who fail to get in."""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.unit.api.scene import Scene, client_of, scene

from llm_scheduler.api.origin import Origins
from llm_scheduler.api.protection import Protection
from llm_scheduler.api.server import create_app
from llm_scheduler.domain.access import PERMISSIONS, ApiKey, KeyLimits, Principal, PrincipalKind, Role, administrator
from llm_scheduler.domain.access_errors import UnauthorizedError
from llm_scheduler.domain.ids import DEFAULT_TENANT, KeyId, UserId
from llm_scheduler.domain.tenant import Quotas
from llm_scheduler.services.ledger import LocalLedger
from llm_scheduler.services.rate_limits import RateLimits, Rates

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx2

    from llm_scheduler.services.directory import Directory
    from llm_scheduler.services.door import Door, Knock

BURST = 10
"""What a limit of so many or up to 60 a minute lets through at once."""
PATH = "/api/v1/models"


class Doors:
    """Knows `admin`, and `u1-k1` … as user 1 with key 1; counts how often a credential was looked at."""

    def __init__(self) -> None:
        self.looked = 0

    def admit(self, knock: Knock) -> Principal:
        self.looked += 1
        hashlib.sha256(knock.credential.encode()).hexdigest()
        if knock.credential == "admin":
            return administrator()
        user, _, key = knock.credential.partition("-")
        if not (user[1:].isdecimal() and key[1:].isdecimal()):
            raise UnauthorizedError("who?")
        permissions = PERMISSIONS[Role.DEVELOPER]
        ids: tuple[Any, Any] = (UserId(int(user[1:])), KeyId(int(key[1:])))
        return Principal(PrincipalKind.KEY, DEFAULT_TENANT, Role.DEVELOPER, permissions, ids[0], user, ids[1], key)


class StillClock:
    def __init__(self) -> None:
        self.at_s = 1_000.0

    def now(self) -> int:
        return int(self.at_s * 1000)

    def monotonic_s(self) -> float:
        return self.at_s


class Limited:
    """An API with limits, and a clock that stands still."""

    def __init__(self, made: Scene, rates: Rates, origins: Origins) -> None:
        self.clock, self.door, self.parts = StillClock(), Doors(), made.parts
        directory = cast("Directory", self)
        self.networks: dict[int, tuple[str, ...]] = {}
        ledger = LocalLedger(self.clock)  # type: ignore[arg-type]
        self.limits = RateLimits(ledger, directory, made.parts.catalogue, made.parts.meter, rates)
        protection = Protection(origins, limits=self.limits)
        access = replace(made.parts.access, door=cast("Door", self.door), directory=directory, protection=protection)
        self.app = create_app(replace(made.parts, access=access))
        self.own: dict[int, int] = {}

    def key(self, key_id: KeyId) -> Any:
        """As the directory: keys that have a limit of their own."""
        limits = KeyLimits(self.own.get(key_id), networks=self.networks.get(key_id, ()))
        return ApiKey(key_id, DEFAULT_TENANT, UserId(1), "k", "p", "h", limits=limits)

    def limit_tenant(self, rpm: int) -> None:
        tenants = self.parts.catalogue.tenants_by_id
        tenants[DEFAULT_TENANT] = replace(tenants[DEFAULT_TENANT], quotas=Quotas(rpm=rpm))

    def client(self, key: str | None, host: str = "192.0.2.1") -> httpx2.AsyncClient:
        return client_of(self.app, key, host)

    async def statuses(self, key: str | None, count: int, host: str = "192.0.2.1", path: str = PATH) -> list[int]:
        async with self.client(key, host) as http:
            return [(await http.get(path)).status_code for _ in range(count)]


@asynccontextmanager
async def limited(folder: Path, trusted: tuple[str, ...] = (), **rates: Any) -> AsyncIterator[Limited]:
    async with scene(folder) as made:
        yield Limited(made, Rates(**rates), Origins(trusted))


@pytest.mark.parametrize("limit", ["key", "user", "tenant", "address"])
async def test_each_limit_lets_so_many_through_and_says_which_it_is(tmp_path: Path, limit: str) -> None:
    rates: dict[str, Any] = {} if limit == "tenant" else {limit: BURST}
    async with limited(tmp_path, (), **rates) as it:
        if limit == "tenant":
            it.limit_tenant(BURST)
        assert await it.statuses("u1-k1", BURST) == [200] * BURST
        async with it.client("u1-k1") as http:
            refused = await http.get(PATH)

        assert refused.status_code == 429
        assert refused.json()["code"] == "rate_limited"
        assert refused.json()["limit"] == limit
        assert refused.headers["Retry-After"] == "6"
        assert refused.headers["X-RateLimit-Limit"] == str(BURST)
        assert refused.headers["X-RateLimit-Remaining"] == "0"
        assert refused.headers["X-RateLimit-Reset"] == "60"

        it.clock.at_s += 6
        assert await it.statuses("u1-k1", 2) == [200, 429]
        text = it.parts.meter.render().decode()  # type: ignore[attr-defined]
        assert f'api_rate_limited_total{{limit="{limit}"}} 2.0' in text


@pytest.mark.parametrize(
    ("limit", "other"),
    [("key", "u1-k2"), ("user", "u2-k2")],
)
async def test_others_are_not_held_up(tmp_path: Path, limit: str, other: str) -> None:
    async with limited(tmp_path, (), **{limit: BURST}) as it:
        await it.statuses("u1-k1", BURST + 5)

        assert await it.statuses(other, 1) == [200]


async def test_a_user_has_one_limit_over_all_keys(tmp_path: Path) -> None:
    async with limited(tmp_path, user=BURST) as it:
        assert await it.statuses("u1-k1", 6) + await it.statuses("u1-k2", 6) == [200] * 10 + [429] * 2


async def test_a_keys_own_limit_goes_before_the_general_one(tmp_path: Path) -> None:
    async with limited(tmp_path, key=1_000) as it:
        it.own = {1: 5}

        assert await it.statuses("u1-k1", 6) == [200] * 5 + [429]
        assert await it.statuses("u1-k2", 20) == [200] * 20


async def test_a_tenants_limit_does_not_bind_administrators(tmp_path: Path) -> None:
    async with limited(tmp_path) as it:
        it.limit_tenant(BURST)
        await it.statuses("u1-k1", BURST + 1)

        assert await it.statuses("admin", 3) == [200] * 3


async def test_who_is_refused_by_one_limit_uses_up_no_other(tmp_path: Path) -> None:
    async with limited(tmp_path, user=60) as it:
        it.own = {1: 5}
        await it.statuses("u1-k1", 50)

        assert await it.statuses("u1-k2", 5) == [200] * 5


async def test_answers_tell_of_the_tightest_limit(tmp_path: Path) -> None:
    async with limited(tmp_path, user=60) as it, it.client("u1-k1") as http:
        it.own = {1: 600}
        answer = await http.get(PATH)

        assert answer.headers["X-RateLimit-Limit"] == "60"
        assert answer.headers["X-RateLimit-Remaining"] == "9"
        assert answer.headers["X-RateLimit-Reset"] == "1"


async def test_without_limits_nothing_is_told(tmp_path: Path) -> None:
    async with limited(tmp_path) as it, it.client("u1-k1") as http:
        assert "X-RateLimit-Limit" not in (await http.get(PATH)).headers


async def test_without_a_key_an_address_may_ask_so_often(tmp_path: Path) -> None:
    async with limited(tmp_path, open=BURST) as it:
        assert await it.statuses(None, BURST + 1, path="/docs") == [200] * BURST + [429]
        assert await it.statuses(None, 1, path=PATH) == [429]
        assert await it.statuses(None, 1, "192.0.2.2", path="/docs") == [200]
        assert await it.statuses("u1-k1", 1) == [200]


async def test_probes_and_files_are_never_limited(tmp_path: Path) -> None:
    async with limited(tmp_path, open=5, address=5) as it:
        for path in ("/healthz", "/readyz", "/static/docs.js"):
            assert await it.statuses(None, 20, path=path) == [200] * 20


async def test_wrong_keys_are_refused_before_they_are_looked_at(tmp_path: Path) -> None:
    async with limited(tmp_path, failures=60) as it:
        await it.statuses("u1-k1", 1)
        first = await it.statuses("wrong", BURST)
        looked = it.door.looked
        flood = await it.statuses("wrong", 200)

        assert first == [401] * BURST
        assert flood == [429] * 200
        assert it.door.looked == looked
        assert await it.statuses("u1-k1", 1, "192.0.2.2") == [200]


async def test_a_flood_of_wrong_keys_shuts_out_nobody_who_was_in_from_there(tmp_path: Path) -> None:
    """Behind a proxy that is not trusted all callers have one address: one of them must not lock out the others."""
    async with limited(tmp_path, failures=60) as it:
        assert await it.statuses("u1-k1", 1) == [200]
        await it.statuses("wrong", BURST * 2)

        assert await it.statuses("u1-k1", 3) == [200] * 3
        assert await it.statuses("u2-k2", 1) == [429]
        it.clock.at_s += 1
        assert await it.statuses("u2-k2", 1) == [200]


async def test_a_key_that_is_good_no_more_counts_as_wrong(tmp_path: Path) -> None:
    async with limited(tmp_path, failures=60) as it:
        await it.statuses("u1-k1", 1)
        it.door.admit = lambda knock: _refuse(knock)

        statuses = await it.statuses("u1-k1", BURST * 2)

        assert statuses.count(401) == BURST
        assert statuses[-1] == 429


def _refuse(_: Knock) -> Principal:
    raise UnauthorizedError("revoked")


async def test_an_ipv6_customer_cannot_move_from_address_to_address(tmp_path: Path) -> None:
    async with limited(tmp_path, open=BURST) as it:
        statuses = [
            status
            for number in range(BURST + 5)
            for status in await it.statuses(None, 1, f"2001:db8:1:2::{number:x}", "/docs")
        ]

        assert statuses == [200] * BURST + [429] * 5
        assert await it.statuses(None, 1, "2001:db8:1:3::1", "/docs") == [200]


async def test_behind_a_trusted_proxy_each_client_has_its_own_limit(tmp_path: Path) -> None:
    async with limited(tmp_path, ("10.0.0.1",), open=BURST) as it, it.client(None, "10.0.0.1") as http:
        for client in ("203.0.113.7", "203.0.113.8"):
            headers = {"X-Forwarded-For": f"1.1.1.1, {client}"}
            statuses = [(await http.get("/docs", headers=headers)).status_code for _ in range(BURST + 1)]
            assert statuses == [200] * BURST + [429]


async def test_a_key_may_be_used_from_its_networks_only(tmp_path: Path) -> None:
    async with limited(tmp_path) as it:
        it.networks = {1: ("192.0.2.0/24", "2001:db8::/32")}

        assert await it.statuses("u1-k1", 1, "192.0.2.1") == [200]
        assert await it.statuses("u1-k1", 1, "::ffff:192.0.2.1") == [200]
        assert await it.statuses("u1-k2", 1, "203.0.113.7") == [200]
        async with it.client("u1-k1", "203.0.113.7") as http:
            for headers in ({}, {"X-Forwarded-For": "192.0.2.1"}, {"Forwarded": "for=192.0.2.1"}):
                refused = await http.get(PATH, headers=headers)
                assert (refused.status_code, refused.json()["code"]) == (403, "address_not_allowed")
                assert "203.0.113.7" in refused.json()["detail"]


async def test_a_header_that_nobody_trusts_gives_no_new_limit(tmp_path: Path) -> None:
    async with limited(tmp_path, open=BURST) as it, it.client(None) as http:
        statuses = [
            (await http.get("/docs", headers={"X-Forwarded-For": f"203.0.113.{number}"})).status_code
            for number in range(BURST + 1)
        ]

        assert statuses[-1] == 429

"""Every route, asked by everybody, about their own things, others' and the installation's: the exact answer.

What is expected stands in `permission_table`; a route that is missing there fails.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tests.flow.permission_table import ROWS, SIGNER, Asked, Row
from tests.flow.permission_world import BOOTSTRAP, TENANTS, Who, World, world

from llm_scheduler.api.permissions import NEEDS
from llm_scheduler.api.server import routes
from llm_scheduler.domain.access import Permission

if TYPE_CHECKING:
    from pathlib import Path

ATTEMPT = re.compile(r'"outcome": ?"(failed|refused)"')
"""In the audit log: who tried something is told with the name that they tried."""
LETTERS = {"O": "owner", "D": "developer", "V": "viewer"}


def test_every_route_is_in_the_table_and_asks_for_something() -> None:
    """Whoever adds a route says in the table who may call it, and in the test's who is to get what."""
    known = {(method, route.path) for route in routes() for method in route.methods}  # type: ignore[attr-defined]

    assert known - NEEDS.keys() == set()
    assert NEEDS.keys() - known == set()
    assert known - {(row.method, row.path) for row in ROWS} == set()
    assert {(row.method, row.path) for row in ROWS} - known == set()


def expected(row: Row, who: str, thing: str) -> int:
    """By role, as the row says it."""
    if row.who != "-" and who not in row.who:
        return 403
    if thing == "own" and who in row.but[0]:
        return row.but[1]
    answer = {"own": row.own, "foreign": row.foreign, "shared": row.shared}[thing]
    assert answer is not None
    return answer


async def callers(made: World, tenant: str) -> dict[str, Who]:
    """Somebody of each kind who acts in the tenant."""
    found = {"B": made.root(tenant), "A": await made.signed_in("root", "default", tenant)}
    for letter, role in LETTERS.items():
        found[letter] = await made.signed_in(f"{role}-{tenant}", tenant)
    found["K"] = await made.key(f"owner-{tenant}", tenant, Permission.TASKS_READ)
    return found


async def strangers(made: World) -> dict[str, tuple[Who, int]]:
    """Those who are not let in, and with what answer."""
    await made.user("off")
    await made.made(made.root("acme"), "/api/v1/members/off", {"role": "owner"}, "PUT")
    off = await made.signed_in("off", "acme")
    off_key = await made.key("off", "acme")
    await made.made(made.root(), "/api/v1/users/off", {"state": "disabled"}, "PATCH")
    return {
        "nobody": (Who(None), 401),
        "a wrong key": (Who("llms_wrong"), 401),
        "a forged token": (Who("t.999999.1"), 401),
        "a disabled owner": (off, 401),
        "a disabled owner's key": (off_key, 401),
        "an owner of a suspended tenant": (await made.signed_in("owner-gone", "gone"), 403),
        "a key of a suspended tenant": (await made.key("owner-gone", "gone"), 403),
        "an owner in another tenant": (await made.signed_in("owner-acme", "acme", "bolt"), 404),
        "a key in another tenant": ((await made.key("owner-acme", "acme"))._replace(tenant="bolt"), 404),
        "an owner in no tenant": (await made.signed_in("owner-acme", "acme", "nowhere"), 404),
        "the installation's key in no tenant": (Who(BOOTSTRAP, "nowhere"), 404),
    }


class Walk:
    """Asks, compares, and remembers what was wrong."""

    def __init__(self, made: World) -> None:
        self.made, self.cells, self.wrong = made, 0, list[str]()
        self.heard: Counter[int] = Counter()
        self._things: dict[tuple[Row, str], Asked] = {}

    async def cell(self, row: Row, who: tuple[str, Who], wanted: int, tenants: tuple[str, str], thing: str) -> None:
        """One request. `tenants`: where the caller acts, whose the thing is."""
        acting, owner = tenants
        asked = await self._thing(row, owner, is_changed=row.method != "GET" and wanted < 300)
        heard = await self.made.ask(who[1], row.method, asked.path, asked.body, asked.media)
        if row.ends_sign_in and wanted < 300:
            await self.made.sign_in_again(who[1])
        self.cells += 1
        self.heard[heard.status] += 1
        where = f"{row.method} {asked.path} by {who[0]} in {acting}, {thing}"
        if heard.status != wanted:
            self.wrong.append(f"{where}: {heard.status}, not {wanted}; {heard.text[:200]}")
        if thing == "foreign" and heard.status < 300 and row.foreign_says not in heard.text.replace(" ", ""):
            self.wrong.append(f"{where}: {heard.text[:200]}")
        is_whole = (
            row.is_system or who[0] in row.names_all_to or (row.is_whole and acting == "default" and who[0] in "AB")
        )
        leak = None if is_whole or heard.status >= 300 else leaked(acting, heard.text)
        if leak:
            self.wrong.append(f"{where}: says {leak}")

    async def _thing(self, row: Row, owner: str, *, is_changed: bool) -> Asked:
        """What the request is about: a fresh one where it is to be changed, else one that served before."""
        if is_changed:
            return await row.make(self.made, owner)
        if (row, owner) not in self._things:
            self._things[row, owner] = await row.make(self.made, owner)
        return self._things[row, owner]


def _pieces(text: str) -> list[str]:
    """Entries one by one, of a list or of lines."""
    if text.startswith('{"items":'):
        return [json.dumps(one) for one in json.loads(text)["items"]]
    return text.splitlines()


def leaked(acting: str, text: str) -> str | None:
    """Names and configs of other tenants that stand in an answer which is about one."""
    others = [f"of-{tenant}-" for tenant in TENANTS if tenant not in (acting, "default")]
    if acting != "default":
        others += ["of-default-config", "of-default-input"]
    pieces = [one for one in _pieces(text) if not ATTEMPT.search(one)]
    return next((f"{one}: {piece[:300]}" for one in others for piece in pieces if one in piece), None)


@pytest.mark.timeout(900)
async def test_everybody_gets_exactly_what_is_theirs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with world(tmp_path) as made:
        await made.made(made.root(), "/api/v1/models", {"name": "shared", "type": "scripted"})
        # Never called: its answer would tell what its config says.
        await made.made(made.root(), "/api/v1/users", SIGNER)
        await made.made(made.root(), "/api/v1/members/signer", {"role": "viewer"}, "PUT")
        hidden = {"name": "hidden", "type": "scripted", "config": {"text": "of-default-config"}}
        await made.made(made.root(), "/api/v1/models", hidden)
        for tenant in TENANTS:
            await made.made(made.root(tenant), "/api/v1/tasks", {"model": "shared", "input": f"of-{tenant}-input"})
        walk = Walk(made)
        for tenant in TENANTS:
            for row, who in itertools.product(ROWS, (await callers(made, tenant)).items()):
                other = "bolt" if tenant == "acme" else "acme"
                await walk.cell(row, who, expected(row, who[0], "own"), (tenant, tenant), "own")
                if row.foreign is not None:
                    await walk.cell(row, who, expected(row, who[0], "foreign"), (tenant, other), "foreign")
                if row.shared is not None and tenant != "default":
                    await walk.cell(row, who, expected(row, who[0], "shared"), (tenant, "default"), "shared")
        for row, (name, (who, wanted)) in itertools.product(ROWS, (await strangers(made)).items()):
            status = row.own if row.who == "-" else wanted
            await walk.cell(row, (name, who), status, ("nowhere", "acme"), "own")

    with capsys.disabled():
        print(f"\n{walk.cells} cells, {len(walk.wrong)} wrong; {dict(sorted(walk.heard.items()))}")
    assert not walk.wrong, "\n".join(walk.wrong[:40])


async def test_a_key_is_let_in_with_what_its_user_may_now(tmp_path: Path) -> None:
    """Not with what the user might when it was made; and not at all once the user is out of the tenant."""
    async with world(tmp_path) as made:
        key = await made.key("owner-acme", "acme")
        models = {"name": "own", "type": "scripted"}
        assert (await made.ask(key, "POST", "/api/v1/models", models)).status == 201

        await made.made(made.root("acme"), "/api/v1/members/owner-acme", {"role": "viewer"}, "PUT")
        assert (await made.ask(key, "POST", "/api/v1/models", models | {"name": "two"})).status == 403
        assert (await made.ask(key, "GET", "/api/v1/models")).status == 200

        await made.made(made.root("acme"), "/api/v1/members/owner-acme", None, "DELETE")
        assert (await made.ask(key, "GET", "/api/v1/models")).status == 401


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "members/viewer-acme", {"role": "owner"}),
        ("DELETE", "members/viewer-acme", None),
        ("POST", "service-accounts", {"name": "ci"}),
        ("DELETE", "service-accounts/there", None),
        ("POST", "users", {"username": "new"}),
        ("PATCH", "users/viewer-acme", {"is_admin": True}),
        ("POST", "users/viewer-acme/password", None),
        ("DELETE", "users/viewer-acme", None),
    ],
)
async def test_an_api_key_gives_nobody_anything(tmp_path: Path, method: str, path: str, body: Any) -> None:
    """Not even an administrator's, with every scope."""
    async with world(tmp_path) as made:
        await made.made(made.root("acme"), "/api/v1/service-accounts", {"name": "there"})
        key = await made.key("root", "acme", *Permission)

        heard = await made.ask(key, method, f"/api/v1/{path}", body)

        assert (heard.status, heard.json["code"]) == (403, "forbidden"), heard


async def test_an_owner_makes_no_administrator(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        owner = await made.signed_in("owner-acme", "acme")

        as_member = await made.ask(owner, "PUT", "/api/v1/members/viewer-acme", {"role": "admin"})
        as_service = await made.ask(owner, "POST", "/api/v1/service-accounts", {"name": "ci", "role": "admin"})

        assert (as_member.status, as_service.status) == (422, 422)

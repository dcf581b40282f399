"""API keys over HTTP: who makes them, what they may do, and when they stop."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.api.key_scene import BOOTSTRAP, PEOPLE, KeyScene, key_scene
from tests.unit.api.scene import Listening

from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.domain.ids import DEFAULT_TENANT, KeyId
from llm_scheduler.domain.key_text import KEY_PATTERN
from llm_scheduler.services import api_keys as service
from llm_scheduler.services.door import Knock
from llm_scheduler.services.key_use import KeyUse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

KEYS = "/api/v1/api-keys"
TASK = {"model": "m", "input": "Hi"}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[KeyScene]:
    async with key_scene(tmp_path) as made:
        yield made


def is_in_a_file(text: str, folder: Path) -> bool:
    return any(text.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_a_key_is_shown_once_works_and_is_kept_nowhere(api: KeyScene, tmp_path: Path) -> None:
    """Its hash is in the record, its text in no answer but the first, and in no file."""
    made = await api.made(scopes=["submit"])
    text = made.pop("key")

    assert re.fullmatch(KEY_PATTERN, text)
    assert made["prefix"] == text[:13]
    assert made["scopes"] == ["models:read", "payloads:read", "tasks:read", "tasks:submit"]
    assert await api.status(text, "/api/v1/tasks", "POST", json=TASK) == 201
    assert await api.status(text, "/api/v1/tasks/actions", "POST", json={}) == 403
    got = await api.of("dan").get(f"{KEYS}/{made['id']}")
    assert got.json() == made | {"budgets": []}
    listed = await api.of("dan").get(KEYS)
    assert listed.json() == {"items": [made], "next_cursor": None}
    assert not is_in_a_file(text[14:], tmp_path)
    assert is_in_a_file(text[:13], tmp_path)


@pytest.mark.parametrize("credential", ["llms_" + "x" * 59, "nothing", "a.b.c", "", "ключ", "\udcff"])
async def test_whatever_is_wrong_with_a_key_the_answer_is_the_same(api: KeyScene, credential: str) -> None:
    """Unknown, mistyped (the check characters do not fit), revoked, expired: nobody learns which."""
    text = await api.key()
    mistyped = text[:-1] + ("a" if text[-1] != "a" else "b")
    revoked = await api.made()
    await api.of("dan").delete(f"{KEYS}/{revoked['id']}")
    unknown = "llms_" + "0" * 8 + text[13:]

    answers = []
    for one in (mistyped, revoked["key"], unknown):
        answer = await api.of(one).get("/api/v1/models")
        answers.append((answer.status_code, answer.json()["detail"], answer.json()["code"]))

    assert len(set(answers)) == 1
    assert answers[0][0] == 401
    with pytest.raises(Exception, match=r"not known here|does not hold"):
        api.parts.access.door.admit(Knock(credential, ""))


async def test_owners_see_and_manage_all_of_the_tenant_others_their_own(api: KeyScene) -> None:
    """What is not theirs is not there; what is of another tenant is not there for anybody."""
    mine, hers = await api.made("dan"), await api.made("olga")
    foreign = await api.made("oona")

    async def names(who: str, query: str = "") -> list[str]:
        return [one["user"] for one in (await api.of(who).get(KEYS + query)).json()["items"]]

    assert await names("dan") == ["dan"]
    assert await names("olga") == ["olga"]
    assert await names("olga", "?all=true") == ["olga", "dan"]
    assert await names("olga", "?user=dan") == ["dan"]
    assert await names(BOOTSTRAP) == ["olga", "dan"]
    assert await api.status("dan", KEYS + "?all=true") == 403
    assert await api.status("dan", KEYS + "?user=olga") == 403
    assert await api.status("olga", KEYS + "?user=oona") == await api.status("olga", KEYS + "?user=nobody") == 422
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "x"}),
        ("DELETE", "", None),
        ("POST", "/renew", {}),
    ):
        for who, one in (("dan", hers), ("dan", foreign), ("olga", foreign), ("vic", mine), (BOOTSTRAP, foreign)):
            status = await api.status(who, f"{KEYS}/{one['id']}{path}", method, json=body)
            assert status == 404, (method, who)
    assert await api.status("olga", f"{KEYS}/{mine['id']}", "DELETE") == 204
    assert await api.status(mine["key"]) == 401
    assert await api.status(foreign["key"]) == 200


async def test_keys_of_service_accounts_are_made_by_owners_keys_of_persons_by_themselves(api: KeyScene) -> None:
    """Whoever holds a person's key is that person for us: no owner can be that."""
    bots = await api.made("olga", user="bot", scopes=["all"])
    assert bots["user"] == "bot"
    # What a developer may, though an owner made it.
    assert "keys:manage" not in bots["scopes"]
    assert await api.status(bots["key"], "/api/v1/tasks", "POST", json=TASK) == 201

    await api.made("dan", 403, user="bot")
    await api.made("olga", 403, user="dan")
    await api.made("olga", 422, user="oona")
    await api.made("olga", 422, user="nobody")
    dans = await api.made("dan")
    assert await api.status("olga", f"{KEYS}/{dans['id']}/renew", "POST", json={}) == 403
    assert (await api.made(BOOTSTRAP, user="dan"))["user"] == "dan"
    await api.made(BOOTSTRAP, 422)


async def test_nobody_gets_a_key_for_more_than_they_may(api: KeyScene) -> None:
    """By no scope, and by no key that came from a key."""
    await api.made("vic", 403, scopes=["submit"])
    await api.made("vic", 403, scopes=["tasks:submit"])
    await api.made("dan", 403, scopes=["members:manage"])
    await api.made("dan", 422, scopes=["everything"])
    await api.made("dan", 422, scopes=[])
    assert "keys:own" not in (await api.made("olga", scopes=["manage"]))["scopes"]

    small = await api.key("olga", scopes=["keys:own", "tasks:read"])
    await api.made(small, 403, scopes=["tasks:submit"])
    assert (await api.made(small, scopes=["all"]))["scopes"] == ["keys:own", "tasks:read"]
    large = await api.made("olga")
    assert await api.status(small, f"{KEYS}/{large['id']}/renew", "POST", json={}) == 403
    own = (await api.of("olga").get(KEYS)).json()["items"][-1]
    changed = await api.of(small).patch(f"{KEYS}/{own['id']}", json={"scopes": ["all", "tasks:manage"]})
    assert changed.status_code == 403


async def test_a_key_hands_its_limits_on(api: KeyScene) -> None:
    """A key that leaks makes no key that is freer than itself, nor frees itself."""
    limits = {"rpm": 10, "allowed_models": ["m"], "networks": ["127.0.0.0/8"], "expires_in_s": 3600}
    bound = await api.made("dan", **limits)
    text = bound["key"]

    child = await api.made(text)
    assert {name: child[name] for name in ("rpm", "allowed_models", "networks", "expires_at")} == {
        name: bound[name] for name in ("rpm", "allowed_models", "networks", "expires_at")
    }
    assert (await api.made(text, rpm=5, networks=["127.0.0.0/16"], expires_in_s=60))["networks"] == ["127.0.0.0/16"]
    for beyond in ({"rpm": 11}, {"allowed_models": ["m", "n"]}, {"networks": ["0.0.0.0/0"]}, {"expires_in_s": 7200}):
        await api.made(text, 403, **beyond)
    for change in ({"rpm": None}, {"allowed_models": None}, {"networks": []}, {"expires_at": None}):
        answer = await api.of(text).patch(f"{KEYS}/{bound['id']}", json=change)
        name = next(iter(change))
        assert answer.json()[name] == bound[name], change
    free = await api.made("dan")
    assert await api.status(text, f"{KEYS}/{free['id']}/renew", "POST", json={}) == 403


async def test_a_key_may_never_do_more_than_its_user_may_later(api: KeyScene) -> None:
    """A developer who becomes a viewer has viewer's keys; the key itself is as it was."""
    text = await api.key("dan", scopes=["all"])
    assert await api.status(text, "/api/v1/tasks", "POST", json=TASK) == 201

    await api.write("UPDATE memberships SET role = 'viewer' WHERE user_id = ?", 102, user=PEOPLE["dan"][0])
    assert await api.status(text, "/api/v1/tasks", "POST", json=TASK) == 403
    assert await api.status(text, "/api/v1/tasks") == 200

    # Nor does it grow with its user.
    await api.write("UPDATE memberships SET role = 'owner' WHERE user_id = ?", 102, user=PEOPLE["dan"][0])
    assert await api.status(text, "/api/v1/models", "POST", json={"name": "n", "type": "scripted"}) == 403


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE users SET state = 'disabled' WHERE id = ?",
        "DELETE FROM users WHERE id = ?",
        "DELETE FROM memberships WHERE user_id = ?",
    ],
    ids=["disabled", "removed", "left"],
)
async def test_a_key_goes_with_its_user(api: KeyScene, statement: str) -> None:
    """By what the door looks up: the key's own row is as it was."""
    text = await api.key("dan")
    assert await api.status(text) == 200

    await api.write(statement, 102, user=PEOPLE["dan"][0])

    assert await api.status(text) == 401


async def test_a_key_acts_in_its_own_tenant_only(api: KeyScene) -> None:
    text = await api.key("dan")

    # What is remembered of one tenant counts for no other.
    for _ in range(2):
        assert await api.status(text) == 200
        assert await api.status(text, headers={"X-Tenant": "default"}) == 200
        assert await api.status(text, headers={"X-Tenant": "other"}) == 404
    for name, tenant_id in ((None, 1), ("other", 2), ("default", 1)):
        assert api.parts.access.door.admit(Knock(BOOTSTRAP, "", name)).tenant_id == tenant_id


async def test_a_key_ends_by_itself(api: KeyScene) -> None:
    """Also one that was let in a moment ago."""
    made = await api.made(expires_in_s=3600)
    assert await api.status(made["key"]) == 200
    soon = await api.made(expires_in_s=1)
    assert await api.status(soon["key"]) in (200, 401)

    async with asyncio.timeout(10):
        while await api.status(soon["key"]) != 401:  # noqa: ASYNC110 - the clock is the machine's
            await asyncio.sleep(0.02)

    got = (await api.of("dan").get(f"{KEYS}/{soon['id']}")).json()
    assert got["state"] == "expired"
    await api.made("dan", 422, expires_at="2001-01-01T00:00:00Z")
    await api.made("dan", 422, expires_at="2100-01-01T00:00:00Z", expires_in_s=5)


async def test_a_renewed_key_stands_beside_the_old_one_until_the_overlap_is_over(api: KeyScene) -> None:
    """Same scopes and limits; the old one ends by itself, at once if so asked."""
    made = await api.made(rpm=7, scopes=["submit"], expires_in_s=86_400)
    renewed = await api.of("dan").post(f"{KEYS}/{made['id']}/renew")
    assert renewed.status_code == 201
    fresh = renewed.json()

    assert fresh["replaces"]["id"] == made["id"]
    assert (fresh["rpm"], fresh["scopes"], fresh["name"]) == (7, made["scopes"], "k")
    assert fresh["key"] != made["key"]
    assert await api.status(made["key"]) == await api.status(fresh["key"]) == 200
    now = await api.of("dan").post(f"{KEYS}/{fresh['id']}/renew", json={"overlap_s": 0, "expires_at": None})
    assert await api.status(fresh["key"]) == 401
    assert await api.status(now.json()["key"]) == 200
    assert await api.status("dan", f"{KEYS}/{fresh['id']}/renew", "POST", json={"overlap_s": 2_592_001}) == 422
    await api.of("dan").delete(f"{KEYS}/{now.json()['id']}")
    gone = await api.of("dan").post(f"{KEYS}/{now.json()['id']}/renew")
    assert (gone.status_code, gone.json()["code"]) == (409, "api_key_revoked")


async def test_a_key_that_may_renews_itself(api: KeyScene) -> None:
    """As a program does before its key ends; without `keys:own` it does not."""
    made = await api.made(scopes=["tasks:read", "keys:own"], expires_in_s=3600)

    renewed = await api.of(made["key"]).post(f"{KEYS}/{made['id']}/renew", json={"overlap_s": 60})

    assert renewed.status_code == 201
    assert renewed.json()["expires_at"] > made["expires_at"]
    plain = await api.made(scopes=["submit"])
    assert await api.status(plain["key"], f"{KEYS}/{plain['id']}/renew", "POST") == 403


async def test_changes_hold_for_the_next_request(api: KeyScene) -> None:
    """Name, scopes, limits, end; a null that means nothing is refused."""
    made = await api.made(scopes=["submit"])
    path = f"{KEYS}/{made['id']}"
    assert await api.status(made["key"], "/api/v1/tasks", "POST", json=TASK) == 201

    body = {"name": "new", "scopes": ["read"], "rpm": 5, "networks": ["10.0.0.1", "10.0.0.1/32"]}
    changed = (await api.of("dan").patch(path, json=body)).json()

    assert (changed["name"], changed["rpm"], changed["networks"]) == ("new", 5, ["10.0.0.1/32"])
    assert await api.status(made["key"], "/api/v1/tasks", "POST", json=TASK) == 403
    kept = api.parts.access.directory.key(KeyId(made["id"]))
    assert kept is not None
    assert kept.limits.rpm == 5
    cleared = (await api.of("dan").patch(path, json={"rpm": None, "networks": []})).json()
    assert (cleared["rpm"], cleared["networks"], cleared["name"]) == (None, [], "new")
    for bad in ({"name": None}, {"scopes": None}, {"networks": ["10.0.0.1/8"]}, {"rpm": 0}, {"hash": "x"}):
        assert await api.status("dan", path, "PATCH", json=bad) == 422, bad
    await api.of("dan").delete(path)
    assert await api.status("dan", path, "PATCH", json={"name": "x"}) == 409
    assert await api.status("dan", path, "DELETE") == 204


async def test_the_door_is_told_which_models_a_key_may_call(api: KeyScene) -> None:
    """Routes ask the principal."""
    text = await api.key(allowed_models=["m", "n"])

    assert api.parts.access.door.admit(Knock(text, "")).allowed_models == {"m", "n"}


async def test_a_repeated_request_makes_no_second_key_and_shows_none(api: KeyScene, tmp_path: Path) -> None:
    """The answer with the text is not kept under the Idempotency-Key."""
    headers = {"Idempotency-Key": "once"}
    first = await api.of("dan").post(KEYS, json={"name": "k"}, headers=headers)
    again = await api.of("dan").post(KEYS, json={"name": "k"}, headers=headers)
    other = await api.of("dan").post(KEYS, json={"name": "l"}, headers=headers)

    assert first.status_code == 201
    assert (again.status_code, again.json()["code"]) == (409, "shown_once")
    assert again.json()["location"] == first.headers["location"]
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    assert len((await api.of("dan").get(KEYS)).json()["items"]) == 1
    kept = await api.parts.store.take_key(DEFAULT_TENANT, "once", "?")
    assert kept is not None
    assert first.json()["key"][14:] not in str(kept.answer)


async def test_keys_are_listed_in_pages(api: KeyScene) -> None:
    """Newest first; revoked ones on request."""
    ids = [(await api.made(name=f"k{n}"))["id"] for n in range(5)]
    await api.of("dan").delete(f"{KEYS}/{ids[0]}")

    async def walk(query: str) -> list[int]:
        found: list[int] = []
        cursor = ""
        while True:
            page = (await api.of("dan").get(f"{KEYS}?limit=2{query}{cursor}")).json()
            found += [one["id"] for one in page["items"]]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    assert await walk("") == ids[:0:-1]
    assert await walk("&revoked=true") == ids[::-1]
    assert await api.status("dan", f"{KEYS}?cursor=x") == 422


async def test_tasks_know_the_key_that_they_came_with_and_its_budget_counts_them(api: KeyScene) -> None:
    """One by one and in bulk; other keys' tasks are not counted."""
    made, other = await api.made("olga"), await api.made("olga")
    budget = {"name": "of-key", "limit_microusd": 1_000, "period": "total", "key_id": made["id"]}
    assert (await api.of("olga").post("/api/v1/budgets", json=budget)).status_code == 201
    single = (await api.of(made["key"]).post("/api/v1/tasks", json=TASK)).json()["id"]
    bulk = (await api.of(made["key"]).post("/api/v1/tasks/bulk", json=[TASK, TASK])).json()
    with_other = (await api.of(other["key"]).post("/api/v1/tasks", json=TASK)).json()["id"]
    by_olga = (await api.of("olga").post("/api/v1/tasks", json=TASK)).json()["id"]

    async def key_of(task_id: Any) -> int | None:
        task = await api.parts.store.task(task_id, DEFAULT_TENANT)
        assert task is not None
        return task.key_id

    assert [await key_of(one) for one in (single, bulk["first_id"], bulk["last_id"])] == [made["id"]] * 3
    assert (await key_of(with_other), await key_of(by_olga)) == (other["id"], None)
    shown = (await api.of("olga").get(f"{KEYS}/{made['id']}")).json()["budgets"]
    assert [(one["name"], one["spent_microusd"]) for one in shown] == [("of-key", 0)]
    assert (await api.of("olga").get(f"{KEYS}/{other['id']}")).json()["budgets"] == []


async def test_the_last_use_is_written_later_and_by_nobodys_request(api: KeyScene) -> None:
    made = await api.made()
    assert await api.status(made["key"]) == 200
    path = f"{KEYS}/{made['id']}"
    assert (await api.of("dan").get(path)).json()["last_used_at"] is None

    await KeyUse(api.parts.store, api.parts.access.door).write()

    assert (await api.of("dan").get(path)).json()["last_used_at"] >= made["created_at"]
    assert api.parts.access.door.take_used() == {}


async def test_what_is_noted_of_use_is_written_at_the_end(api: KeyScene) -> None:
    """A process that stops has not waited for its minute."""
    made = await api.made()
    await api.status(made["key"])
    loop = asyncio.create_task(KeyUse(api.parts.store, api.parts.access.door, every_s=3600).run())
    await asyncio.sleep(0)

    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)

    assert (await api.of("dan").get(f"{KEYS}/{made['id']}")).json()["last_used_at"] is not None


async def test_nobody_has_keys_without_end(api: KeyScene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_KEYS", 2)
    first = await api.made()
    await api.made()

    assert (await api.made("dan", 409))["code"] == "too_many_api_keys"
    await api.of("dan").delete(f"{KEYS}/{first['id']}")
    await api.made()


async def test_what_the_record_was_not_asked_for_too_long_lets_nobody_in_but_the_own_key(api: KeyScene) -> None:
    """Whether a key was revoked meanwhile is not known: 503, and not 401, which would make clients give up."""
    text = await api.key()
    assert await api.status(text) == await api.status("dan") == 200

    api.parts.access.directory.is_stale = True

    assert await api.status(text) == await api.status("dan") == await api.status("llms_unknown") == 503
    assert await api.status(BOOTSTRAP) == 200
    with pytest.raises(StoreUnavailableError):
        api.parts.access.door.admit(Knock(text, ""))
    api.parts.access.directory.is_stale = False
    assert await api.status(text) == 200


async def test_a_stream_ends_with_the_key_that_it_was_asked_with(api: KeyScene) -> None:
    """Of one task and of all; others' streams go on, also when keys that are none of theirs change."""
    made = await api.made()
    task = (await api.of("dan").post("/api/v1/tasks", json=TASK)).json()["id"]
    async with (
        Listening(api.app, "/api/v1/events", made["key"]) as all_of_them,
        Listening(api.app, f"/api/v1/tasks/{task}/events", made["key"]) as one,
        Listening(api.app, "/api/v1/events", "dan.x.y") as others,
    ):
        assert await all_of_them.piece() == await others.piece() == b": listening\n\n"
        assert await one.event() is not None
        unrelated = await api.made()
        await api.of("dan").delete(f"{KEYS}/{unrelated['id']}")

        await api.of("dan").delete(f"{KEYS}/{made['id']}")

        assert await all_of_them.event() is None
        assert await one.event() is None
        await api.of("dan").post(f"/api/v1/tasks/{task}/cancel")
        assert await others.event() is not None

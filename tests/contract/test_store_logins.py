"""Sign-ins, failed attempts, signing keys and people's own accounts in the record of both engines."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract import store_scene
from tests.contract.store_scene import CountingMeter, Scene, StillClock, mysql_url

from llm_scheduler.domain.access import Login, Role, User
from llm_scheduler.domain.ids import DEFAULT_TENANT, LoginId, Millis, TenantId, UserId
from llm_scheduler.domain.tenant import Tenant
from llm_scheduler.domain.tries import KEPT_MS
from llm_scheduler.ports.logins import Renewal, SigningKey
from llm_scheduler.stores.mysql import MysqlStore

scene = store_scene.scene
DAY_S = 86_400


def person(name: str = "ann") -> User:
    return User(UserId(0), name, subject=f"test|{name}")


def login(scene: Scene, user_id: int = 1, **changes: object) -> Login:
    now = scene.clock.now()
    made = Login(
        LoginId(0),
        UserId(user_id),
        DEFAULT_TENANT,
        "a" * 64,
        generation=1,
        created_at=now,
        used_at=now,
        expires_at=Millis(now + DAY_S * 1000),
        address="192.0.2.1",
        agent="é browser",
    )
    return replace(made, **changes)


def renewal(scene: Scene, token_hash: str = "b" * 64) -> Renewal:
    return Renewal(token_hash, DEFAULT_TENANT, Millis(scene.clock.now() + 2 * DAY_S * 1000), "192.0.2.2", "other")


async def version(scene: Scene) -> int:
    return await scene.store.access_version()


async def test_a_sign_in_is_found_until_it_is_over_and_everybody_hears_of_it(scene: Scene) -> None:
    before = await version(scene)
    opened = await scene.store.open_login(login(scene))
    other = await scene.store.open_login(login(scene))

    assert opened == login(scene, id=opened.id)
    assert other.id > opened.id
    assert await scene.store.login(opened.id) == opened
    assert await version(scene) > before
    assert [one.id for one in (await scene.store.access()).logins] == [opened.id, other.id]
    scene.clock.pass_s(DAY_S)
    assert await scene.store.logins(UserId(1)) == []
    assert (await scene.store.access()).logins == []
    assert await scene.store.login(opened.id) == opened
    assert await scene.store.login(LoginId(999)) is None


async def test_a_refresh_token_is_good_once(scene: Scene) -> None:
    opened = await scene.store.open_login(login(scene))
    scene.clock.pass_s(60)

    won = await asyncio.gather(
        *(scene.store.renew_login(opened.id, 1, "a" * 64, renewal(scene, f"{n:064}")) for n in range(9))
    )

    assert won.count(True) == 1
    kept = await scene.store.login(opened.id)
    assert kept is not None
    assert (kept.generation, kept.token_hash) == (2, f"{won.index(True):064}")
    assert (kept.used_at, kept.address, kept.agent) == (scene.clock.now(), "192.0.2.2", "other")
    assert kept.created_at == opened.created_at


async def test_nothing_but_the_newest_token_of_a_sign_in_that_is_alive_renews_it(scene: Scene) -> None:
    opened = await scene.store.open_login(login(scene))
    ended = await scene.store.open_login(login(scene))
    await scene.store.end_logins(UserId(1), only=ended.id)

    assert not await scene.store.renew_login(opened.id, 0, "a" * 64, renewal(scene))
    assert not await scene.store.renew_login(opened.id, 2, "a" * 64, renewal(scene))
    assert not await scene.store.renew_login(opened.id, 1, "c" * 64, renewal(scene))
    assert not await scene.store.renew_login(ended.id, 1, "a" * 64, renewal(scene))
    assert not await scene.store.renew_login(LoginId(999), 1, "a" * 64, renewal(scene))
    scene.clock.pass_s(DAY_S)
    assert not await scene.store.renew_login(opened.id, 1, "a" * 64, renewal(scene))


async def test_renewing_changes_nobodys_access(scene: Scene) -> None:
    """Each process takes everything over when the version grows: that must not be with every refresh."""
    opened = await scene.store.open_login(login(scene))
    before = await version(scene)

    assert await scene.store.renew_login(opened.id, 1, "a" * 64, renewal(scene))

    assert await version(scene) == before


async def test_one_sign_in_ends_or_all_but_one_or_all(scene: Scene) -> None:
    mine = [await scene.store.open_login(login(scene)) for _ in range(4)]
    theirs = await scene.store.open_login(login(scene, 2))

    assert await scene.store.end_logins(UserId(2), only=mine[0].id) == 0
    before = await version(scene)
    assert await scene.store.end_logins(UserId(1), only=mine[0].id) == 1
    assert await version(scene) > before
    assert await scene.store.end_logins(UserId(1), only=mine[0].id) == 0
    assert await scene.store.end_logins(UserId(1), but=mine[1].id) == 2
    assert [one.id for one in await scene.store.logins(UserId(1))] == [mine[1].id]
    assert await scene.store.end_logins(UserId(1)) == 1
    assert [one.id for one in await scene.store.logins(UserId(2))] == [theirs.id]


async def test_ending_everything_makes_the_epoch_grow(scene: Scene) -> None:
    ann = await scene.store.sign_up(person())
    await scene.store.open_login(login(scene, ann.id))

    assert await scene.store.end_everything(ann.id) == 1
    assert await scene.store.end_everything(ann.id) == 0

    kept = await scene.store.account(ann.id)
    assert kept is not None
    assert kept.epoch == 2


async def test_sign_ins_that_are_long_over_are_forgotten(scene: Scene) -> None:
    expired = await scene.store.open_login(login(scene))
    ended = await scene.store.open_login(login(scene, expires_at=Millis(scene.clock.now() + 99 * DAY_S * 1000)))
    alive = await scene.store.open_login(login(scene, expires_at=Millis(scene.clock.now() + 99 * DAY_S * 1000)))
    await scene.store.end_logins(UserId(1), only=ended.id)
    scene.clock.pass_s(9 * DAY_S)

    await scene.store.forget_logins(Millis(scene.clock.now() - 7 * DAY_S * 1000))

    found = [await scene.store.login(one.id) for one in (expired, ended, alive)]
    assert [one is not None for one in found] == [False, False, True]


async def test_attempts_are_counted_before_they_end_and_many_at_once_one_after_the_other(scene: Scene) -> None:
    waits = await asyncio.gather(*(scene.store.take_try({"name:a", "address:b"}) for _ in range(12)))

    assert waits.count(0) == 5
    assert {wait for wait in waits if wait} == {1000}


async def test_of_two_counts_the_longer_wait_holds_and_the_other_is_not_counted_meanwhile(scene: Scene) -> None:
    for _ in range(7):
        scene.clock.pass_s(5)
        await scene.store.take_try({"name:a"})

    assert await scene.store.take_try({"name:a", "name:b"}) > 0
    for _ in range(5):
        assert await scene.store.take_try({"name:b"}) == 0


async def test_forgiven_attempts_are_as_if_they_had_not_been(scene: Scene) -> None:
    for _ in range(5):
        await scene.store.take_try({"name:a", "name:b"})

    await scene.store.forgive_tries({"name:a"}, 1_000)
    await scene.store.forgive_tries({"name:b"}, 1)

    for name in ("a", "b"):
        assert await scene.store.take_try({f"name:{name}"}) == 0
    assert await scene.store.take_try({"name:a"}) == 0
    assert await scene.store.take_try({"name:b"}) > 0
    await scene.store.forgive_tries({"name:never"}, 1)


async def test_counts_that_have_faded_are_deleted_and_nothing_else_is(scene: Scene) -> None:
    await scene.store.save_state("trying", "{}", 0)
    await scene.store.save_state("setup", "{}", 0)
    await scene.store.take_try({"name:old"})
    scene.clock.pass_s(KEPT_MS / 1000 + 1)
    await scene.store.take_try({"name:new"})

    await scene.store.forget_tries(Millis(scene.clock.now() - KEPT_MS))

    assert await scene.store.state("try:name:old") is None
    for name in ("try:name:new", "trying", "setup"):
        assert await scene.store.state(name) is not None


async def test_of_many_first_signing_keys_one_is_kept(scene: Scene) -> None:
    before = await version(scene)
    keys = [SigningKey(f"kid{number}", f"sealed {number}", Millis(0)) for number in range(8)]

    await asyncio.gather(*(scene.store.add_signing_key(key, is_first=True) for key in keys))

    (kept,) = await scene.store.signing_keys()
    assert kept == SigningKey(kept.kid, f"sealed {kept.kid[3:]}", scene.clock.now())
    assert await version(scene) > before


async def test_a_further_key_retires_the_others_and_retired_ones_are_dropped_in_time(scene: Scene) -> None:
    at = scene.clock.now()
    for number in range(3):
        await scene.store.add_signing_key(SigningKey(f"kid{number}", "sealed", Millis(0)))
        scene.clock.pass_s(10)

    keys = await scene.store.signing_keys()
    assert [(key.kid, key.retired_at) for key in keys] == [("kid0", at + 10_000), ("kid1", at + 20_000), ("kid2", None)]
    assert await scene.store.drop_signing_keys(Millis(at + 10_000)) == 1
    assert await scene.store.drop_signing_keys(Millis(at + 10_000)) == 0
    assert [key.kid for key in await scene.store.signing_keys()] == ["kid1", "kid2"]


async def test_of_many_first_users_there_is_one_who_is_owner(scene: Scene) -> None:
    assert not await scene.store.has_person()
    wanted = [User(UserId(0), f"ann{number}", is_admin=True, password_hash="$h") for number in range(8)]

    made = await asyncio.gather(*(scene.store.first_user(user, DEFAULT_TENANT) for user in wanted))

    (first,) = [user for user in made if user is not None]
    assert await scene.store.has_person()
    assert await scene.store.account(first.id) == first
    assert await scene.store.account_named(first.username) == first
    found = await scene.store.access()
    assert [(one.user_id, one.tenant_id, one.role) for one in found.memberships] == [
        (first.id, DEFAULT_TENANT, Role.OWNER)
    ]


async def test_who_signs_up_twice_is_one_and_gets_no_name_of_anothers(scene: Scene) -> None:
    both = await asyncio.gather(*(scene.store.sign_up(person()) for _ in range(4)))
    other = await scene.store.sign_up(replace(person(), subject="elsewhere|ann"))
    third = await scene.store.sign_up(replace(person(), subject="third|ann"))

    assert len({user.id for user in both}) == 1
    assert (both[0].username, other.username, third.username) == ("ann", "ann-2", "ann-3")
    assert await scene.store.account_named("nobody") is None


async def test_people_change_their_own_columns_and_only_those(scene: Scene) -> None:
    ann = await scene.store.sign_up(person())
    before = await version(scene)
    scene.clock.pass_s(5)

    assert await scene.store.change_account(ann.id, {"display_name": "Änn", "email": None, "must_change_password": 1})
    assert not await scene.store.change_account(UserId(999), {"display_name": "x"})

    kept = await scene.store.account(ann.id)
    assert kept == replace(ann, display_name="Änn", must_change_password=True, updated_at=scene.clock.now())
    assert await version(scene) > before
    for column in ("is_admin", "state", "username", "epoch", "id = 1 --"):
        with pytest.raises(ValueError, match="not one's own"):
            await scene.store.change_account(ann.id, {column: 1})


async def test_a_change_that_expects_what_is_no_more_is_not_made(scene: Scene) -> None:
    ann = await scene.store.sign_up(person())
    await scene.store.change_account(ann.id, {"recovery": '["a","b"]'})

    won = await asyncio.gather(
        *(scene.store.change_account(ann.id, {"recovery": '["b"]'}, {"recovery": '["a","b"]'}) for _ in range(5))
    )

    assert won.count(True) == 1
    assert await scene.store.change_account(ann.id, {"recovery": None}, {"recovery": '["b"]', "totp": None})
    assert not await scene.store.change_account(ann.id, {"email": "x@y"}, {"totp": "something"})


async def test_memberships_follow_the_groups(scene: Scene) -> None:
    await scene.store.save_tenant(Tenant(TenantId(7), "work"))
    ann, bob = await scene.store.sign_up(person()), await scene.store.sign_up(person("bob"))
    await scene.store.follow_groups(bob.id, {TenantId(7): Role.VIEWER}, is_admin=False)

    assert await scene.store.follow_groups(
        ann.id, {DEFAULT_TENANT: Role.VIEWER, TenantId(7): Role.OWNER}, is_admin=True
    )
    before = await version(scene)
    assert not await scene.store.follow_groups(
        ann.id, {TenantId(7): Role.OWNER, DEFAULT_TENANT: Role.VIEWER}, is_admin=True
    )
    assert await version(scene) == before
    assert await scene.store.follow_groups(ann.id, {TenantId(7): Role.DEVELOPER}, is_admin=False)
    assert await version(scene) > before

    found = await scene.store.access()
    roles = {(one.user_id, one.tenant_id): one.role for one in found.memberships}
    assert roles == {(ann.id, 7): Role.DEVELOPER, (bob.id, 7): Role.VIEWER}
    assert {user.username: user.is_admin for user in found.users} == {"ann": False, "bob": False}


async def test_who_was_here_is_noted_and_that_is_no_change_of_access(scene: Scene) -> None:
    ids = [(await scene.store.sign_up(person(f"p{number}"))).id for number in range(3)]
    before = await version(scene)
    scene.clock.pass_s(90)

    await scene.store.note_seen(ids[:2])

    seen = [(await scene.store.account(one)).last_seen_at for one in ids]  # type: ignore[union-attr]
    assert seen == [scene.clock.now(), scene.clock.now(), None]
    assert await scene.store.last_seen(ids[1:]) == {ids[1]: scene.clock.now()}
    assert await scene.store.last_seen([]) == {}
    assert await version(scene) == before


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[list[MysqlStore]]:
    """Several processes over one record: what they do is in no common transaction."""
    url = mysql_url(tmp_path)
    stores = [MysqlStore(url, StillClock(), CountingMeter()) for _ in range(4)]
    for store in stores:
        await store.open()
    yield stores
    for store in stores:
        await store.close()


async def test_of_first_users_in_several_processes_at_once_there_is_one(processes: list[MysqlStore]) -> None:
    wanted = [User(UserId(0), f"ann{number}", is_admin=True) for number in range(4)]

    made = await asyncio.gather(
        *(store.first_user(user, DEFAULT_TENANT) for store, user in zip(processes, wanted, strict=True))
    )

    assert len([user for user in made if user is not None]) == 1
    assert len((await processes[0].access()).users) == 1


async def test_several_processes_make_one_first_signing_key(processes: list[MysqlStore]) -> None:
    await asyncio.gather(
        *(
            store.add_signing_key(SigningKey(f"kid{number}", "sealed", Millis(0)), is_first=True)
            for number, store in enumerate(processes)
        )
    )

    assert len(await processes[0].signing_keys()) == 1


async def test_attempts_are_counted_together_over_several_processes(processes: list[MysqlStore]) -> None:
    waits = await asyncio.gather(*(store.take_try({"name:a", "address:b"}) for store in processes * 5))

    assert waits.count(0) == 5


async def test_a_refresh_token_is_good_once_over_several_processes(processes: list[MysqlStore]) -> None:
    now = (await processes[0].sign_up(person())).created_at
    made = Login(LoginId(0), UserId(1), DEFAULT_TENANT, "a" * 64, 1, now, now, Millis(now + 10**9), "", "")
    opened = await processes[0].open_login(made)
    following = [Renewal(f"{number:064}", DEFAULT_TENANT, Millis(now + 10**9), "", "") for number in range(4)]

    won = await asyncio.gather(
        *(
            store.renew_login(opened.id, 1, "a" * 64, renewal)
            for store, renewal in zip(processes, following, strict=True)
        )
    )

    assert won.count(True) == 1


async def test_a_new_signing_key_has_everybody_read_everything(scene: Scene) -> None:
    """Keys are taken over with the rest, and only then: a step that names something would hide them."""
    before = await version(scene)

    await scene.store.add_signing_key(SigningKey("k1", "sealed", scene.clock.now()))
    assert await scene.store.access_since(before) is None

    await scene.store.add_signing_key(SigningKey("k2", "sealed", scene.clock.now()))
    between = await version(scene)
    assert await scene.store.drop_signing_keys(Millis(scene.clock.now() + 1)) == 1
    assert await scene.store.access_since(between) is None

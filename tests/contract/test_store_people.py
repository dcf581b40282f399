"""Tenants, users and memberships: names, the last administrator, and removal with everything that is theirs."""

import asyncio
from dataclasses import replace

import pytest
from tests.contract import store_scene
from tests.contract.store_scene import NOON, Scene

from llm_scheduler.domain.access import ApiKey, Login, Membership, Role, User, UserKind, UserState
from llm_scheduler.domain.access_errors import (
    LastAdminError,
    TenantNameTakenError,
    TenantNotFoundError,
    UsernameTakenError,
    UserNotFoundError,
)
from llm_scheduler.domain.ids import DEFAULT_TENANT, KeyId, LoginId, Millis, ModelId, TenantId, UserId
from llm_scheduler.domain.model import Model
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.tenant import Quotas, StorePayloads, Tenant, TenantState
from llm_scheduler.ports.learned import Sums
from llm_scheduler.services.directory import Directory

scene = store_scene.scene


def tenant(name: str, **fields: object) -> Tenant:
    return Tenant(TenantId(0), name, **fields)  # type: ignore[arg-type]


def user(name: str, **fields: object) -> User:
    return User(UserId(0), name, **fields)  # type: ignore[arg-type]


async def test_a_tenant_is_kept_whole_and_never_takes_the_first_ones_place(scene: Scene) -> None:
    quotas = Quotas(10, 60, {"m": 2}, ("m",))

    added = await scene.store.add_tenant(
        tenant("acme", weight=2.5, max_workers=3, quotas=quotas, store_payloads=StorePayloads.NONE)
    )

    assert added.id != DEFAULT_TENANT
    assert (added.created_at, added.updated_at) == (NOON, NOON)
    assert list(await scene.store.tenants())[1:] == [added]


async def test_a_tenants_name_is_its_own(scene: Scene) -> None:
    added = await scene.store.add_tenant(tenant("acme"))

    with pytest.raises(TenantNameTakenError):
        await scene.store.add_tenant(tenant("acme"))
    with pytest.raises(TenantNameTakenError):
        await scene.store.change_tenant(added.id, {"name": "default"})
    assert (await scene.store.change_tenant(added.id, {"name": "acme"})).name == "acme"
    assert [one.name for one in await scene.store.tenants()] == ["default", "acme"]


async def test_of_two_tenants_that_are_added_at_once_with_one_name_only_one_is(scene: Scene) -> None:
    found = await asyncio.gather(*(scene.store.add_tenant(tenant("acme")) for _ in range(5)), return_exceptions=True)

    assert sum(isinstance(one, Tenant) for one in found) == 1
    assert sum(isinstance(one, TenantNameTakenError) for one in found) == 4


async def test_a_change_of_a_tenant_leaves_the_rest_as_it_was(scene: Scene) -> None:
    added = await scene.store.add_tenant(tenant("acme", weight=2.0, quotas=Quotas(max_queued=5)))
    scene.clock.pass_s(1)

    changed = await scene.store.change_tenant(added.id, {"state": TenantState.SUSPENDED})

    assert changed == replace(added, state=TenantState.SUSPENDED, updated_at=scene.clock.now())
    assert changed in await scene.store.tenants()
    with pytest.raises(TenantNotFoundError):
        await scene.store.change_tenant(TenantId(999), {"weight": 1.0})


async def test_a_user_is_kept_whole_and_the_snapshot_grows_older_with_each_change(scene: Scene) -> None:
    before = await scene.store.access_version()
    added = await scene.store.add_user(
        user("ann@example.org", email="ann@example.org", password_hash="h", must_change_password=True)
    )
    after = await scene.store.access_version()
    changed = await scene.store.change_user(added.id, {"display_name": "Ann", "username": "ann"})

    found = await scene.store.access()

    assert (added.created_at, added.epoch) == (NOON, 0)
    assert list(found.users) == [changed] == [replace(added, display_name="Ann", username="ann")]
    assert before < after < found.version


async def test_a_username_is_its_own(scene: Scene) -> None:
    ann, bob = [await scene.store.add_user(user(name)) for name in ("ann", "bob")]

    with pytest.raises(UsernameTakenError):
        await scene.store.add_user(user("ann"))
    with pytest.raises(UsernameTakenError):
        await scene.store.change_user(bob.id, {"username": "ann"})
    assert (await scene.store.change_user(ann.id, {"username": "ann"})).username == "ann"


async def test_ending_sign_ins_raises_the_epoch(scene: Scene) -> None:
    ann = await scene.store.add_user(user("ann"))

    changed = await scene.store.change_user(ann.id, {"password_hash": "other"}, ends_logins=True)

    assert (changed.epoch, changed.password_hash) == (1, "other")


@pytest.mark.parametrize("changes", [{"is_admin": False}, {"state": UserState.DISABLED}, None])
async def test_the_last_administrator_stays_one(scene: Scene, changes: dict[str, object] | None) -> None:
    """None stands for a removal. One that is disabled does not count."""
    last = await scene.store.add_user(user("ann", is_admin=True))
    other = await scene.store.add_user(user("bob", is_admin=True, state=UserState.DISABLED))

    async def give_up() -> None:
        if changes is None:
            await scene.store.remove_user(last.id)
        else:
            await scene.store.change_user(last.id, changes)

    with pytest.raises(LastAdminError):
        await give_up()
    assert last in (await scene.store.access()).users

    await scene.store.change_user(other.id, {"state": UserState.ACTIVE})
    await give_up()
    assert last not in (await scene.store.access()).users


async def test_two_administrators_cannot_remove_each_other_at_once(scene: Scene) -> None:
    ann, bob = [await scene.store.add_user(user(name, is_admin=True)) for name in ("ann", "bob")]

    outcomes = await asyncio.gather(
        scene.store.remove_user(ann.id), scene.store.change_user(bob.id, {"is_admin": False}), return_exceptions=True
    )

    assert sum(isinstance(one, LastAdminError) for one in outcomes) == 1
    assert sum(one.is_admin for one in (await scene.store.access()).users) == 1


async def test_a_member_has_one_role_in_a_tenant(scene: Scene) -> None:
    acme = await scene.store.add_tenant(tenant("acme"))
    ann = await scene.store.add_user(user("ann"))

    assert await scene.store.set_member(acme.id, ann.id, Role.VIEWER)
    assert await scene.store.set_member(DEFAULT_TENANT, ann.id, Role.DEVELOPER)
    assert not await scene.store.set_member(acme.id, ann.id, Role.OWNER)

    found = (await scene.store.access()).memberships
    assert [(one.tenant_id, one.role) for one in sorted(found, key=lambda one: one.tenant_id)] == [
        (DEFAULT_TENANT, Role.DEVELOPER),
        (acme.id, Role.OWNER),
    ]
    with pytest.raises(UserNotFoundError):
        await scene.store.set_member(acme.id, UserId(999), Role.VIEWER)
    with pytest.raises(TenantNotFoundError):
        await scene.store.set_member(TenantId(999), ann.id, Role.VIEWER)


async def test_the_last_owner_may_go(scene: Scene) -> None:
    acme = await scene.store.add_tenant(tenant("acme"))
    ann = await scene.store.add_user(user("ann"), Membership(UserId(0), acme.id, Role.OWNER))

    assert await scene.store.remove_member(acme.id, ann.id)
    assert not await scene.store.remove_member(acme.id, ann.id)
    assert not (await scene.store.access()).memberships
    assert (await scene.store.access()).users


async def test_a_removed_user_leaves_nothing(scene: Scene) -> None:
    acme = await scene.store.add_tenant(tenant("acme"))
    ann = await scene.store.add_user(user("ann"), Membership(UserId(0), acme.id, Role.OWNER))
    bob = await scene.store.add_user(user("bob"), Membership(UserId(0), acme.id, Role.VIEWER))

    await scene.store.remove_user(ann.id)

    found = await scene.store.access()
    assert list(found.users) == [bob]
    assert [one.user_id for one in found.memberships] == [bob.id]
    with pytest.raises(UserNotFoundError):
        await scene.store.remove_user(ann.id)


async def test_tasks_that_are_not_over_are_counted_by_tenant(scene: Scene) -> None:
    acme = await scene.store.add_tenant(tenant("acme"))
    first, second, *_ = await scene.submitted(4, tenant_id=acme.id)
    await scene.submitted(2)
    await scene.start(first)
    await scene.store.cancel([second])

    assert await scene.store.unfinished(acme.id) == 3
    assert await scene.store.unfinished(DEFAULT_TENANT) == 2


async def erased(scene: Scene, tenant_id: TenantId, limit: int = 2) -> list[tuple[int, list[int], bool, bool]]:
    """Every step of a removal, until it is over or must wait."""
    steps = []
    while True:
        step = await scene.store.erase_tenant(tenant_id, limit)
        steps.append((step.rows, sorted(task for _, task in step.tasks), step.is_over, step.is_waiting))
        if step.is_over or step.is_waiting:
            return steps


async def test_a_tenant_is_removed_in_steps_with_everything_and_nothing_of_others(scene: Scene) -> None:
    acme = await scene.store.add_tenant(tenant("acme"))
    own = await scene.store.add_model(Model(ModelId(0), acme.id, "own", "scripted", {}))
    service = User(UserId(0), f"svc.{acme.id}.ci", UserKind.SERVICE)
    await scene.store.add_user(service, Membership(UserId(0), acme.id, Role.DEVELOPER))
    ann = await scene.store.add_user(user("ann"), Membership(UserId(0), acme.id, Role.OWNER))
    done, *waiting = await scene.submitted(5, tenant_id=acme.id, metadata={"run": "1"}, model_id=own.id)
    await scene.complete(await scene.started(done))
    (kept,) = await scene.submitted(1, metadata={"run": "1"})
    for tenant_id, key in ((acme.id, "a"), (acme.id, "b"), (DEFAULT_TENANT, "a")):
        await scene.store.take_key(tenant_id, key, "f")
        await scene.store.keep_reply(tenant_id, key, "{}")
    scopes = [f"{scene.model.id}/{acme.id}/*/chat", f"{scene.model.id}/1/*/chat", f"{own.id}/*/chat", str(own.id)]
    await scene.store.add_samples(dict.fromkeys(scopes, Sums(1.0, 1.0, 1.0, 1.0, 1.0)))

    steps = await erased(scene, acme.id)

    assert sum(step[0] for step in steps[:3]) == 5
    assert all(step[0] <= 2 for step in steps[:-1])
    assert sorted(task for step in steps for task in step[1]) == waiting
    assert steps[-1][2]
    assert await scene.store.task(done) is None
    assert await scene.store.attempts(done) == []
    assert [one.name for one in await scene.store.tenants()] == ["default"]
    assert [one.name for one in await scene.store.models()] == ["m"]
    assert list((await scene.store.access()).users) == [ann]
    assert not (await scene.store.access()).memberships
    assert await scene.store.take_key(acme.id, "a", "g") is None
    assert await scene.status(kept) is Status.QUEUED
    assert await scene.store.take_key(DEFAULT_TENANT, "a", "g") == ("f", "{}")
    assert [one.scope for one in await scene.store.samples(NOON, 10)] == [f"{scene.model.id}/1/*/chat"]
    assert await erased(scene, acme.id) == [(0, [], True, False)]


async def test_what_runs_holds_a_removal_up(scene: Scene) -> None:
    acme = await scene.store.add_tenant(tenant("acme"))
    first, _ = await scene.submitted(2, tenant_id=acme.id)
    started = await scene.started(first)

    assert (await erased(scene, acme.id))[-1] == (0, [], False, True)
    await scene.complete(started)
    assert (await erased(scene, acme.id))[-1][2]


async def test_whoever_follows_step_by_step_knows_as_much_as_who_reads_everything(scene: Scene) -> None:
    """No sign-in, user or membership has everybody read everything; and nothing that ended stays in memory."""
    store = scene.store
    boss = await store.add_user(user("boss", is_admin=True))
    following = Directory(store)
    await following.load()

    async def caught_up() -> Directory:
        changes = await store.access_since(following.version)
        assert changes is not None, "everything is read again"
        await following.load()
        return following

    ann = await store.add_user(user("ann"), Membership(UserId(0), DEFAULT_TENANT, Role.OWNER))
    bob = await store.sign_up(user("bob", subject="test|bob"))
    await store.follow_groups(bob.id, {DEFAULT_TENANT: Role.VIEWER}, is_admin=False)
    await store.set_member(DEFAULT_TENANT, ann.id, Role.VIEWER)
    await store.change_account(bob.id, {"display_name": "Bob"})
    logins = [await store.open_login(login_of(scene, one.id)) for one in (ann, ann, bob, bob, boss)]
    keys = [await store.add_api_key(key_of(one.id)) for one in (ann, bob, boss)]
    assert_alike(await caught_up(), await whole(scene))

    await store.end_logins(ann.id, only=logins[0].id)
    assert (await caught_up()).login(logins[0].id) is None
    await store.end_everything(bob.id)
    known = await caught_up()
    assert (known.logins(bob.id), known.user(bob.id)) == ([], await store.account(bob.id))
    await store.remove_member(DEFAULT_TENANT, bob.id)
    assert (await caught_up()).key(keys[1].id) is None
    await store.change_user(ann.id, {"state": UserState.DISABLED}, ends_logins=True)
    assert (await caught_up()).logins(ann.id) == []
    await store.remove_user(ann.id)
    known = await caught_up()
    assert (known.user(ann.id), known.keys_of(ann.id), known.memberships(ann.id)) == (None, [], [])
    assert_alike(known, await whole(scene))


def login_of(scene: Scene, user_id: UserId) -> Login:
    now = scene.clock.now()
    until = Millis(now + 86_400_000)
    return Login(LoginId(0), user_id, DEFAULT_TENANT, "a" * 64, 1, now, now, until, "192.0.2.1", "browser")


def key_of(user_id: UserId) -> ApiKey:
    return ApiKey(KeyId(0), DEFAULT_TENANT, user_id, "key", "llms_x", f"{user_id:064}")


async def whole(scene: Scene) -> Directory:
    fresh = Directory(scene.store)
    await fresh.load()
    return fresh


def assert_alike(one: Directory, other: Directory) -> None:
    assert (one.version, one.users()) == (other.version, other.users())
    assert one.members(DEFAULT_TENANT) == other.members(DEFAULT_TENANT)
    assert one.keys(DEFAULT_TENANT) == other.keys(DEFAULT_TENANT)
    assert [one.logins(user.id) for user in one.users()] == [other.logins(user.id) for user in other.users()]

"""API keys in the record, and what a process reads to keep up with who may do what. On both engines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.contract import store_scene
from tests.contract.store_scene import NOON, Scene

from llm_scheduler.domain.access import ApiKey, KeyLimits, Membership, Permission, Role, User
from llm_scheduler.domain.access_errors import ApiKeyRevokedError
from llm_scheduler.domain.ids import DEFAULT_TENANT, KeyId, Millis, TenantId, UserId
from llm_scheduler.ports.api_keys import KeyFilter
from llm_scheduler.services.directory import Directory
from llm_scheduler.stores.access_rows import MEMBERSHIP_COLUMNS, USER_COLUMNS, membership_row, user_row
from llm_scheduler.stores.portable import store_access
from llm_scheduler.stores.portable.access_version import access_changed

if TYPE_CHECKING:
    from llm_scheduler.stores.portable.access import Transaction

scene = store_scene.scene
ANN, BOB = UserId(101), UserId(102)
MINE = KeyFilter(DEFAULT_TENANT)
DAY_MS = 86_400_000


def key(name: str = "k", user: UserId = ANN, **changes: Any) -> ApiKey:
    blank = ApiKey(
        KeyId(0), DEFAULT_TENANT, user, name, "llms_abcd1234", (name * 64)[:64], frozenset({Permission.TASKS_READ})
    )
    return replace(blank, **changes)


async def write(scene: Scene, move: Any) -> None:
    await scene.store._write(move)  # type: ignore[attr-defined] - people have moves of their own


async def add_user(scene: Scene, user_id: UserId, name: str, **fields: Any) -> None:
    def move(transaction: Transaction) -> None:
        transaction.insert("users", USER_COLUMNS, [user_row(User(user_id, name, **fields))])
        member = Membership(user_id, DEFAULT_TENANT, Role.DEVELOPER)
        transaction.insert("memberships", MEMBERSHIP_COLUMNS, [membership_row(member)])
        access_changed(transaction, users=[user_id])

    await write(scene, move)


async def test_a_key_comes_back_as_it_was_written(scene: Scene) -> None:
    """All of it, the limits too."""
    limits = KeyLimits(60, ("m", "n"), ("10.0.0.0/8",))
    added = await scene.store.add_api_key(key(limits=limits, expires_at=Millis(NOON + 5)))

    assert (added.created_at, added.limits) == (NOON, limits)
    assert await scene.store.api_key(added.id) == added
    assert (await scene.store.access()).keys == [added]


async def test_keys_are_listed_newest_first_in_pages(scene: Scene) -> None:
    """Of one user or of all; of no other tenant; revoked ones only on request."""
    ids = [(await scene.store.add_api_key(key(f"k{n}", ANN if n % 2 else BOB))).id for n in range(5)]
    await scene.store.add_api_key(key("else", tenant_id=TenantId(2)))
    await scene.store.revoke_api_key(ids[4])

    async def listed(where: KeyFilter, limit: int = 10) -> list[int]:
        return [one.id for one in await scene.store.api_keys(where, limit)]

    assert await listed(MINE) == ids[3::-1]
    assert await listed(MINE._replace(with_revoked=True)) == ids[::-1]
    assert await listed(MINE._replace(user_id=ANN)) == [ids[3], ids[1]]
    assert await listed(MINE, 2) == [ids[3], ids[2]]
    assert await listed(MINE._replace(after_id=ids[2]), 2) == [ids[1], ids[0]]


async def test_a_change_sets_what_is_given_and_no_more(scene: Scene) -> None:
    added = await scene.store.add_api_key(key())

    changed = await scene.store.change_api_key(added.id, {"name": "new", "limits": KeyLimits(5)})

    assert changed == replace(added, name="new", limits=KeyLimits(5))
    assert await scene.store.api_key(added.id) == changed
    assert await scene.store.change_api_key(KeyId(9_999), {"name": "x"}) is None


async def test_a_revoked_key_is_out_for_good(scene: Scene) -> None:
    """The first time counts; nothing of it changes any more; it is in no snapshot."""
    added = await scene.store.add_api_key(key())
    await scene.store.revoke_api_key(added.id)
    scene.clock.pass_s(10)

    again = await scene.store.revoke_api_key(added.id)

    assert again is not None
    assert again.revoked_at == NOON
    assert (await scene.store.access()).keys == []
    with pytest.raises(ApiKeyRevokedError):
        await scene.store.change_api_key(added.id, {"name": "x"})
    with pytest.raises(ApiKeyRevokedError):
        await scene.store.renew_api_key(added.id, key("fresh"), 1000)
    assert await scene.store.revoke_api_key(KeyId(9_999)) is None


@pytest.mark.parametrize(("ends", "expected"), [(None, 60_000), (90_000, 60_000), (5_000, 5_000)])
async def test_a_renewed_key_ends_after_the_overlap_or_sooner(scene: Scene, ends: int | None, expected: int) -> None:
    """Both work meanwhile; an end that comes sooner stays."""
    expires_at = None if ends is None else Millis(NOON + ends)
    added = await scene.store.add_api_key(key(expires_at=expires_at))

    renewed = await scene.store.renew_api_key(added.id, key("fresh"), 60_000)

    assert renewed is not None
    fresh, old = renewed
    assert (old.id, old.expires_at) == (added.id, NOON + expected)
    assert await scene.store.api_key(added.id) == old
    assert await scene.store.api_key(fresh.id) == fresh
    assert fresh.id != old.id
    assert await scene.store.renew_api_key(KeyId(9_999), key("other"), 1) is None


async def test_the_latest_use_is_kept_and_is_no_change_of_access(scene: Scene) -> None:
    """Several processes tell; an older time overtakes no newer one."""
    ids = [(await scene.store.add_api_key(key(f"k{n}"))).id for n in range(3)]
    version = await scene.store.access_version()

    await scene.store.note_keys_used(ids[:2], Millis(NOON + 5_000))
    await scene.store.note_keys_used(ids[1:], Millis(NOON + 3_000))

    used = [one.last_used_at for one in (await scene.store.access()).keys]
    assert used == [NOON + 5_000, NOON + 5_000, NOON + 3_000]
    assert await scene.store.access_version() == version


async def test_keys_that_were_over_long_ago_are_forgotten(scene: Scene) -> None:
    """Revoked or expired before the cut; others stay."""
    revoked = await scene.store.add_api_key(key("a"))
    await scene.store.revoke_api_key(revoked.id)
    expired = await scene.store.add_api_key(key("b", expires_at=Millis(NOON + 1)))
    alive = await scene.store.add_api_key(key("c", expires_at=Millis(NOON + 100 * DAY_MS)))
    scene.clock.pass_s(90 * 86_400)
    late = await scene.store.add_api_key(key("d"))
    await scene.store.revoke_api_key(late.id)

    assert await scene.store.forget_api_keys(Millis(scene.clock.now() - 89 * DAY_MS), 1) == 1
    assert await scene.store.forget_api_keys(Millis(scene.clock.now() - 89 * DAY_MS), 500) == 1

    left = [one.id for one in await scene.store.api_keys(MINE._replace(with_revoked=True), 10)]
    assert left == [late.id, alive.id]
    assert expired.id not in left


async def test_what_has_changed_is_told_step_by_step(scene: Scene) -> None:
    """A process that follows has the same as one that reads everything."""
    await add_user(scene, ANN, "ann")
    directory = Directory(scene.store)
    await directory.load()
    first = await scene.store.access_version()

    added = await scene.store.add_api_key(key())
    gone = await scene.store.add_api_key(key("gone"))
    await scene.store.revoke_api_key(gone.id)
    await add_user(scene, BOB, "bob")
    changes = await scene.store.access_since(first)

    assert changes is not None
    assert (changes.user_ids, changes.key_ids) == ({BOB}, {added.id, gone.id})
    assert changes.now.keys == [added]
    assert [user.username for user in changes.now.users] == ["bob"]
    assert changes.now.version == await scene.store.access_version() == first + 4
    await directory.load()
    assert directory.key_hashed(added.hash) == added
    assert directory.key_hashed(gone.hash) is None
    assert directory.membership(BOB, DEFAULT_TENANT) is not None


async def test_a_user_that_is_renamed_left_and_removed_is_so_in_memory(scene: Scene) -> None:
    """The old name leads nowhere, memberships go with their user."""
    await add_user(scene, ANN, "ann", subject="https://id|1")
    directory = Directory(scene.store)
    await directory.load()

    def rename(transaction: Transaction) -> None:
        transaction.do("UPDATE users SET username = ?, subject = NULL WHERE id = ?", ("anna", ANN))
        transaction.do("DELETE FROM memberships WHERE user_id = ?", (ANN,))
        access_changed(transaction, users=[ANN])

    await write(scene, rename)
    await directory.load()
    assert directory.user_named("ann") is None
    assert directory.user_of_subject("https://id|1") is None
    assert directory.user_named("anna") is not None
    assert directory.membership(ANN, DEFAULT_TENANT) is None

    def remove(transaction: Transaction) -> None:
        transaction.do("DELETE FROM users WHERE id = ?", (ANN,))
        access_changed(transaction, users=[ANN])

    await write(scene, remove)
    await directory.load()
    assert directory.user(ANN) is None
    assert directory.user_named("anna") is None


async def test_a_step_that_says_nothing_of_itself_has_everything_read(scene: Scene) -> None:
    """Also when steps that do say something follow; and a version of the future is no version."""
    await add_user(scene, ANN, "ann")
    directory = Directory(scene.store)
    await directory.load()
    before = directory.version

    def silent(transaction: Transaction) -> None:
        transaction.do("UPDATE users SET username = ? WHERE id = ?", ("anna", ANN))
        access_changed(transaction)

    await write(scene, silent)
    await scene.store.add_api_key(key())

    assert await scene.store.access_since(before) is None
    assert await scene.store.access_since(before + 100) is None
    await directory.load()
    assert [user.username for user in directory.users()] == ["anna"]


async def test_too_many_changes_have_everything_read(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_access, "MOST_CHANGES", 2)
    version = await scene.store.access_version()
    for n in range(3):
        await scene.store.add_api_key(key(f"k{n}"))

    assert await scene.store.access_since(version) is None
    assert await scene.store.access_since(version + 1) is not None


async def test_a_snapshot_of_many_pages_is_whole(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Users, memberships in several tenants and keys, each over pages."""
    monkeypatch.setattr(store_access, "PAGE", 2)
    for n in range(5):
        await add_user(scene, UserId(200 + n), f"user{n}")
    await scene.store.add_api_key(key("a"))
    kept = [await scene.store.add_api_key(key(f"k{n}")) for n in range(4)]

    def join(transaction: Transaction) -> None:
        members = [Membership(UserId(200), TenantId(tenant), Role.VIEWER) for tenant in (7, 8, 9)]
        transaction.insert("memberships", MEMBERSHIP_COLUMNS, [membership_row(one) for one in members])
        access_changed(transaction, users=[UserId(200)])

    await write(scene, join)
    found = await scene.store.access()

    assert [user.id for user in found.users] == [200, 201, 202, 203, 204]
    assert [(one.user_id, one.tenant_id) for one in found.memberships] == [
        (200, 1), (200, 7), (200, 8), (200, 9), (201, 1), (202, 1), (203, 1), (204, 1),
    ]  # fmt: skip
    assert found.keys[1:] == kept

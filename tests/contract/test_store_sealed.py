"""Every sealed text of the record is known to it, and can be put under another key."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.store_scene import MAKERS, Scene, opened, scene

import llm_scheduler
from llm_scheduler.brokers.memory import MemoryBroker
from llm_scheduler.domain.access_errors import KeyNotEverywhereError
from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.domain.model import Endpoint
from llm_scheduler.domain.secrecy import SEALED_TEXT, signing_key_context, totp_context
from llm_scheduler.providers.kinds import KINDS
from llm_scheduler.security.vault import AesVault
from llm_scheduler.services.catalogue import Catalogue
from llm_scheduler.services.models import Models, new_model
from llm_scheduler.services.rotation import STALE_MS, Rotation, RotationProgress
from llm_scheduler.stores.access_rows import USER_COLUMNS
from llm_scheduler.stores.portable.sealed import PLACES
from llm_scheduler.stores.tables import METADATA

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["scene"]
OLD, NEW = "the old key of the tests", "the new key of the tests"
OLD_ID, NEW_ID = AesVault(OLD).key_ids[0], AesVault(NEW).key_ids[0]
SEALERS = {
    "services/secrets.py": ("models.config", "models.endpoints"),
    "services/rotation.py": (),
    "services/second_factor.py": ("users.totp",),
    "services/provider_sign_in.py": (),
    "security/tokens.py": ("signing_keys.secret",),
}
"""Who calls `Vault.seal`, and for which places of the record; none: what it seals is not stored."""


async def dumped(it: Scene) -> dict[str, list[str]]:
    """Every text of the database by `table.column`."""
    found: dict[str, list[str]] = {}
    for table in METADATA.tables.values():
        columns = tuple(column.name for column in table.columns)
        rows = await it.store._read(  # type: ignore[attr-defined]
            lambda reader, columns=columns, table=table: reader.rows(
                columns,
                f"SELECT {', '.join(f'`{name}`' for name in columns)} FROM {table.name}",  # noqa: S608 - our names
            )
        )
        for row in rows:
            for name, value in zip(columns, row, strict=True):
                found.setdefault(f"{table.name}.{name}", []).append(str(value))
    return found


async def key_ids(it: Scene) -> Counter[tuple[str, str]]:
    """How many sealed texts lie where, under which key; found by their looks."""
    texts = await dumped(it)
    return Counter(
        (place, match[1]) for place, held in texts.items() for text in held for match in SEALED_TEXT.finditer(text)
    )


def models_of(it: Scene, vault: AesVault) -> Models:
    return Models(it.store, MemoryBroker(it.clock), Catalogue(KINDS, "fair"), vault, it.clock)


def rotation_of(it: Scene, vault: AesVault, models: Models) -> Rotation:
    return Rotation(it.store, vault, it.clock, models.renew)


async def insert(it: Scene, table: str, columns: tuple[str, ...], row: Sequence[Any]) -> None:
    await it.store._write(lambda transaction: transaction.insert(table, columns, [row]))  # type: ignore[attr-defined]


async def everything_sealed(it: Scene, vault: AesVault, models: Models) -> None:
    """Something in every place that the record knows."""
    await models.load()
    ways = (Endpoint("a", {"base_url": "http://127.0.0.1:9", "api_key": "sk-a-of-the-tests"}),)
    config = {"base_url": "http://127.0.0.1:9", "api_key": "sk-of-the-tests", "model": "x"}
    for number in range(3):
        name = f"a:b/{number}"
        await models.add(new_model(tenant_id=DEFAULT_TENANT, name=name, type="openai", config=config, endpoints=ways))
    values: dict[str, Any] = dict.fromkeys(USER_COLUMNS)
    values |= {"id": 7, "username": "ada", "kind": "person", "is_admin": 0, "state": "active", "epoch": 0}
    values |= {"must_change_password": 0, "created_at": 0, "updated_at": 0, "totp": vault.seal("TOTP", totp_context(7))}  # type: ignore[arg-type]
    await insert(it, "users", USER_COLUMNS, tuple(values.values()))
    signing = ("k1", vault.seal("SIGNING", signing_key_context("k1")), 0, None)
    await insert(it, "signing_keys", ("kid", "secret", "created_at", "retired_at"), signing)


async def ended(rotation: Rotation) -> RotationProgress:
    while True:
        progress = await rotation.progress()
        assert progress is not None
        if progress.status != "running":
            return progress
        await asyncio.sleep(0.01)


async def everyone_announced(it: Scene, rotation: Rotation) -> None:
    """The scene's own session is no process of this key."""
    await it.store.close_session(it.session)
    await rotation.announce()


async def test_after_a_rotation_no_text_of_the_whole_database_is_under_the_old_key(scene: Scene) -> None:
    """Found by what they look like, wherever they lie; and everything still opens, without the old key."""
    old = AesVault(OLD)
    await everything_sealed(scene, old, models_of(scene, old))
    before = await key_ids(scene)
    assert {place for place, _ in before} == set(scene.store.sealed_places())
    assert {key_id for _, key_id in before} == {OLD_ID}

    both = AesVault(NEW, [OLD])
    models = models_of(scene, both)
    await models.load()
    rotation = rotation_of(scene, both, models)
    await everyone_announced(scene, rotation)
    assert (await rotation.state()).counts == {OLD_ID: before.total()}
    begun = await rotation.begin()
    done = await ended(rotation)

    assert (begun.total, done.done, done.status, done.unreadable) == (before.total(), before.total(), "completed", 0)
    assert await key_ids(scene) == Counter({(place, NEW_ID): count for (place, _), count in before.items()})
    new = AesVault(NEW)
    after = models_of(scene, new)
    await after.load()
    for model in after.list():
        if model.name != "m":
            assert after.plain_config(model)["api_key"] == "sk-of-the-tests"
            assert after.plain_config(model, "a")["api_key"] == "sk-a-of-the-tests"
    texts = await dumped(scene)
    assert new.open(texts["users.totp"][0], totp_context(7)) == "TOTP"  # type: ignore[arg-type]
    assert new.open(texts["signing_keys.secret"][0], signing_key_context("k1")) == "SIGNING"
    await rotation.close()


async def test_a_place_that_nobody_registered_is_found(scene: Scene) -> None:
    """The dump sees it, so a new sealed column cannot be forgotten unnoticed."""
    sealed = AesVault(OLD).seal("secret", "x")
    await scene.store.save_state("anything", f'{{"a": "{sealed}"}}', 0)

    assert await key_ids(scene) == Counter({("states.data", OLD_ID): 1})
    assert "states.data" not in scene.store.sealed_places()


def test_whoever_seals_is_known_with_its_places() -> None:
    """A new caller of `Vault.seal` adds itself here, and its columns to `PLACES`, which rotation walks."""
    root = Path(llm_scheduler.__file__).parent
    sealing = re.compile(r"vault\.seal\(")
    callers = {str(path.relative_to(root)) for path in root.rglob("*.py") if sealing.search(path.read_text())}
    registered = {f"{place.table}.{place.column}" for place in PLACES}

    assert callers <= SEALERS.keys(), "register the columns in stores/portable/sealed.py, then name the caller here"
    assert {place for places in SEALERS.values() for place in places} <= registered
    assert all(place.column in METADATA.tables[place.table].columns for place in PLACES)


async def test_a_model_that_is_changed_meanwhile_keeps_the_change(scene: Scene) -> None:
    """Whoever read the row before it was sealed anew is told, reads again, and loses nothing."""
    old = AesVault(OLD)
    await everything_sealed(scene, old, models_of(scene, old))
    both = AesVault(NEW, [OLD])
    elsewhere, models = models_of(scene, both), models_of(scene, both)
    await elsewhere.load()
    await models.load()
    rotation = rotation_of(scene, both, models)
    await everyone_announced(scene, rotation)
    rows = await scene.store.sealed_rows("models.config", None, 100)
    row = next(row for row in rows if row.contexts)
    changed = await elsewhere.change("a:b/0", DEFAULT_TENANT, {"config": {"model": "y"}})

    # The text that was read is not there any more: nothing is overwritten.
    assert not await scene.store.reseal(row, row.text.replace("x", "z"))
    await rotation.begin()
    assert (await ended(rotation)).status == "completed"
    # And who knows only the version of before its sealing reads again.
    later = await elsewhere.change("a:b/1", DEFAULT_TENANT, {"rpm": 5})
    assert (later.rpm, later.version) == (5, 4)
    kept = next(model for model in await scene.store.models() if model.name == "a:b/0")
    assert kept.config["model"] == changed.config["model"] == "y"
    assert {key_id for _, key_id in await key_ids(scene)} == {NEW_ID}
    await rotation.close()


async def test_a_text_that_no_key_opens_is_counted_and_left(scene: Scene) -> None:
    """Its secret has to be entered again; everything else is sealed anew."""
    lost = AesVault("a key that is lost for ever")
    await everything_sealed(scene, lost, models_of(scene, lost))
    count = (await key_ids(scene)).total()
    new = AesVault(NEW)
    models = models_of(scene, new)
    await models.load()
    rotation = rotation_of(scene, new, models)
    await everyone_announced(scene, rotation)
    await rotation.begin()
    done = await ended(rotation)

    assert (done.status, done.unreadable, done.done) == ("completed", count, 0)
    assert (await rotation.state()).counts == {lost.key_ids[0]: count}
    await rotation.close()


async def test_no_rotation_begins_while_a_process_has_another_key(scene: Scene) -> None:
    """It could not open what is sealed anew. The scene's session is such a process: it never said what it has."""
    vault = AesVault(NEW, [OLD])
    rotation = rotation_of(scene, vault, models_of(scene, vault))
    await rotation.announce()

    with pytest.raises(KeyNotEverywhereError, match=r"here \(pid 1, all\)"):
        await rotation.begin()


async def test_a_rotation_whose_process_died_is_taken_up(scene: Scene) -> None:
    """By whoever leads, once it has stood still for a while, and only with the same key in force."""
    old = AesVault(OLD)
    await everything_sealed(scene, old, models_of(scene, old))
    both = AesVault(NEW, [OLD])
    models = models_of(scene, both)
    await models.load()
    dying, heir = rotation_of(scene, both, models), rotation_of(scene, both, models)
    await everyone_announced(scene, dying)
    begun = await dying.begin()
    await dying.close()

    await heir.step()
    assert (await heir.progress()) == begun
    scene.clock.pass_s(STALE_MS / 1000 + 1)
    await rotation_of(scene, AesVault(OLD, [NEW]), models).step()
    assert {key_id for _, key_id in await key_ids(scene)} == {OLD_ID}
    await heir.step()
    done = await ended(heir)

    assert (done.status, done.started_at) == ("completed", begun.started_at)
    assert {key_id for _, key_id in await key_ids(scene)} == {NEW_ID}
    await heir.close()


@pytest.mark.parametrize("engine", sorted(MAKERS))
async def test_many_rows_are_walked_in_pages(engine: str, tmp_path: Path) -> None:
    """None is passed over at the edge of a page."""
    async with opened(MAKERS[engine], tmp_path) as it:
        models = models_of(it, AesVault(OLD))
        await models.load()
        for number in range(7):
            model = new_model(
                tenant_id=DEFAULT_TENANT,
                name=f"n{number}",
                type="openai",
                config={"api_key": "sk-1234567", "base_url": "http://127.0.0.1:9", "model": "x"},
            )
            await models.add(replace(model))
        found: list[int | str] = []
        after: int | str | None = None
        while page := await it.store.sealed_rows("models.config", after, 3):
            found += [row.id for row in page if row.contexts]
            after = page[-1].id

        assert len(found) == len(set(found)) == 7

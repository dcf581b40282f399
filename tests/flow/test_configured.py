"""Two processes with one record: a change of a model in one of them reaches the other."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from tests.contract.cache_scene import CacheMeter, Hub, Process
from tests.contract.store_scene import CountingMeter
from tests.inside import inside, until

from llm_scheduler.brokers.memory import MemoryBroker
from llm_scheduler.caches.memory import MemoryCache
from llm_scheduler.domain.errors import NameTakenError
from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.domain.model import ModelStatus
from llm_scheduler.domain.tenant import Tenant
from llm_scheduler.providers.kinds import KINDS
from llm_scheduler.relay.reloading import Reloading
from llm_scheduler.security.vault import AesVault
from llm_scheduler.services.catalogue import Catalogue
from llm_scheduler.services.configured import CATALOGUE_KEY
from llm_scheduler.services.models import Models, new_model
from llm_scheduler.stores.sqlite.store import SqliteStore
from llm_scheduler.telemetry.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from llm_scheduler.domain.model import Model


class Site:
    """One process' share of models, over a record and a shared level that all have."""

    def __init__(self, store: SqliteStore, hub: Hub, far: MemoryCache) -> None:
        clock = SystemClock()
        self.process = Process(clock, hub, far)  # type: ignore[arg-type]  # any clock will do
        self.meter: CacheMeter = self.process.meter
        self.catalogue = Catalogue(KINDS, "fair")
        vault = AesVault("a secret of the tests")
        self.models = Models(store, MemoryBroker(clock), self.catalogue, vault, clock, self.process.cache)
        self.reloading = Reloading(self.models.load, self.process.cache)

    def names(self) -> list[str]:
        return [model.name for model in self.catalogue.models()]


@asynccontextmanager
async def two_sites(folder: Path) -> AsyncIterator[tuple[Site, Site, MemoryCache, SqliteStore]]:
    hub, far = Hub(), MemoryCache(SystemClock())
    store = SqliteStore(folder / "record.db", SystemClock(), CountingMeter())
    await store.open()
    sites = Site(store, hub, far), Site(store, hub, far)
    try:
        for site in sites:
            await site.models.load()
            site.reloading.begin()
        yield *sites, far, store
    finally:
        for site in sites:
            await site.reloading.stop()
            await site.process.cache.close()
            await site.models.close()
        await store.close()


async def test_a_change_in_one_process_reaches_the_other_within_a_second(tmp_path: Path) -> None:
    async with two_sites(tmp_path) as (one, two, _, store):
        added = await one.models.add(
            new_model(tenant_id=DEFAULT_TENANT, name="m", type="scripted", config={"text": "é"}, max_workers=3)
        )
        await until(lambda: two.names() == ["m"], "the other process knows the model", 1)
        assert two.catalogue.by_id(added.id) == added

        await two.models.pause("m", DEFAULT_TENANT)
        await until(lambda: one.catalogue.models()[0].status is ModelStatus.PAUSED, "it is paused there too", 1)

        await store.save_tenant(Tenant(DEFAULT_TENANT, "default", 3.0, 7))
        await two.models.changed()
        await until(lambda: one.catalogue.tenants()[0].max_workers == 7, "the tenant's limit is known", 1)

        await one.models.remove("m", DEFAULT_TENANT)
        await until(lambda: two.names() == [], "the other process forgets the model", 1)


async def test_a_model_that_is_added_while_models_are_read_again_stays_known(tmp_path: Path) -> None:
    """What was read before it was there must not take it away, nor bring back one that was removed meanwhile."""
    async with two_sites(tmp_path) as (one, _, _, store):
        await one.models.add(new_model(tenant_id=DEFAULT_TENANT, name="old", type="scripted", config={}))
        real, is_read, may_go_on = store.models, asyncio.Event(), asyncio.Event()

        async def models() -> Sequence[Model]:
            found = await real()
            is_read.set()
            await may_go_on.wait()
            return found

        store.models = models
        loading = asyncio.create_task(one.models.load())
        await is_read.wait()
        changing = [
            asyncio.create_task(
                one.models.add(new_model(tenant_id=DEFAULT_TENANT, name="new", type="scripted", config={}))
            ),
            asyncio.create_task(one.models.remove("old", DEFAULT_TENANT)),
        ]
        # As far as they come without the answer: to the end, or to the place where they wait for it.
        await asyncio.wait(changing, timeout=0.3)
        may_go_on.set()
        await asyncio.gather(loading, *changing)

        assert one.names() == ["new"]


async def test_a_starting_process_asks_memory_then_the_shared_level_then_the_record(tmp_path: Path) -> None:
    async with two_sites(tmp_path) as (one, two, _, _):
        assert one.meter.asked == ["memory miss", "shared miss"]
        assert two.meter.asked == ["memory miss", "shared hit"]
        await two.models.load()
        assert two.meter.asked[2:] == ["memory hit"]


async def test_no_secret_lies_open_in_a_cache(tmp_path: Path) -> None:
    async with two_sites(tmp_path) as (one, two, far, _):
        key = "sk-very-secret-0123456789"
        config = {"base_url": "http://127.0.0.1:9/v1", "api_key": key}
        model = await one.models.add(new_model(tenant_id=DEFAULT_TENANT, name="m", type="openai", config=config))
        await until(lambda: two.names() == ["m"], "the other process knows the model", 1)

        held = b"".join(far.look(name) or b"" for name in (CATALOGUE_KEY,))
        assert b'"m"' in held
        assert key.encode() not in held
        assert two.models.plain_config(model)["api_key"] == key


async def test_what_is_known_in_a_newer_version_outlives_an_older_copy(tmp_path: Path) -> None:
    """A copy that was made before this process' own change must not undo it here."""
    async with two_sites(tmp_path) as (one, _, far, _):
        await one.models.add(new_model(tenant_id=DEFAULT_TENANT, name="m", type="scripted", config={}))
        await one.models.load()
        old = far.look(CATALOGUE_KEY)
        assert old is not None
        await one.models.scale("m", DEFAULT_TENANT, 9)
        far.clear()
        far.keep(CATALOGUE_KEY, old, 60)
        one.process.near.clear()

        await one.models.load()

        assert one.catalogue.models()[0].max_workers == 9


async def test_the_embedded_shape_counts_its_memory_level(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        await it.add_model()
        await it.models.load()
        await it.models.load()
        page = it.installation.meter.render().decode()

    assert 'cache_requests_total{cache="catalogue",level="memory",outcome="hit"} 1.0' in page
    # The first look at models and at budgets, and one more for the models after the change.
    assert 'cache_requests_total{cache="catalogue",level="memory",outcome="miss"} 3.0' in page


async def test_a_name_that_is_taken_by_a_model_that_nobody_was_told_of_is_known_from_then_on(tmp_path: Path) -> None:
    """Whoever recorded it ended before its word went out; the shared level still says that there is none."""
    async with two_sites(tmp_path) as (here, there, _, store):
        assert here.names() == there.names() == []
        await store.add_model(new_model(tenant_id=DEFAULT_TENANT, name="m", type="scripted", config={}))

        with pytest.raises(NameTakenError):
            await here.models.add(new_model(tenant_id=DEFAULT_TENANT, name="m", type="scripted", config={}))

        assert here.names() == ["m"]
        await until(lambda: there.names() == ["m"], "the other process knows it, too")

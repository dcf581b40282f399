"""What a process knows of models is older than the record: it is not believed, and overwrites nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.contract.cache_scene import CacheMeter
from tests.contract.store_scene import mysql_url
from tests.inside import Inside, inside, until
from tests.rig.shared import empty_redis

from llm_scheduler.brokers.redis.connection import open_client
from llm_scheduler.caches.layered import LayeredCache
from llm_scheduler.caches.memory import MemoryCache
from llm_scheduler.caches.redis import RedisCache
from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.services.configured import CATALOGUE_KEY, Configured, packed
from llm_scheduler.telemetry.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shape(tmp_path: Path) -> dict[str, str]:
    """Settings of a cluster."""
    return {
        "database_url": mysql_url(tmp_path),
        "redis_url": empty_redis().url,
        "secret_key": "c2VjcmV0LWtleS1mb3ItdGVzdHMtMzItYnl0ZXMhIQ==",
        "bootstrap_api_key": "a-key-for-tests-only-0123456789",
    }


async def flushed_but_for(kept: bytes, url: str, prefix: str) -> None:
    """A Redis in which nothing is left but this copy of models and tenants."""
    client = open_client(url)
    await client.execute_command("FLUSHALL")
    clock = SystemClock()
    far = RedisCache(client, prefix, clock)
    cache = LayeredCache("catalogue", MemoryCache(clock), CacheMeter(), far=far)  # type: ignore[arg-type]

    async def load() -> bytes:
        return kept

    await cache.fetch(CATALOGUE_KEY, load)
    await cache.close()
    await client.aclose()


async def test_a_rebuild_takes_the_models_over_from_the_record(tmp_path: Path, shape: dict[str, str]) -> None:
    async with inside(tmp_path, **shape) as it:
        await it.add_model(max_workers=9)
        old = packed(Configured(await it.store.models(), await it.store.tenants()))
        await it.models.change("m", DEFAULT_TENANT, {"max_workers": 1})
        prefix = it.installation.settings.redis_prefix
    await flushed_but_for(old, shape["redis_url"], prefix)

    async with inside(tmp_path, **shape) as it:
        await until(lambda: _is_built(it), "the index is built")
        model = it.models.get("m", DEFAULT_TENANT)
        assert it.installation.catalogue.rules(model).max_workers == 1


@pytest.mark.parametrize("broken", [b"rubbish", b"{}", b'{"models":[{"id":1}],"tenants":[]}', b"[]"])
async def test_a_copy_that_cannot_be_read_is_not_used(tmp_path: Path, shape: dict[str, str], broken: bytes) -> None:
    async with inside(tmp_path, **shape) as it:
        await it.add_model(max_workers=9)
        prefix = it.installation.settings.redis_prefix
    await flushed_but_for(broken, shape["redis_url"], prefix)

    async with inside(tmp_path, **shape) as it:
        assert it.models.get("m", DEFAULT_TENANT).max_workers == 9


async def test_two_processes_that_change_a_model_at_once_lose_no_change(tmp_path: Path, shape: dict[str, str]) -> None:
    async with inside(tmp_path / "a", **shape) as one, inside(tmp_path / "b", **shape) as other:
        await one.add_model()
        await until(lambda: other.models.list(), "the other knows it")
        for number in range(1, 11):
            await asyncio.gather(
                one.models.change("m", DEFAULT_TENANT, {"rpm": number}),
                other.models.change("m", DEFAULT_TENANT, {"tpm": number}),
            )
        (model,) = await one.store.models()

        assert (model.rpm, model.tpm, model.version) == (10, 10, 21)
        await until(lambda: one.models.list() == other.models.list(), "both know the same")


async def _is_built(it: Inside) -> bool:
    return all(one.epoch is not None for one in await it.broker.pulse())

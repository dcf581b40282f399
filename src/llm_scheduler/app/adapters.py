"""Which implementation stands behind each port: chosen by the settings, and only here.

A test puts something between by overriding one of the methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from llm_scheduler.api.archived import archive_line
from llm_scheduler.app.access import make_access, make_outbound
from llm_scheduler.app.extensions import installed_plugins
from llm_scheduler.brokers.guarded import GuardedBroker
from llm_scheduler.brokers.memory import MemoryBroker
from llm_scheduler.brokers.redis.broker import LAYOUT, RedisBroker
from llm_scheduler.brokers.redis.channel import RedisChannel
from llm_scheduler.brokers.redis.connection import open_client
from llm_scheduler.brokers.redis.rates import RedisRates
from llm_scheduler.caches.layered import LayeredCache
from llm_scheduler.caches.memory import MemoryCache
from llm_scheduler.caches.redis import RedisCache
from llm_scheduler.relay.alone import LocalChannel
from llm_scheduler.relay.live import LocalFeed
from llm_scheduler.relay.shared_feed import SharedFeed
from llm_scheduler.services.extensions import Extensions
from llm_scheduler.services.leases import LeasedLedger
from llm_scheduler.services.ledger import LocalLedger
from llm_scheduler.services.models import Models
from llm_scheduler.services.retention import Retention
from llm_scheduler.stores.archive.writing import NdjsonArchive, NoArchive
from llm_scheduler.stores.mysql.clock import DatabaseClock
from llm_scheduler.stores.mysql.store import MysqlStore
from llm_scheduler.stores.sqlite.store import SqliteStore
from llm_scheduler.telemetry.clock import SystemClock

if TYPE_CHECKING:
    from pydantic import SecretStr

    from llm_scheduler.api.parts import AccessParts
    from llm_scheduler.app.keys import Keys
    from llm_scheduler.brokers.redis.connection import Client
    from llm_scheduler.ports.broker import Broker
    from llm_scheduler.ports.channel import Channel
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.store import Store
    from llm_scheduler.relay.upkeep import UpkeepLoops
    from llm_scheduler.services.catalogue import Catalogue
    from llm_scheduler.services.ledger import Ledger
    from llm_scheduler.settings import Settings
    from llm_scheduler.telemetry.prometheus import PrometheusMeter

_log = structlog.get_logger(__name__)


class Adapters:
    """Base of the installation. Each method uses what the ones before it made."""

    settings: Settings
    clock: Clock
    meter: PrometheusMeter
    store: Store
    client: Client | None
    broker: Broker
    channel: Channel
    catalogue: Catalogue
    configured: LayeredCache
    ledger: Ledger
    models: Models
    loops: UpkeepLoops
    sharers: int = 1
    """Processes that answer requests, as far as is known."""

    def _make_extensions(self) -> Extensions:
        return Extensions(installed_plugins(), self.clock, self.meter)

    def _make_clock(self) -> Clock:
        return DatabaseClock() if self.settings.is_mysql else SystemClock()

    def _open_client(self) -> Client | None:
        """Connects when it is first used."""
        url = _plain(self.settings.redis_url)
        return None if url is None else open_client(url)

    def _make_store(self) -> Store:
        settings = self.settings
        if settings.database_url is None or not settings.is_mysql:
            return SqliteStore(settings.database_path, self.clock, self.meter)
        return MysqlStore(
            settings.database_url.get_secret_value(),
            self.clock,
            self.meter,
            read_url=_plain(settings.database_read_url),
            pool=settings.database_pool,
        )

    def _make_broker(self) -> Broker:
        return MemoryBroker(self.clock) if self.client is None else self._guarded(self._make_index(self.client))

    def _make_index(self, client: Client) -> Broker:
        return RedisBroker(client, prefix=f"{self.settings.redis_prefix}:{LAYOUT}", shards=self.settings.redis_shards)

    def _guarded(self, index: Broker) -> GuardedBroker:
        return GuardedBroker(index, self.clock, lambda: self.loops.note_lost(), self._broker_changed)

    def _broker_changed(self, is_available: bool) -> None:
        self.meter.broker_up.set(is_available)
        if is_available:
            _log.info("index_answers_again")
        else:
            _log.warning("index_away", consequence="submits are taken, nothing new starts")

    def _make_channel(self) -> Channel:
        return LocalChannel() if self.client is None else RedisChannel(self.client, self.settings.redis_prefix)

    def _make_models(self, keys: Keys) -> Models:
        models = Models(self.store, self.broker, self.catalogue, keys.vault, self.clock, self.configured)
        models.outbound = make_outbound(self.settings)
        return models

    def _make_access(self, keys: Keys) -> AccessParts:
        self.ledger = self._make_ledger()
        return make_access(self, keys)

    def _make_ledger(self) -> Ledger:
        """Where requests are counted; processes that answer them share what is counted."""
        if self.client is None or self.settings.role == "worker":
            return LocalLedger(self.clock)
        shared = RedisRates(self.client, self.settings.redis_prefix)
        return LeasedLedger(shared, self.clock, lambda: self.sharers, self.meter)

    def _make_feed(self) -> LocalFeed | SharedFeed:
        local = LocalFeed()
        return local if self.client is None else SharedFeed(local, self.channel, self.clock)

    def _make_cache(self) -> LayeredCache:
        near = MemoryCache(self.clock, note_evicted=lambda count: self.meter.cache_evicted("catalogue", count))
        if self.client is None:
            return LayeredCache("catalogue", near, self.meter)
        far = RedisCache(self.client, self.settings.redis_prefix, self.clock)
        return LayeredCache("catalogue", near, self.meter, far=far, channel=self.channel)

    def _make_retention(self) -> Retention | None:
        """None when finished tasks are kept for ever."""
        settings = self.settings
        if not settings.retention_days:
            return None
        archive = NdjsonArchive(settings.archive_path) if settings.archive == "ndjson" else NoArchive()
        return Retention(
            self.store,
            archive,
            lambda whole: archive_line(whole, self.catalogue.name_of),
            self.clock,
            self.meter,
            settings.retention_days,
        )


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()

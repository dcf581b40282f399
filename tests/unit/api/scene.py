"""The API over real parts in one process: SQLite, the memory broker, the local feed, scripted models. No worker."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, cast

import httpx2

from llm_scheduler.api.filters import filter_parser
from llm_scheduler.api.parts import AccessParts, Parts, Readiness
from llm_scheduler.api.server import Api, create_app
from llm_scheduler.brokers.memory import MemoryBroker
from llm_scheduler.domain.access import Principal, administrator
from llm_scheduler.domain.access_errors import UnauthorizedError
from llm_scheduler.domain.ids import DEFAULT_TENANT, TenantId
from llm_scheduler.ports.passwords import Verdict
from llm_scheduler.providers.scripted import ScriptedKind
from llm_scheduler.relay.alone import LocalChannel
from llm_scheduler.relay.live import LocalFeed
from llm_scheduler.security.drawing import drawn
from llm_scheduler.security.vault import AesVault
from llm_scheduler.services.actions import Actions
from llm_scheduler.services.api_keys import ApiKeys
from llm_scheduler.services.audit import Audit
from llm_scheduler.services.budgets import Budgets
from llm_scheduler.services.catalogue import Catalogue
from llm_scheduler.services.directory import Directory
from llm_scheduler.services.door import WRONG_KEY, Door, Knock
from llm_scheduler.services.endpoints import Endpoints
from llm_scheduler.services.explain import Explaining
from llm_scheduler.services.forecast import Forecasts
from llm_scheduler.services.learning import Learning
from llm_scheduler.services.models import Models
from llm_scheduler.services.prices import Prices
from llm_scheduler.services.rotation import Rotation
from llm_scheduler.services.running import RunningCalls
from llm_scheduler.services.series import Series
from llm_scheduler.services.stats import Stats
from llm_scheduler.services.stopping import Stopping
from llm_scheduler.services.submit import Limits, Submissions
from llm_scheduler.services.tasks import Tasks
from llm_scheduler.services.tenants import REMOVAL, Tenants
from llm_scheduler.services.users import Users
from llm_scheduler.stores.sqlite.store import SqliteStore
from llm_scheduler.telemetry.clock import SystemClock
from llm_scheduler.telemetry.prometheus import PrometheusMeter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping
    from pathlib import Path

KEY = "key-of-the-default-tenant"
OTHER_KEY = "key-of-another-tenant"
OTHER_TENANT = TenantId(2)
KEYS = {KEY: DEFAULT_TENANT, OTHER_KEY: OTHER_TENANT}


class KnownKeys:
    """A door that knows administrators of two tenants by their keys."""

    def admit(self, knock: Knock) -> Principal:
        if knock.credential not in KEYS:
            raise UnauthorizedError(WRONG_KEY)
        return administrator(KEYS[knock.credential])


class PlainPasswords:
    """Hashes that cost nothing."""

    def check(self, password: str, username: str) -> None:
        """All will do."""

    async def warm(self) -> None:
        """Nothing to prepare."""

    def close(self) -> None:
        """Nothing to end."""

    async def hash(self, password: str) -> str:
        return f"hashed:{password}"

    async def verify(self, password: str, hashed: str | None) -> Verdict:
        return Verdict(hashed == f"hashed:{password}")


def access_of(
    store: SqliteStore, catalogue: Catalogue, models: Models, broker: MemoryBroker, vault: AesVault
) -> AccessParts:
    """Services over the record, behind a door that knows two keys."""
    directory = Directory(store)
    return AccessParts(
        door=cast("Door", KnownKeys()),
        directory=directory,
        tenants=Tenants(store, catalogue, directory, models, broker),
        users=Users(store, directory, models, PlainPasswords()),
        api_keys=ApiKeys(store, directory, SystemClock(), drawn),
        audit=Audit(store, SystemClock(), PrometheusMeter()),
        rotation=Rotation(store, vault, SystemClock(), models.renew),
    )


async def parts_of(folder: Path, limits: Limits | None = None, **changes: Any) -> Parts:
    """Parts over a fresh record; the caller closes the store. `clock` may be given."""
    clock = changes.pop("clock", None) or SystemClock()
    meter = PrometheusMeter()
    store = SqliteStore(folder / "tasks.db", clock, meter)
    await store.open()
    broker, feed, limits = MemoryBroker(clock), LocalFeed(), limits or Limits()
    catalogue = Catalogue({"scripted": ScriptedKind()}, "fair")
    vault = AesVault("a secret of the tests")
    models = Models(store, broker, catalogue, vault, clock)
    await models.load()
    prices = Prices(lambda *_: {}, meter)
    budgets = Budgets(store, prices, catalogue, broker, feed, meter, clock)
    await budgets.load()
    learning = Learning(store, clock, meter)
    tasks = Tasks(store, broker, catalogue, Stopping(RunningCalls(), LocalChannel()), feed, clock, learning)
    parse = filter_parser(catalogue)

    async def readiness() -> Readiness:
        return Readiness(True, {"store": "ok"})

    parts = Parts(
        store=store,
        submissions=Submissions(store, broker, catalogue, clock, feed, meter, limits, learning),
        tasks=tasks,
        models=models,
        endpoints=Endpoints(models, broker),
        actions=Actions(store, tasks, parse),
        stats=Stats(store, broker, clock),
        series=Series(store, clock),
        catalogue=catalogue,
        feed=feed,
        meter=meter,
        learning=learning,
        clock=clock,
        budgets=budgets,
        prices=prices,
        explaining=Explaining(store, broker, catalogue, clock, lambda *_: 0.0, lambda _: 0.0),
        forecasts=Forecasts(catalogue, broker, budgets, prices, clock),
        version="0.0.0",
        access=access_of(store, catalogue, models, broker, vault),
        readiness=readiness,
        metrics=meter.render,
        parse_filter=parse,
        limits=limits,
    )
    parts.actions.others[REMOVAL] = parts.access.tenants.removed
    await parts.access.directory.load()
    return replace(parts, **changes)


def client_of(app: Api, key: str | None = KEY, host: str = "127.0.0.1") -> httpx2.AsyncClient:
    """A client that talks to the app in this process; a fault inside comes out as 500, as in production."""
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False, client=(host, 50_000))
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return httpx2.AsyncClient(transport=transport, base_url="http://api.test", headers=headers)


class Scene:
    """An app, its parts and a client."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.broker = parts.endpoints.broker
        self.app = create_app(parts)
        self.http = client_of(self.app)

    def client(self, key: str | None = KEY, host: str = "127.0.0.1") -> httpx2.AsyncClient:
        """Another caller."""
        return client_of(self.app, key, host)

    async def watched(self) -> None:
        """Return once somebody waits for news."""
        async with asyncio.timeout(5):
            while not self.parts.feed.is_watched:  # noqa: ASYNC110 - the feed does not tell who comes
                await asyncio.sleep(0)

    async def add_model(self, name: str = "m", **fields: Any) -> dict[str, Any]:
        """A scripted model."""
        answer = await self.http.post("/api/v1/models", json={"name": name, "type": "scripted", **fields})
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def submit(self, **fields: Any) -> dict[str, Any]:
        """A task of model `m`."""
        answer = await self.http.post("/api/v1/tasks", json={"model": "m", "input": "Hi", **fields})
        assert answer.status_code == 201, answer.text
        return answer.json()


@asynccontextmanager
async def scene(folder: Path, limits: Limits | None = None, **changes: Any) -> AsyncIterator[Scene]:
    """A scene that cleans up."""
    made = Scene(await parts_of(folder, limits, **changes))
    try:
        yield made
    finally:
        await made.http.aclose()
        await made.parts.actions.close()
        await made.parts.models.close()
        await made.parts.store.close()


class Listening:
    """One streamed answer, read piece by piece; leaving the block hangs up."""

    def __init__(self, app: Api, path: str, key: str = KEY) -> None:
        self._app, self._path, self._key = app, path, key
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._text = ""
        self.status = 0

    async def __aenter__(self) -> Self:
        headers = [(b"authorization", f"Bearer {self._key}".encode())]
        path, _, query = self._path.partition("?")
        scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": headers}
        self._asked = False
        self.job = asyncio.create_task(self._app(scope, self._receive, self._send))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._gone.set()
        async with asyncio.timeout(5):
            await self.job

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self._pieces.put_nowait(message["body"])
            if not message.get("more_body", False):
                self._pieces.put_nowait(None)

    async def piece(self) -> bytes | None:
        """The next piece; None at the end."""
        async with asyncio.timeout(5):
            return await self._pieces.get()

    async def event(self) -> tuple[str, dict[str, Any]] | None:
        """The next event, comments passed over; None at the end."""
        while True:
            piece = await self.piece()
            if piece is None:
                return None
            if piece.startswith(b"event: "):
                name, data = piece.decode().strip().split("\n")
                return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))

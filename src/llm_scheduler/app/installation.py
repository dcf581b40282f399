"""The composition root: what belongs together is put together here; `adapters` chose it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Final

import structlog

from llm_scheduler import __version__
from llm_scheduler.api.filters import filter_parser
from llm_scheduler.api.pages import built_dashboard
from llm_scheduler.api.parts import Parts, Readiness
from llm_scheduler.api.server import create_app
from llm_scheduler.app.access import SWEEP_EVERY_S, access_loops, access_steps, add_access_sweeps, close_access
from llm_scheduler.app.adapters import Adapters
from llm_scheduler.app.keys import Keys
from llm_scheduler.app.readiness import looked_at
from llm_scheduler.app.settings_shown import settings_shown
from llm_scheduler.domain.errors import SchedulerError
from llm_scheduler.providers.kinds import KINDS
from llm_scheduler.providers.pricelist import listed_prices
from llm_scheduler.relay.reloading import Reloading
from llm_scheduler.relay.shared_feed import SharedFeed
from llm_scheduler.relay.upkeep import ALONE, AMONG_OTHERS, UpkeepLoops, tick
from llm_scheduler.services.actions import Actions
from llm_scheduler.services.arrivals import Arrivals
from llm_scheduler.services.backlogs import Backlogs
from llm_scheduler.services.budgets import Budgets
from llm_scheduler.services.catalogue import Catalogue
from llm_scheduler.services.concurrency import Concurrency
from llm_scheduler.services.diverting import EVERY_S as DIVERT_EVERY_S
from llm_scheduler.services.diverting import Diverting
from llm_scheduler.services.endpoints import Endpoints
from llm_scheduler.services.explain import Explaining
from llm_scheduler.services.fading import Fading
from llm_scheduler.services.forecast import Forecasts
from llm_scheduler.services.index import Index
from llm_scheduler.services.learning import FORGET_EVERY_S, SAVE_EVERY_S, Learning
from llm_scheduler.services.pacing import Pacer
from llm_scheduler.services.patience import Patience
from llm_scheduler.services.prices import Prices
from llm_scheduler.services.running import RunningCalls
from llm_scheduler.services.series import Series
from llm_scheduler.services.stats import Stats
from llm_scheduler.services.stopping import Stopping
from llm_scheduler.services.submit import Limits, Submissions
from llm_scheduler.services.tasks import Tasks
from llm_scheduler.services.tenants import REMOVAL
from llm_scheduler.services.upkeep import Upkeep
from llm_scheduler.telemetry.prometheus import PrometheusMeter
from llm_scheduler.workers.heartbeat import Heartbeat
from llm_scheduler.workers.strays import Strays
from llm_scheduler.workers.tools import Tools
from llm_scheduler.workers.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from llm_scheduler.domain.ids import ModelId
    from llm_scheduler.ports.broker import Witness
    from llm_scheduler.settings import Settings

_log = structlog.get_logger(__name__)
_EVERY_SESSION_S: Final = -1e9
"""A ttl that every heartbeat has missed, also one that a clock which ran ahead wrote into the future."""
_OVERDUE_EVERY_S: Final = 1.0
_STRAYS_EVERY_S: Final = 10.0
_RETENTION_LOOK_S: Final = 5.0
_RANGES_EVERY_S: Final = 60.0
_HELD_EVERY_S: Final = 2.0
_BUDGETS_EVERY_S: Final = 60.0
_GAUGES_EVERY_S: Final = 2.0
_SESSIONS_EVERY_S: Final = 15.0
_AUDIT_EVERY_S: Final = 2.0


class Installation(Adapters):
    """Everything of one process: record, index, and by its role API, worker or both.

    The adapters are made by methods of their own, so that a test can put something between.
    """

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self.settings, self.keys = settings, keys
        self.is_api, self.is_worker = settings.role != "worker", settings.role != "api"
        self.clock = self._make_clock()
        self.meter = PrometheusMeter()
        self.store = self._make_store()
        self.client = self._open_client()
        self.broker = self._make_broker()
        self.channel = self._make_channel()
        self.feed = self._make_feed()
        self.running = RunningCalls()
        self.extensions = self._make_extensions()
        self.catalogue = self._make_catalogue()
        self.configured = self._make_cache()
        self.models = self._make_models(keys)
        self.endpoints = Endpoints(self.models, self.broker)
        self.prices = Prices(listed_prices, self.meter)
        self.budgets = self._make_budgets()
        self.access = self._make_access(keys)
        self.reloading = Reloading(self._load, self.configured)
        self.cancelling = Stopping(self.running, self.channel)
        self.learning = Learning(self.store, self.clock, self.meter)
        self.catalogue.service_s, self.catalogue.output_tokens = self.learning.service_s, self.learning.output_tokens
        self.tasks = self._make_tasks()
        self.parse_filter = filter_parser(self.catalogue)
        self.actions = Actions(self.store, self.tasks, self.parse_filter)
        self.heartbeat = Heartbeat(self.store, self.running, self.clock, __version__, self._confer, settings.role)
        self.index = Index(self.store, self.broker, self.catalogue, self.clock, self.meter, self.models.renew)
        self.upkeep = Upkeep(self.store, self.broker, self.catalogue, self.index, self.clock, self.feed, self.meter)
        self.loops = UpkeepLoops(
            self.upkeep,
            self.index,
            self.broker,
            self.clock,
            AMONG_OTHERS if settings.is_cluster else ALONE,
            lambda: self.heartbeat.session_id,
            self.heartbeat.has_watched,
        )
        self.concurrency = Concurrency(
            self.store,
            self.broker,
            self.catalogue,
            self.channel,
            self.clock,
            self.meter,
            lambda: self.loops.is_leading,
        )
        self.limits = Limits(settings.max_input_bytes, settings.max_queue_length)
        self.submissions = Submissions(
            self.store,
            self.broker,
            self.catalogue,
            self.clock,
            self.feed,
            self.meter,
            self.limits,
            self.learning,
            self.loops.note_due,
        )
        self.arrivals, self.explaining = self._make_explaining()
        self.retention = self._make_retention()
        self._add_sweeps()
        self.worker, self.strays = self._make_worker()
        self.stopping = asyncio.Event()
        self._shown_workers: dict[ModelId, int] = {}
        self._background: list[asyncio.Task[None]] = []
        self._bind_gauges()

    def _make_catalogue(self) -> Catalogue:
        plugged = self.extensions
        kinds = {**KINDS, **plugged.kinds}
        catalogue = Catalogue(kinds, self.settings.strategy, plugged.strategies, plugged.task_types)
        catalogue.store_payloads = self.settings.store_payloads
        catalogue.backlogs = Backlogs(self.broker.backlog, self.clock)
        return catalogue

    def _make_explaining(self) -> tuple[Arrivals, Explaining]:
        arrivals = Arrivals(self.clock)
        explaining = Explaining(
            self.store, self.broker, self.catalogue, self.clock, arrivals.higher_load, self.learning.service_s
        )
        self.submissions.arrivals = arrivals
        self.submissions.patience = Patience(explaining, self.catalogue, self.clock)
        return arrivals, explaining

    def _make_tasks(self) -> Tasks:
        tasks = Tasks(self.store, self.broker, self.catalogue, self.cancelling, self.feed, self.clock, self.learning)
        tasks.max_input_bytes = self.settings.max_input_bytes
        return tasks

    def _make_worker(self) -> tuple[Worker, Strays]:
        tools = self._tools()
        worker = Worker(tools, self.heartbeat, self.settings.max_running, self._lanes)
        return worker, Strays(tools, self.heartbeat)

    def _make_budgets(self) -> Budgets:
        return Budgets(
            self.store, self.prices, self.catalogue, self.broker, self.feed, self.meter, self.clock, self.configured
        )

    def _add_sweeps(self) -> None:
        """What the leader does now and then beside the loops' own steps."""
        self.actions.others[REMOVAL] = self.access.tenants.removed
        self.loops.also(_HELD_EVERY_S, self.budgets.release)
        self.loops.also(_BUDGETS_EVERY_S, self.budgets.check)
        self.loops.also(_RANGES_EVERY_S, self.store.make_ranges)
        self.loops.also(FORGET_EVERY_S, self.learning.forget)
        if self.access.signing is not None:
            self.loops.also(SWEEP_EVERY_S, self.access.signing.sign_in.sweep)
        diverting = Diverting(self.store, self.broker, self.catalogue, self.feed, self.clock)
        self.loops.also(DIVERT_EVERY_S, diverting.step)
        add_access_sweeps(self)
        fading = Fading(self.store, self.clock, self.settings.payload_grace_s)
        self.loops.also(fading.every_s, fading.step)
        if self.retention is not None:
            self.loops.also(_RETENTION_LOOK_S, self.retention.step)

    async def _confer(self, has_reached: bool | None) -> Witness:
        return await self.broker.witness(has_reached=has_reached)

    def _lanes(self) -> Sequence[ModelId]:
        """What this worker serves."""
        names = self.settings.models
        if not names:
            return self.catalogue.lanes()
        return [model.id for model in self.catalogue.models() if model.name in names]

    def _tools(self) -> Tools:
        rng = random.Random()  # noqa: S311 - jitter, not a secret
        return Tools(
            store=self.store,
            broker=self.broker,
            catalogue=self.catalogue,
            models=self.models,
            running=self.running,
            clock=self.clock,
            feed=self.feed,
            meter=self.meter,
            learning=self.learning,
            rng=rng,
            concurrency=self.concurrency,
            note_due=self.loops.note_due,
            is_current=lambda session_id: self.heartbeat.session_id == session_id,
            note_lost=self._note_lost,
            pacer=Pacer(self.broker, self.clock, self.meter, rng),
            budgets=self.budgets,
            prices=self.prices,
            redact=self.keys.redactor,
        )

    def _note_lost(self) -> None:
        self.loops.note_lost()
        self.strays.doubt()

    def _bind_gauges(self) -> None:
        self.meter.workers_active.set_function(lambda: len(self.running))
        self.meter.connections.set_function(self.store.connections)
        self.meter.store_up.set_function(lambda: self.heartbeat.reached_since_s is not None)
        self.meter.broker_up.set(1)
        self.meter.leading.set_function(lambda: self.loops.is_leading)

    async def _load(self) -> None:
        """Take over what is configured."""
        await self.models.load()
        await self.budgets.load()
        await self.access.directory.refresh()

    async def open(self) -> None:
        """Open the record, build the index if it is lost, start working.

        Raises:
            StoreUnusableError: the record cannot be used; says why and what to do.
        """
        await self.store.open()
        await self.channel.open()
        if isinstance(self.feed, SharedFeed):
            await self.feed.open()
        await self.access.rotation.announce()
        await self._load()
        await self.learning.load()
        if not self.settings.is_cluster:
            # The data folder's lock is ours, so every session in the record belongs to a process that is gone.
            await self.upkeep.rescue(ttl_s=_EVERY_SESSION_S)
        await self.heartbeat.open()
        self.ledger.begin()
        if not self.settings.is_cluster:
            await self.index.rebuild("first")
        await self.concurrency.open()
        self.loops.begin()
        if self.settings.is_cluster:
            self.reloading.begin()
            self.cancelling.listen(self.heartbeat.hurry)
        if self.is_worker:
            self.worker.begin()
        if self.is_api:
            await self.actions.resume()
        self._background = [
            asyncio.create_task(self.heartbeat.run(), name="heartbeat"),
            asyncio.create_task(self.heartbeat.confer_forever(), name="witness"),
            asyncio.create_task(self._every(_OVERDUE_EVERY_S, self._abort_overdue), name="overdue"),
            asyncio.create_task(self._every(_STRAYS_EVERY_S, self.strays.look_if_doubted), name="strays"),
            asyncio.create_task(self._every(_GAUGES_EVERY_S, self._observe), name="gauges"),
            asyncio.create_task(self._every(SAVE_EVERY_S, self.learning.step), name="learning"),
            asyncio.create_task(self._every(_SESSIONS_EVERY_S, self._count_sessions), name="sessions"),
            *access_loops(self),
            *(asyncio.create_task(self._every(*step), name="access") for step in access_steps(self.access)),
            asyncio.create_task(self._every(_AUDIT_EVERY_S, self.access.audit.step), name="audit"),
        ]

    async def drain(self, grace_s: float) -> None:
        """Claim no more, let running calls end, put the rest back."""
        await self.worker.stop(grace_s)

    async def close(self) -> None:
        """Stop in the order in which parts need each other."""
        await self.actions.close()
        await self.access.rotation.close()
        await self.loops.stop()
        await self.concurrency.close()
        await self.reloading.stop()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.ledger.close()
        await self.learning.save()
        await close_access(self.access)
        await self.access.audit.close()
        await self.models.close()
        await self.configured.close()
        with contextlib.suppress(SchedulerError):
            await self.heartbeat.close()
        await self.store.close()
        if isinstance(self.feed, SharedFeed):
            await self.feed.close()
        await self.channel.close()
        await self.broker.close()

    async def _every(self, period_s: float, step: Callable[[], Awaitable[object]]) -> None:
        while True:
            await tick(step)
            await asyncio.sleep(period_s)

    async def _abort_overdue(self) -> None:
        self.worker.overdue()

    async def _observe(self) -> None:
        models = self.catalogue.models()
        names = {model.id: model.name for model in models}
        self.meter.observe_limits({model.name: (model.rpm, model.tpm) for model in models})
        depths = await self.broker.depths()
        self.meter.observe_queues(depths, names, self.clock.now())
        self.meter.observe_endpoints(
            {
                (model.name, name): health.status.value
                for model in models
                if model.endpoints
                for name, health in (await self.endpoints.health(model)).items()
            }
        )
        running = {depth.lane: depth.running for depth in depths if depth.lane in names}
        if self.loops.is_leading and running != self._shown_workers:
            await self.store.set_current_workers(running)
            self._shown_workers = running

    async def _count_sessions(self) -> None:
        sessions = await self.store.sessions()
        self.meter.sessions.set(len(sessions))
        self.arrivals.sharers = self.sharers = max(1, sum(session.role != "worker" for session in sessions))

    async def readiness(self) -> Readiness:
        """Which parts work: record, index and claim loop. An index that is away does not stop submits."""
        return await looked_at(self)

    def api(self) -> Callable[..., Awaitable[None]]:
        """The HTTP side."""
        return create_app(
            Parts(
                store=self.store,
                submissions=self.submissions,
                tasks=self.tasks,
                models=self.models,
                endpoints=self.endpoints,
                actions=self.actions,
                stats=Stats(self.store, self.broker, self.clock),
                series=Series(self.store, self.clock),
                catalogue=self.catalogue,
                feed=self.feed,
                meter=self.meter,
                learning=self.learning,
                clock=self.clock,
                budgets=self.budgets,
                prices=self.prices,
                explaining=self.explaining,
                forecasts=Forecasts(
                    self.catalogue, self.broker, self.budgets, self.prices, self.clock, self.learning.service_s
                ),
                version=__version__,
                access=self.access,
                readiness=self.readiness,
                metrics=self.meter.render,
                max_body_bytes=self.settings.max_body_bytes,
                max_bulk_lines=self.settings.max_bulk_lines,
                parse_filter=self.parse_filter,
                limits=self.limits,
                stopping=self.stopping,
                dashboard=built_dashboard(),
                root_path=self.settings.root_path,
                plugins=self.extensions.states,
                settings=lambda: settings_shown(self.settings),
                redact=self.keys.redactor,
            ),
            is_probes_only=not self.is_api,
        )

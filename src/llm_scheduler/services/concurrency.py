"""One limit for each model that finds its own, however many workers call it.

Every process tells the others of its calls, in batches; every process keeps what it hears; the one that leads decides
(`scheduling.concurrency`), tells the broker and the others, and keeps what it has learned in the record. So a change
of leader loses nothing, and a restart goes on where it was. While nothing is called, nothing is sent or asked.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import orjson
import structlog

from llm_scheduler.domain.errors import SchedulerError
from llm_scheduler.ports.provider import Fault
from llm_scheduler.scheduling.concurrency import Control, Sample, Window, control_of, limit, plain, step
from llm_scheduler.services import call_samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.domain.ids import Millis, ModelId
    from llm_scheduler.domain.model import Model
    from llm_scheduler.ports.broker import Broker
    from llm_scheduler.ports.channel import Channel
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.meter import ConcurrencyMeter
    from llm_scheduler.ports.provider import ProviderError
    from llm_scheduler.ports.states import States
    from llm_scheduler.services.catalogue import Catalogue

_log = structlog.get_logger(__name__)
CALLS: Final = "calls"
LIMITS: Final = "limits"
ASKED: Final = "limits_asked"
GATHER_S: Final = 0.25
SAVE_EVERY_S: Final = 5.0
REFUSED_HOLD_S: Final = 1.0
"""A call that the server had no room for keeps its slot so long: the next one would find no room either."""
_AFTER_FAULT_S: Final = 1.0
_MOST_SAMPLES: Final = 4_096


def is_no_room(error: ProviderError, latency_ms: int, timeout_s: float) -> bool:
    """Whether the server had no room for one more call at once, by how it answered.

    A 429 that says when to come again, or what is left of a limit, is about a rate: it pauses the lane, and is not
    the controller's business. A call that a task's own short timeout ended says nothing of the server.

    Args:
        error: what the call gave.
        latency_ms: how long it took.
        timeout_s: the model's own limit for one call.
    """
    if error.fault is Fault.LIMIT:
        return error.retry_after_s is None and not error.allowance
    if error.code == "timeout":
        return error.http_status is not None or latency_ms >= timeout_s * 1000
    return error.code == "overloaded"


@dataclass
class _Lane:
    """What is known here of one model."""

    name: str = ""
    samples: deque[Sample] = field(default_factory=lambda: deque[Sample](maxlen=_MOST_SAMPLES))
    control: Control | None = None
    """None: to be read from the record before it is gone by."""
    version: int = 0
    """Of the row in the record that `control` follows."""
    saved: Control | None = None
    saved_limit: int | None = None
    running: float = 0.0
    looks: int = 0
    has_news: bool = False


class Concurrency:
    """Samples, decides if it leads, and says which limit is in force."""

    def __init__(  # noqa: PLR0913 - the ports that it touches
        self,
        states: States,
        broker: Broker,
        catalogue: Catalogue,
        channel: Channel,
        clock: Clock,
        meter: ConcurrencyMeter,
        is_leading: Callable[[], bool],
    ) -> None:
        self._states, self._broker, self._catalogue = states, broker, catalogue
        self._channel, self._clock, self._meter, self._is_leading = channel, clock, meter, is_leading
        self._lanes: dict[ModelId, _Lane] = {}
        self._limits: dict[ModelId, int] = {}
        self._since: dict[ModelId, int] = {}
        """When each of these was decided: of two decisions the newer one counts, whichever is heard of last."""
        self._outgoing: list[bytes] = []
        self._heard: set[ModelId] = set()
        self._was_leading = False
        self._has_gap = self._is_asked = False
        self._saved_at_s = float("-inf")
        self._news = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._undo: list[Callable[[], None]] = []
        catalogue.limit_of = self.limit_of

    def limit_of(self, model: Model) -> int:
        """How many calls of the model may run at once: configured, or as found."""
        auto = model.options.auto_workers
        if auto is None:
            return model.max_workers
        return min(auto.max, max(auto.min, self._limits.get(model.id, model.max_workers)))

    async def open(self) -> None:
        """Take over what is in the record, and begin."""
        self._undo = [
            self._channel.listen(CALLS, self._hear_calls),
            self._channel.listen(LIMITS, self._hear_limits),
            self._channel.listen(ASKED, self._note_asked),
            self._channel.on_gap(self._note_gap),
        ]
        for model in self._automatic():
            await self._load(model)
            self._heard.add(model.id)
        await self._apply_heard()
        # The record is up to SAVE_EVERY_S behind, and the index goes by it now: who leads knows better.
        self._channel.publish(ASKED, b"")
        self._loop = asyncio.create_task(self._run(), name="concurrency")

    async def close(self) -> None:
        """Stop, and keep what was learned since it was kept last."""
        for undo in self._undo:
            undo()
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        self._flush()
        if self._is_leading():
            with contextlib.suppress(SchedulerError):
                await self._save()

    def holds(self, model: Model) -> bool:
        """Whether fewer calls at once are possible, so that a refusal for want of room is for the controller."""
        auto = model.options.auto_workers
        return auto is not None and self.limit_of(model) > auto.min

    # Calls

    def note(self, model: Model, sample: Sample) -> None:
        """A call of this process ended; only of interest while the model finds its own limit."""
        if model.options.auto_workers is None:
            return
        self._take(model.id, sample)
        self._outgoing.append(call_samples.packed(model.id, sample))

    def _take(self, model_id: ModelId, sample: Sample) -> None:
        lane = self._lanes.setdefault(model_id, _Lane())
        lane.samples.append(sample)
        lane.has_news = True
        self._news.set()

    def _hear_calls(self, payload: bytes) -> None:
        for model_id, sample in call_samples.unpacked(payload):
            self._take(model_id, sample)

    def _hear_limits(self, payload: bytes) -> None:
        for model_id, found, since in call_samples.unpacked_limits(payload):
            if since < self._since.get(model_id, 0):
                continue
            self._limits[model_id], self._since[model_id] = found, since
            self._catalogue.limit_changed(model_id)
            self._heard.add(model_id)
        self._news.set()

    def _note_asked(self, _payload: bytes) -> None:
        self._is_asked = True
        self._news.set()

    def _note_gap(self) -> None:
        """Limits may have been told meanwhile: the record knows them."""
        self._has_gap = True
        self._news.set()

    def _flush(self) -> None:
        if self._outgoing:
            outgoing, self._outgoing = self._outgoing, []
            self._channel.publish(CALLS, b"".join(outgoing))

    # Turns

    async def _run(self) -> None:
        while True:
            await self._wait()
            self._news.clear()
            try:
                await self._turn()
            except SchedulerError as error:
                _log.debug("concurrency_waits", error=str(error))
                await asyncio.sleep(_AFTER_FAULT_S)
            except Exception:  # noqa: BLE001 - the outermost place, logged
                _log.exception("concurrency_broke")
                await asyncio.sleep(_AFTER_FAULT_S)
            await asyncio.sleep(GATHER_S)

    async def _wait(self) -> None:
        """Until there is something to tell or to judge, or something learned is due to be kept."""
        if not (self._was_leading and any(self._is_unsaved(lane) for lane in self._lanes.values())):
            await self._news.wait()
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._saved_at_s + SAVE_EVERY_S - self._clock.monotonic_s())):
                await self._news.wait()

    async def _turn(self) -> None:
        self._flush()
        models = {model.id: model for model in self._automatic()}
        for model_id in self._lanes.keys() - models.keys():
            # Fixed by now, or removed: what was learned stays in the record, for another time.
            self._meter.concurrency(self._lanes.pop(model_id).name, None, None)
            self._limits.pop(model_id, None)
            self._since.pop(model_id, None)
        if self._has_gap and not self._was_leading:
            for model in models.values():
                await self._load(model)
                self._heard.add(model.id)
        self._has_gap = False
        await self._apply_heard()
        if self._is_leading() != self._was_leading:
            # Whoever led before has learned more than was known here.
            self._was_leading = not self._was_leading
            for lane in self._lanes.values():
                lane.control = None
        is_asked, self._is_asked = self._is_asked, False
        if self._was_leading:
            for model in models.values():
                if is_asked and self._since.get(model.id):
                    await self._tell(model)
                await self._decide(model)
            if self._clock.monotonic_s() - self._saved_at_s >= SAVE_EVERY_S:
                await self._save()

    async def _decide(self, model: Model) -> None:
        lane, auto = self._lanes.get(model.id), model.options.auto_workers
        if lane is None or auto is None or not lane.has_news:
            return
        if lane.control is None:
            await self._load(model)
            await self._tell(model)
        before = lane.control or Control()
        slots = await self._broker.slots(model.id)
        lane.has_news = False
        lane.running, lane.looks = lane.running + len(slots), lane.looks + 1
        oldest_at: Millis | None = min((slot.claimed_at for slot in slots), default=None)
        window = Window(tuple(lane.samples), self._clock.now(), lane.running / lane.looks, oldest_at)
        after = step(before, window, auto)
        if after is before:
            return
        lane.control = after
        if after.since != before.since:
            while lane.samples and lane.samples[0].dispatched_at < after.since:
                lane.samples.popleft()
            lane.running, lane.looks = 0.0, 0
        self._meter.concurrency(model.name, limit(after, auto), after.share)
        if self._limits.get(model.id) != limit(after, auto):
            self._limits[model.id], self._since[model.id] = limit(after, auto), after.since
            self._catalogue.limit_changed(model.id)
            await self._tell(model)

    async def _tell(self, model: Model) -> None:
        """Have the broker go by the limit that is known here, and the other processes know of it."""
        found = self.limit_of(model)
        _log.debug("concurrency_changed", model=model.name, limit=found)
        self._channel.publish(LIMITS, call_samples.packed_limit(model.id, found, self._since.get(model.id, 0)))
        await self._broker.set_rules([self._catalogue.rules(model)])

    async def _apply_heard(self) -> None:
        """Every process has the broker go by it: an index that comes back empty is told by any of them."""
        models = [model for model in self._automatic() if model.id in self._heard]
        self._heard.clear()
        if models:
            for model in models:
                self._meter.concurrency(model.name, self.limit_of(model), None)
            await self._broker.set_rules([self._catalogue.rules(model) for model in models])

    def _automatic(self) -> list[Model]:
        return [model for model in self._catalogue.models() if model.options.auto_workers is not None]

    # What is kept

    @staticmethod
    def _is_unsaved(lane: _Lane) -> bool:
        return lane.control is not None and lane.control != lane.saved

    async def _load(self, model: Model, *, is_overruled: bool = False) -> None:
        """Go by the record: what was learned of this model as it is configured now, else the beginning.

        A decision that is newer than the record stands, unless another process has written there since.
        """
        lane, auto = self._lanes.setdefault(model.id, _Lane()), model.options.auto_workers
        lane.name = model.name
        kept = await self._states.state(_name(model.id))
        control = Control()
        if kept is not None:
            lane.version = kept.version
            try:
                found = orjson.loads(kept.data)
                if found["config"] == self._catalogue.digest(model):
                    control = control_of(found["control"])
                else:
                    is_overruled = True
            except (ValueError, KeyError, TypeError) as error:
                _log.warning("concurrency_unreadable", model=model.name, error=str(error))
        if auto is not None:
            control = step(control, Window((), self._clock.now(), 0.0, None), auto)
            known, since = self._limits.get(model.id), self._since.get(model.id, 0)
            if known is not None and since > control.since and not is_overruled:
                control = replace(control, n=float(known), since=since)
            self._limits[model.id], self._since[model.id] = limit(control, auto), control.since
        lane.control = lane.saved = control

    async def _save(self) -> None:
        """Keep what is new, at most every few seconds."""
        self._saved_at_s = self._clock.monotonic_s()
        for model in self._automatic():
            lane, auto = self._lanes.get(model.id), model.options.auto_workers
            if lane is None or auto is None or lane.control is None or not self._is_unsaved(lane):
                continue
            control, found = lane.control, limit(lane.control, auto)
            data = orjson.dumps({"config": self._catalogue.digest(model), "control": plain(control)}).decode()
            if not await self._states.save_state(_name(model.id), data, lane.version):
                # Two processes lead for a moment; what the other one has written stands.
                await self._load(model, is_overruled=True)
                self._heard.add(model.id)
                continue
            lane.version, lane.saved = lane.version + 1, control
            if found != lane.saved_limit:
                await self._states.set_max_workers(model.id, model.version, found)
                lane.saved_limit = found


def _name(model_id: ModelId) -> str:
    return f"concurrency:{model_id}"

"""Plugins held at arm's length: what one does wrong costs the task nothing but the plugin's own word."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.ports.provider import Answer, Fault, ProviderError
from llm_scheduler.ports.strategy import NO_OPTIONS, Option
from llm_scheduler.scheduling.soundness import unsound
from llm_scheduler.scheduling.strategies.registry import DEFAULT, STRATEGIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llm_scheduler.domain.placement import Placement
    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.plugins import Plugin
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.meter import PluginMeter
    from llm_scheduler.ports.provider import Provider, ProviderKind
    from llm_scheduler.ports.strategy import PlacementContext, Strategy
    from llm_scheduler.ports.task_type import TaskType

SLOW_S: Final = 0.005
SLOW_IN_A_ROW: Final = 3
OFF_FOR_S: Final = 60.0
_LOG_EVERY_S: Final = 60.0
_MOST_TOKENS: Final = 100_000_000
_BROKEN: Final = (Exception, SystemExit)
"""What a plugin may raise and nobody else sees."""

_log = structlog.get_logger(__name__)


class Faults:
    """What one plugin did wrong: counted always, logged at most once a minute for each sort.

    Sorts: `raised`, `nonsense` (what it gave cannot be used), `slow`.
    """

    def __init__(self, plugin: Plugin, clock: Clock, meter: PluginMeter) -> None:
        self.label, self.clock = plugin.label, clock
        self.counts: Counter[str] = Counter()
        self._meter = meter
        self._logged_at_s: dict[str, float] = {}

    def count(self, sort: str) -> None:
        """One more, without a word."""
        self.counts[sort] += 1
        self._meter.plugin_fault(self.label, sort)

    def note(self, sort: str, detail: str, **facts: object) -> None:
        """One more."""
        self.count(sort)
        now_s = self.clock.monotonic_s()
        if now_s - self._logged_at_s.get(sort, float("-inf")) >= _LOG_EVERY_S:
            self._logged_at_s[sort] = now_s
            _log.error("plugin_fault", plugin=self.label, kind=sort, detail=detail[:500], **facts)


class ContainedStrategy:
    """A plugin's strategy; where it fails, the task is placed by the default one.

    Three slow placements in a row switch it off for a minute: they hold up every other task of the process.
    """

    reads_backlog: bool

    def __init__(self, plugin: Plugin, faults: Faults) -> None:
        inner = plugin.value
        self.name, self.share_rule = plugin.name, inner.share_rule
        self.options: Mapping[str, Option] = MappingProxyType(
            {name: Option(*option) for name, option in dict(getattr(inner, "options", NO_OPTIONS)).items()}
        )
        self.reads_backlog = bool(getattr(inner, "reads_backlog", False))
        self._inner: Strategy = inner
        self._faults = faults
        self._fallback: Strategy = STRATEGIES[DEFAULT]
        self._slow = 0
        self._off_until_s = float("-inf")

    @property
    def is_off(self) -> bool:
        """Whether it is not asked now."""
        return self._faults.clock.monotonic_s() < self._off_until_s

    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        """Where the plugin puts it, if that is a place."""
        clock = self._faults.clock
        began_s = clock.monotonic_s()
        if began_s < self._off_until_s:
            return self._fallback.place(task, context)
        try:
            placement: Any = self._inner.place(task, context)
        except _BROKEN as error:
            self._faults.note("raised", f"{type(error).__name__}: {error}", task_id=task.task_id)
            placement = None
        else:
            problem = unsound(placement)
            if problem is not None:
                self._faults.note("nonsense", problem, task_id=task.task_id)
                placement = None
        self._watch(clock.monotonic_s() - began_s)
        return self._fallback.place(task, context) if placement is None else placement

    def _watch(self, took_s: float) -> None:
        if took_s <= SLOW_S:
            self._slow = 0
            return
        # A single one says little: a busy machine takes the processor away from the best of strategies.
        self._faults.count("slow")
        self._slow += 1
        if self._slow >= SLOW_IN_A_ROW:
            self._slow = 0
            self._off_until_s = self._faults.clock.monotonic_s() + OFF_FOR_S
            _log.error("plugin_off", plugin=self._faults.label, for_s=OFF_FOR_S, reason=f"slow: {took_s * 1000:.1f} ms")


class ContainedType:
    """A plugin's task type; what it does wrong is an error of this one task, in words."""

    def __init__(self, plugin: Plugin, faults: Faults) -> None:
        self.name = plugin.name
        self._inner: TaskType = plugin.value
        self._faults = faults

    def check(self, value: str | dict[str, object]) -> dict[str, object]:
        """What is recorded.

        Raises:
            InvalidInputError: the plugin refused it, or failed.
        """
        with self._submitting():
            body = self._inner.check(value)
            if type(body) is not dict:
                raise TypeError(f"check gave {type(body).__name__}, not an object")
            orjson.dumps(body)
            return body

    def estimate(self, body: Mapping[str, object]) -> tuple[int, int]:
        """Tokens in and out.

        Raises:
            InvalidInputError: the plugin failed.
        """
        with self._submitting():
            tokens, output = self._inner.estimate(body)
            if not all(type(number) is int and 0 <= number <= _MOST_TOKENS for number in (tokens, output)):
                raise TypeError(f"estimate gave {tokens!r}, {output!r}, not two counts of tokens")
            return tokens, output

    def to_call(self, body: Mapping[str, object]) -> tuple[str, dict[str, object]]:
        """Wire type and body.

        Raises:
            InvalidInputError: the plugin failed.
        """
        with self._submitting():
            wire_type, wired = self._inner.to_call(body)
            if type(wire_type) is not str or type(wired) is not dict:
                raise TypeError("to_call did not give a type and an object")
            orjson.dumps(wired)
            return wire_type, wired

    def finish(self, answer: Answer, body: Mapping[str, object]) -> Answer:
        """The answer as it is recorded.

        Raises:
            ProviderError: the plugin says that it is none, or failed; tokens count as spent.
        """
        try:
            finished: Any = self._inner.finish(answer, body)
            if type(finished) is not Answer or type(finished.text) is not str:
                raise TypeError(f"finish gave {type(finished).__name__}, not an Answer")
        except ProviderError as error:
            if not error.usage.total_tokens:
                error.usage = answer.usage
            raise
        except _BROKEN as error:
            self._faults.note("raised", f"finish: {type(error).__name__}: {error}")
            message = f"Task type '{self.name}' could not read the answer ({type(error).__name__}: {error})."
            raise ProviderError(
                "task_type_failed", message, is_retryable=False, fault=Fault.CALLER, usage=answer.usage
            ) from error
        return finished

    @contextmanager
    def _submitting(self) -> Iterator[None]:
        try:
            yield
        except InvalidInputError:
            raise
        except _BROKEN as error:
            self._faults.note("raised", f"{type(error).__name__}: {error}")
            message = f"Task type '{self.name}' failed on this input ({type(error).__name__}: {error})."
            raise InvalidInputError(f"{message[:500]} Change the input, or mend the plugin.", "input") from error


class ContainedKind:
    """A plugin's provider kind. Its calls need no more than any provider's: a worker expects everything."""

    def __init__(self, plugin: Plugin, faults: Faults) -> None:
        self._inner: ProviderKind = plugin.value
        self.name = plugin.name
        self.task_types, self.secret_fields = self._inner.task_types, self._inner.secret_fields
        self._faults = faults

    def check(self, config: Mapping[str, object]) -> dict[str, object]:
        """The config as it is kept.

        Raises:
            InvalidInputError: the plugin refused it, or failed.
        """
        with self._contained("config"):
            return dict(self._inner.check(config))

    def open(self, model: str, config: Mapping[str, object]) -> Provider:
        """Ready for calls.

        Raises:
            InvalidInputError: the plugin failed.
        """
        with self._contained("type"):
            return self._inner.open(model, config)

    @contextmanager
    def _contained(self, where: str) -> Iterator[None]:
        try:
            yield
        except InvalidInputError:
            raise
        except _BROKEN as error:
            # The config may hold secrets, and the error's text the config: only its class is told.
            self._faults.note("raised", type(error).__name__)
            message = f"Provider '{self.name}' failed on this config ({type(error).__name__})."
            raise InvalidInputError(f"{message} See its documentation.", where) from error

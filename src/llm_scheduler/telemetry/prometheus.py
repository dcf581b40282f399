"""Prometheus metrics: the seed's names, prefix-free, and ours."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from llm_scheduler.telemetry.minute import Minute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from llm_scheduler.domain.ids import ModelId
    from llm_scheduler.domain.task import AttemptOutcome, Usage
    from llm_scheduler.ports.broker import LaneDepth

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_WAITS: Final = (*_SECONDS, 1800, 3600, 7200, 21600, 86400)
_ERRORS: Final = (0.1, 0.25, 0.5, 0.75, 1, 2, 4, 8, 16)
_BATCHES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)


class PrometheusMeter:
    """Counts into a registry of its own. Labels are models, outcomes and the like: bounded, never ids."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._minutes: defaultdict[str, Minute] = defaultdict(Minute)
        self._said: defaultdict[str, dict[str, float]] = defaultdict(dict)
        # A series with the time of birth beside each counter doubles the page for nothing that we use.
        disable_created_metrics()
        self.registry = CollectorRegistry()
        registry = self.registry
        self._tasks = Counter("tasks_total", "Tasks submitted", ["model"], registry=registry)
        self._completed = Counter("tasks_completed_total", "Tasks completed", ["model"], registry=registry)
        self._failed = Counter("tasks_failed_total", "Tasks that ended as dead letters", ["model"], registry=registry)
        self._processing = Histogram(
            "task_processing_seconds", "Duration of one provider call", ["model"], buckets=_SECONDS, registry=registry
        )
        self._wait = Histogram(
            "task_wait_seconds", "From queued to started", ["model"], buckets=_WAITS, registry=registry
        )
        self._requests = Counter(
            "provider_requests_total", "Provider calls by how they ended", ["model", "outcome"], registry=registry
        )
        self._tokens = Counter(
            "provider_tokens_total", "Tokens by direction", ["model", "direction"], registry=registry
        )
        self._cost = Counter("cost_microusd_total", "Cost in micro-USD", ["model"], registry=registry)
        self._unpriced = Counter(
            "unpriced_calls_total", "Calls whose price is unknown, counted as free", ["model"], registry=registry
        )
        self._told = Counter("budget_marks_total", "Budgets that came to a mark", ["percent"], registry=registry)
        self._reserved = Gauge("budget_reserved_microusd", "Put aside for open attempts", registry=registry)
        self._gap = Gauge(
            "budget_reservation_gap_microusd", "Reserved, less reservations of open attempts: 0", registry=registry
        )
        self._batches = Histogram(
            "commit_batch_size", "Operations of one group commit", buckets=_BATCHES, registry=registry
        )
        self._repairs = Counter("reconciler_repairs_total", "What was mended", ["kind"], registry=registry)
        self._plugin_faults = Counter(
            "plugin_faults_total", "What plugins did wrong", ["plugin", "kind"], registry=registry
        )
        self._cache = Counter(
            "cache_requests_total", "Lookups by level and outcome", ["cache", "level", "outcome"], registry=registry
        )
        self._evictions = Counter(
            "cache_evictions_total", "Entries that made room", ["cache", "level"], registry=registry
        )
        self._responses = Counter(
            "response_cache_total", "Tasks that ask for a stored answer", ["outcome"], registry=registry
        )
        self._api = Histogram(
            "api_request_duration_seconds",
            "API requests",
            ["method", "route", "status"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.workers_active = Gauge("workers_active", "Calls that run now", registry=registry)
        self.queue_length = Gauge("queue_length", "Waiting tasks", ["model", "priority"], registry=registry)
        self.oldest = Gauge("queue_oldest_age_seconds", "Age of the oldest waiting task", ["model"], registry=registry)
        self._archived = Counter("tasks_archived_total", "Finished tasks written to the archive", registry=registry)
        self._removed = Counter("tasks_retired_total", "Finished tasks that left the record", registry=registry)
        self._retention_errors = Counter("retention_errors_total", "Retention runs that failed", registry=registry)
        self._retention_run = Gauge(
            "retention_last_run_timestamp_seconds", "When a walk over the record last ended", registry=registry
        )
        self.connections = Gauge("database_connections", "Open database connections", registry=registry)
        self.results_held = Gauge("results_held", "Ends of attempts held while the record is away", registry=registry)
        self._audit = Gauge("audit_backlog", "Entries of the audit log that wait in memory", registry=registry)
        self.store_up = Gauge("store_up", "1 while the record answers this process", registry=registry)
        self.broker_up = Gauge("broker_up", "1 while the index answers this process", registry=registry)
        self.leading = Gauge("upkeep_leader", "1 while this process does the sweeps", registry=registry)
        self.sessions = Gauge("sessions_alive", "Worker sessions that are alive", registry=registry)
        self._watch_providers(registry)

    def _watch_providers(self, registry: CollectorRegistry) -> None:
        """What is learned of providers and done about them."""
        self._errors = Histogram(
            "prediction_error_ratio",
            "How far the output's tokens were from what was expected, as a share of that",
            ["model"],
            buckets=_ERRORS,
            registry=registry,
        )
        self._retries = Counter(
            "retries_total", "Retries by what the budget said", ["model", "outcome"], registry=registry
        )
        self.endpoint_state = Gauge(
            "endpoint_state",
            "1 for the state that an endpoint is in",
            ["model", "endpoint", "state"],
            registry=registry,
        )
        self._rate_limited = Counter(
            "api_rate_limited_total", "API requests refused by a rate limit, by which", ["limit"], registry=registry
        )
        self._rates_shared = Gauge(
            "api_rate_limits_shared",
            "1 while the API's rate limits are shared between processes (or there is only this one), 0 while each "
            "process keeps to its part of them",
            registry=registry,
        )
        self._rates_shared.set(1)
        self._quota_exhausted = Counter(
            "provider_quota_exhausted_total",
            "Calls refused because the account is used up",
            ["model"],
            registry=registry,
        )
        self._concurrency = Gauge("concurrency_limit", "Calls at once, as found", ["model"], registry=registry)
        self._waiting_share = Gauge(
            "concurrency_share_waiting",
            "Share of the calls' time that they wait inside the provider",
            ["model"],
            registry=registry,
        )
        self.utilisation = Gauge(
            "rate_limit_utilisation",
            "Share of the limit in use: rpm, tpm counted by us over the last minute; the others as the provider says",
            ["model", "limit"],
            registry=registry,
        )

    def submitted(self, model: str, count: int) -> None:
        """Tasks were recorded."""
        self._tasks.labels(model).inc(count)

    def started(self, model: str, wait_s: float) -> None:
        """An attempt began."""
        self._wait.labels(model).observe(wait_s)
        self._minutes[model].add(self._monotonic_s(), 1, 0)

    def attempt_ended(self, model: str, outcome: AttemptOutcome, seconds: float) -> None:
        """A provider call ended."""
        self._processing.labels(model).observe(seconds)
        self._requests.labels(model, outcome.value).inc()

    def retried(self, model: str, outcome: str) -> None:
        """A call is to be tried again."""
        self._retries.labels(model, outcome).inc()

    def spent(self, model: str, usage: Usage, cost_microusd: int) -> None:
        """Tokens and money of one call."""
        self._minutes[model].add(self._monotonic_s(), 0, usage.total_tokens)
        if usage.prompt_tokens:
            self._tokens.labels(model, "prompt").inc(usage.prompt_tokens)
        if usage.completion_tokens:
            self._tokens.labels(model, "completion").inc(usage.completion_tokens)
        if cost_microusd:
            self._cost.labels(model).inc(cost_microusd)

    def predicted(self, model: str, expected_tokens: int, actual_tokens: int) -> None:
        """A call brought so many tokens where others were expected."""
        self._errors.labels(model).observe(abs(actual_tokens - expected_tokens) / max(1, expected_tokens))

    def unpriced(self, model: str) -> None:
        """A call of unknown cost."""
        self._unpriced.labels(model).inc()

    def budget_told(self, percent: int) -> None:
        """A budget came to a mark."""
        self._told.labels(str(percent)).inc()

    def observe_budgets(self, reserved_microusd: int, gap_microusd: int) -> None:
        """Set the gauges of reservations."""
        self._reserved.set(reserved_microusd)
        self._gap.set(gap_microusd)

    def task_ended(self, model: str, is_success: bool) -> None:
        """A task reached the end by running."""
        (self._completed if is_success else self._failed).labels(model).inc()

    def committed(self, batch_size: int) -> None:
        """One group commit."""
        self._batches.observe(batch_size)

    def held(self, change: int) -> None:
        """Ends that wait for the record."""
        self.results_held.inc(change)

    def repaired(self, kind: str, count: int) -> None:
        """Something was mended."""
        self._repairs.labels(kind).inc(count)

    def plugin_fault(self, plugin: str, kind: str) -> None:
        """A plugin did wrong."""
        self._plugin_faults.labels(plugin, kind).inc()

    def retired(self, archived: int, removed: int) -> None:
        """Finished tasks left the record."""
        self._archived.inc(archived)
        self._removed.inc(removed)

    def retention_ran(self, at_s: float | None) -> None:
        """A walk ended, or failed."""
        if at_s is None:
            self._retention_errors.inc()
        else:
            self._retention_run.set(at_s)

    def limit_used(self, model: str, limit: str, share: float) -> None:
        """A provider said how much of a limit is used."""
        self._said[model][limit] = share

    def quota_exhausted(self, model: str) -> None:
        """Nothing is left to spend at the provider."""
        self._quota_exhausted.labels(model).inc()

    def audit_waits(self, count: int) -> None:
        """Entries that wait for the record."""
        self._audit.set(count)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """An API request was answered."""
        self._api.labels(method, route, str(status)).observe(seconds)

    def rate_limited(self, limit: str) -> None:
        """A request was refused."""
        self._rate_limited.labels(limit).inc()

    def rates_shared(self, is_shared: bool) -> None:
        """Whether limits are shared."""
        self._rates_shared.set(is_shared)

    def cache_asked(self, cache: str, level: str, *, is_hit: bool) -> None:
        """A level of a cache was asked."""
        self._cache.labels(cache, level, "hit" if is_hit else "miss").inc()

    def cache_evicted(self, cache: str, count: int) -> None:
        """Entries of a memory level made room."""
        self._evictions.labels(cache, "memory").inc(count)

    def response_cache(self, outcome: str, count: int) -> None:
        """Tasks that ask for a stored answer, by what they got."""
        self._responses.labels(outcome).inc(count)

    def concurrency(self, model: str, limit: int | None, share: float | None) -> None:
        """What was found, and by what."""
        if limit is None:
            for gauge in (self._concurrency, self._waiting_share):
                gauge.remove_by_labels({"model": model})
            return
        self._concurrency.labels(model).set(limit)
        if share is not None:
            self._waiting_share.labels(model).set(share)

    def observe_queues(self, depths: Iterable[LaneDepth], names: Mapping[ModelId, str], now_ms: int) -> None:
        """Set the queue gauges from a fresh look at the broker; lanes that are gone disappear."""
        self.queue_length.clear()
        self.oldest.clear()
        for depth in depths:
            name = names.get(depth.lane)
            if name is None:
                continue
            for band, count in depth.by_band:
                self.queue_length.labels(name, str(band)).set(count)
            if not depth.by_band:
                self.queue_length.labels(name, "5").set(0)
            age_ms = 0 if depth.oldest_queued_at is None else max(0, now_ms - depth.oldest_queued_at)
            self.oldest.labels(name).set(age_ms / 1000)

    def observe_limits(self, limits: Mapping[str, tuple[int | None, int | None]]) -> None:
        """Set how much of each model's (rpm, tpm) the last minute used; models that are gone disappear."""
        self.utilisation.clear()
        for model in self._minutes.keys() - limits.keys():
            del self._minutes[model]
        for model in self._said.keys() - limits.keys():
            del self._said[model]
        for model, (rpm, tpm) in limits.items():
            calls, tokens = self._minutes[model].sums(self._monotonic_s())
            if rpm:
                self.utilisation.labels(model, "rpm").set(calls / rpm)
            if tpm:
                self.utilisation.labels(model, "tpm").set(tokens / tpm)
            for limit, share in self._said[model].items():
                self.utilisation.labels(model, limit).set(share)

    def observe_endpoints(self, states: Mapping[tuple[str, str], str]) -> None:
        """Set each endpoint's state, by (model, endpoint); what is gone disappears."""
        self.endpoint_state.clear()
        for (model, endpoint), state in states.items():
            self.endpoint_state.labels(model, endpoint, state).set(1)

    def render(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry)

"""Endpoints: the ways to a model, how they are configured and how they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from llm_scheduler.api.fields import Body, Shown
from llm_scheduler.domain.model import Endpoint

if TYPE_CHECKING:
    from llm_scheduler.services.endpoints import Health

EndpointName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Weight = Annotated[float, Field(strict=True, gt=0, le=1_000_000)]
Workers = Annotated[int, Field(strict=True, ge=1, le=10_000)]
PerMinute = Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)]
StatusName = Literal["ok", "busy", "throttled", "open", "half_open", "drained", "unknown"]

_EXAMPLE = {"name": "eu", "config": {"base_url": "https://eu.example.test/v1", "api_key": "sk-…"}, "rpm": 600}


class EndpointBody(Body):
    """One way to reach a model: a key, a region, a host."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: EndpointName
    """Unique in the model: letters, digits and `._-`."""
    config: dict[str, Any] = Field(default_factory=dict[str, Any])
    """What stands over the model's config, key by key; secrets in it are sealed and come back masked."""
    weight: Weight = 1.0
    """Its share of the calls while several have room."""
    max_workers: Workers | None = None
    """Calls at once; null means no limit but the model's."""
    rpm: PerMinute | None = None
    """Requests per minute; null means no limit but the model's. So with the others."""
    tpm: PerMinute | None = None
    input_tpm: PerMinute | None = None
    output_tpm: PerMinute | None = None
    is_drained: bool = Field(default=False, strict=True)
    """Starts nothing more; what runs ends."""

    def endpoint(self) -> Endpoint:
        """The same as a value of the domain."""
        return Endpoint(**{name: getattr(self, name) for name in EndpointBody.model_fields})


class EndpointPatch(Body):
    """What to change of an endpoint; what is absent stays. `config` is merged: a key set to null goes."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"weight": 2.0, "rpm": 1200}]})

    config: dict[str, Any] | None = None
    weight: Weight | None = None
    max_workers: Workers | None = None
    rpm: PerMinute | None = None
    tpm: PerMinute | None = None
    input_tpm: PerMinute | None = None
    output_tpm: PerMinute | None = None
    is_drained: Annotated[bool, Field(strict=True)] | None = None

    @model_validator(mode="after")
    def _nulls_mean_something(self) -> EndpointPatch:
        for name in ("config", "weight", "is_drained"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{name} cannot be null; leave it out to keep it as it is.")
        return self


class EndpointConfigured(Shown):
    """An endpoint as it is configured. Secrets in `config` are masked; null for a shared model."""

    name: str
    config: dict[str, Any] | None
    weight: float
    max_workers: int | None
    rpm: int | None
    tpm: int | None
    input_tpm: int | None
    output_tpm: int | None
    is_drained: bool


class EndpointShown(EndpointConfigured):
    """An endpoint and how it is."""

    status: StatusName
    """`ok`; `busy` (a limit of its own is used up); `throttled` (the pause after a 429 or a refused key);
    `open` (too many failures: nothing starts); `half_open` (one call tries); `drained`; `unknown` (the index
    does not answer)."""
    running: int | None
    """Calls that run; null while unknown, as the next two."""
    calls: int | None
    """Calls that ended within the last 30 s."""
    failures: int | None
    """Those of them that failed by the provider's fault."""
    wait_ms: int | None
    """Until something may start again, where time alone decides."""


class EndpointList(Shown):
    """The ways to a model, in the order in which they were configured; none means its own config is the way."""

    items: list[EndpointShown]
    next_cursor: str | None


def endpoint_json(endpoint: Endpoint, config: dict[str, object] | None) -> dict[str, object]:
    """An endpoint for an answer; `config` is masked."""
    return {
        "name": endpoint.name,
        "config": config,
        "weight": endpoint.weight,
        "max_workers": endpoint.max_workers,
        "rpm": endpoint.rpm,
        "tpm": endpoint.tpm,
        "input_tpm": endpoint.input_tpm,
        "output_tpm": endpoint.output_tpm,
        "is_drained": endpoint.is_drained,
    }


def health_json(health: Health) -> dict[str, object]:
    """How an endpoint is, for an answer."""
    return {
        "status": health.status,
        "running": health.running,
        "calls": health.calls,
        "failures": health.failures,
        "wait_ms": health.wait_ms,
    }

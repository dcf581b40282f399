"""What is asked of a model over time: the requests that a simulation replays."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.domain.task import MEDIUM, PRIORITY_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CLASSES: Final = ("high", "medium", "low")
SLO_WAIT_S: Final[Mapping[str, float]] = {"high": 10.0, "medium": 60.0, "low": 600.0}
"""A call of this class should start within so long."""
_FIRST_MEDIUM: Final = 3
_FIRST_LOW: Final = 7


class Request(NamedTuple):
    """One call that came: when, how large, whose, how urgent.

    `at_s`: seconds from the beginning of the load. `service_s`: what the provider took; None = a formula says.
    `output_tokens` is what came out, which nobody knows beforehand. `deadline_s` counts from the arrival. `waited_s`
    is how long it really waited, where that is known.
    """

    at_s: float
    input_tokens: int
    output_tokens: int
    model: str = ""
    tenant: str = ""
    type: str = "chat"
    template: str = ""
    priority: int = MEDIUM
    service_s: float | None = None
    cost_microusd: int = 0
    deadline_s: float | None = None
    waited_s: float | None = None

    @property
    def tokens(self) -> int:
        """Prompt and answer together."""
        return self.input_tokens + self.output_tokens


class Load(NamedTuple):
    """Requests in the order of their arrival; `weights` are tenants' shares, 1 for those that are not named.

    `strategy` is the one that the server of such a history takes for models that name none.
    """

    requests: tuple[Request, ...]
    weights: Mapping[str, float] = MappingProxyType({})
    strategy: str | None = None

    @property
    def span_s(self) -> float:
        """From the beginning to the last arrival."""
        return self.requests[-1].at_s if self.requests else 0.0


def priority_class(priority: int) -> str:
    """`high` for 0 to 2, `medium` for 3 to 6, `low` for 7 to 9."""
    if priority < _FIRST_MEDIUM:
        return "high"
    return "medium" if priority < _FIRST_LOW else "low"


def priority_of(name: str) -> int:
    """The number behind `high`, `medium` or `low`."""
    return PRIORITY_NAMES[name]


def ordered(requests: Iterable[Request], weights: Mapping[str, float] | None = None) -> Load:
    """A load of these, by arrival; equal instants keep their order."""
    return Load(tuple(sorted(requests, key=lambda one: one.at_s)), weights or {})


def sped_up(load: Load, factor: float) -> Load:
    """The same requests, arriving `factor` times as fast."""
    return load._replace(requests=tuple(one._replace(at_s=one.at_s / factor) for one in load.requests))


def cut(load: Load, first_s: float, last_s: float) -> Load:
    """Those that arrive in [first_s, last_s), counted from `first_s` on."""
    kept = (one for one in load.requests if first_s <= one.at_s < last_s)
    return load._replace(requests=tuple(one._replace(at_s=one.at_s - first_s) for one in kept))


def of_model(load: Load, model: str) -> Load:
    """The requests for one model."""
    return load._replace(requests=tuple(one for one in load.requests if one.model == model))


def models_in(load: Load) -> list[str]:
    """Names of the models that are asked, by name."""
    return sorted({one.model for one in load.requests})

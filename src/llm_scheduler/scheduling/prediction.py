"""What a call will bring, from those before it: output tokens, seconds, and how wrong the plain estimate of inputs is.

A running mean for each of four scopes, one inside the other: the model; its calls with one template; those of them
from one tenant; those with about this length of input. A narrow scope knows better but has seen less, so its mean is
drawn towards that of the scope around it, as if that one had been seen `SHRINKAGE` times more. The factor of the input
estimate needs the first two only: how a text splits into tokens depends on its kind, not on whose it is.

Source: Bühlmann, "Experience Rating and Credibility" (1967): a mean of n samples has the weight n / (n + k).
Measured on request traces by `bench/prediction.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.ports.learned import Sums

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_scheduler.domain.ids import ModelId, TenantId

SHRINKAGE: Final = 8.0
"""k: so many samples of its own weigh as much as the scope around it."""
FIRST_OUTPUT_TOKENS: Final = 256.0
"""Of a model that nothing is known of."""
FIRST_FACTOR: Final = 1.3
"""Bytes divided by four are as low as 0.78 of the truth for JSON."""
LEAST_FACTOR: Final = 0.5
MOST_FACTOR: Final = 4.0
MOST_SCOPES: Final = 20_000
"""Held in memory, some 8 MB; the rest is on record."""


class Scopes(NamedTuple):
    """Names of the scopes that one call belongs to, from wide to narrow."""

    model: str
    template: str
    tenant: str
    """One tenant's calls with the template."""
    case: str
    """Those with about this length of input."""


class Prediction(NamedTuple):
    """What to expect of one call."""

    output_tokens: float = FIRST_OUTPUT_TOKENS
    service_ms: float | None = None
    """None: the model has not answered yet."""
    input_factor: float = FIRST_FACTOR
    """By which the plain estimate of the input is to be multiplied."""
    samples: float = 0.0
    """Calls behind it that were just like this one. They fade, so it need not be whole."""
    model_samples: float = 0.0
    """Calls of the whole model."""


NOTHING_KNOWN: Final = Prediction()


class Case(NamedTuple):
    """One of a tenant's kinds of calls to a model.

    Its inputs are of `least_tokens` to `2 * least_tokens - 1` tokens, by the plain estimate.
    """

    template: str
    least_tokens: int
    scopes: Scopes


def scopes_of(model_id: ModelId, tenant_id: TenantId, template: str, plain_tokens: int) -> Scopes:
    """Where a call belongs. `plain_tokens`: the plain estimate of its input, of which the power of two counts."""
    tenant = f"{model_id}/{tenant_id}/"
    return Scopes(
        str(model_id),
        f"{model_id}/*/{template}",
        f"{tenant}*/{template}",
        f"{tenant}{plain_tokens.bit_length()}/{template}",
    )


class Predictor:
    """Sums of the scopes used last, and what follows from them. Costs a few microseconds a call.

    Args:
        most: scopes that are kept; the least recently used goes first.
    """

    def __init__(self, most: int = MOST_SCOPES) -> None:
        self._most = most
        self._sums: OrderedDict[str, Sums] = OrderedDict()

    def __len__(self) -> int:
        """Scopes that are kept."""
        return len(self._sums)

    def predict(self, scopes: Scopes) -> Prediction:
        """What to expect of a call with these scopes."""
        whole = self._used(scopes.model)
        if whole is None:
            return NOTHING_KNOWN
        output = _drawn(whole.output_tokens, whole.samples, FIRST_OUTPUT_TOKENS)
        service = whole.service_ms / whole.samples
        factor = _factor(whole, FIRST_FACTOR)
        samples = 0.0
        for scope in scopes[1:]:
            known = self._used(scope)
            if known is None:
                samples = 0.0
                continue
            samples = known.samples
            output = _drawn(known.output_tokens, samples, output)
            service = _drawn(known.service_ms, samples, service)
            if scope is scopes.template:
                factor = _factor(known, factor)
        return Prediction(output, service, min(max(factor, LEAST_FACTOR), MOST_FACTOR), samples, whole.samples)

    def learn(self, scopes: Scopes, seen: Sums) -> None:
        """Add what was seen of a call (or of several) to all of its scopes."""
        for scope in scopes:
            known = self._sums.get(scope)
            self.put(scope, seen if known is None else known.plus(seen))

    def put(self, scope: str, sums: Sums) -> None:
        """Take over what is known of a scope, in place of what was."""
        if sums.samples <= 0:
            self._sums.pop(scope, None)
            return
        self._sums[scope] = sums
        self._sums.move_to_end(scope)
        if len(self._sums) > self._most:
            self._sums.popitem(last=False)

    def sums(self, scope: str) -> Sums | None:
        """What is known of a scope."""
        return self._sums.get(scope)

    def output_tokens(self, scope: str) -> float:
        """The mean output of a model's scope, drawn like that of predictions; 0 = nothing is known."""
        known = self._sums.get(scope)
        return 0.0 if known is None else _drawn(known.output_tokens, known.samples, FIRST_OUTPUT_TOKENS)

    def cases(self, model_id: ModelId, tenant_id: TenantId) -> Iterator[Case]:
        """A tenant's kinds of calls to a model, as far as they are in memory, in no order."""
        prefix = f"{model_id}/{tenant_id}/"
        for scope in self._sums:
            if scope.startswith(prefix):
                bits, _, template = scope.removeprefix(prefix).partition("/")
                if bits != "*":
                    least = 1 << int(bits) >> 1
                    yield Case(template, least, scopes_of(model_id, tenant_id, template, least))

    def _used(self, scope: str) -> Sums | None:
        known = self._sums.get(scope)
        if known is not None:
            self._sums.move_to_end(scope)
        return known


def _drawn(total: float, samples: float, around: float) -> float:
    """The mean of the samples, drawn towards that of the scope around them."""
    return (total + SHRINKAGE * around) / (samples + SHRINKAGE)


def _factor(known: Sums, around: float) -> float:
    """Used by estimated, drawn likewise. Of sums: a long input counts for more, as it does in what is reserved."""
    if known.input_estimate <= 0:
        return around
    return _drawn(known.samples * known.input_tokens / known.input_estimate, known.samples, around)

"""What is expected of a call before it runs: from the server's own predictor, or from someone who knows."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from llm_scheduler.ports.learned import Sums
from llm_scheduler.scheduling.durations import MOST_SAMPLE
from llm_scheduler.scheduling.prediction import Predictor, scopes_of
from llm_scheduler.simulation.setting import LANE, Estimate

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import ModelId, TenantId
    from llm_scheduler.scheduling.prediction import Scopes
    from llm_scheduler.simulation.load import Load, Request

CONSTANT_OUTPUT: Final = 256


class Expecting:
    """Output tokens of a call to come, and what the lane's calls are like on average."""

    def __init__(self, kind: Estimate, load: Load) -> None:
        self._kind = kind
        self._predictor = Predictor()
        self.lately_s: deque[float] = deque(maxlen=MOST_SAMPLE)
        """Seconds of the latest calls that are over."""
        count = max(1, len(load.requests))
        self._mean_output = sum(one.output_tokens for one in load.requests) / count
        self._mean_s = sum(one.service_s or 0.0 for one in load.requests) / count

    def output_tokens(self, request: Request, tenant_id: TenantId) -> int:
        """What the reservation counts with."""
        if self._kind is Estimate.ACTUAL:
            return request.output_tokens
        if self._kind is Estimate.CONSTANT:
            return CONSTANT_OUTPUT
        return round(self._predictor.predict(_scopes(request, tenant_id)).output_tokens)

    def learn(self, request: Request, tenant_id: TenantId) -> None:
        """A call has ended."""
        self.lately_s.append(request.service_s or 0.0)
        if self._kind is not Estimate.ACTUAL:
            seen = Sums(1.0, request.output_tokens, (request.service_s or 0.0) * 1000, 1.0, 1.0)
            self._predictor.learn(_scopes(request, tenant_id), seen)

    def mean_service_s(self, _lane: ModelId) -> float:
        """Expected seconds of one call, 0 while nothing is known: for `Catalogue.service_s`."""
        if self._kind is Estimate.ACTUAL:
            return self._mean_s
        known = self._predictor.sums(str(LANE))
        return 0.0 if known is None else known.service_ms / known.samples / 1000

    def mean_output(self, _lane: ModelId) -> float:
        """Expected output of such a call: for `Catalogue.output_tokens`."""
        if self._kind is Estimate.ACTUAL:
            return self._mean_output
        known = self._predictor.sums(str(LANE))
        return 0.0 if known is None else known.output_tokens / known.samples


def _scopes(request: Request, tenant_id: TenantId) -> Scopes:
    """Calls of one lane may go to several models: they count as templates of their own."""
    template = f"{request.model}:{request.template or request.type}"
    return scopes_of(LANE, tenant_id, template, request.input_tokens)

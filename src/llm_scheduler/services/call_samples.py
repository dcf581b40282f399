"""Calls that ended, and limits that were found, as bytes between processes.

Fields are fixed and in network order, behind the version of the format: what another release sends in another
format is let go, for the controller lives with fewer samples.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.ids import Millis, ModelId
from llm_scheduler.scheduling.concurrency import Outcome, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

_VERSION: Final = 1
_MOST: Final = 2**32 - 1
_NO_TTFT: Final = _MOST
_SAMPLE: Final = struct.Struct(">BQQIIIIB")
_LIMIT_VERSION: Final = 2
_LIMIT: Final = struct.Struct(">BQIQ")
# By place: new ones go to the end.
_OUTCOMES: Final = (Outcome.DONE, Outcome.REFUSED)
_CODES: Final = {outcome: code for code, outcome in enumerate(_OUTCOMES)}


def packed(model_id: ModelId, sample: Sample) -> bytes:
    """34 bytes."""
    return _SAMPLE.pack(
        _VERSION,
        model_id,
        sample.dispatched_at,
        _fitting(sample.latency_ms),
        _NO_TTFT if sample.ttft_ms is None else min(_MOST - 1, _fitting(sample.ttft_ms)),
        _fitting(sample.input_tokens),
        _fitting(sample.output_tokens),
        _CODES[sample.outcome],
    )


def unpacked(payload: bytes) -> Iterator[tuple[ModelId, Sample]]:
    """The calls of a message; nothing of what is not understood."""
    whole = len(payload) - len(payload) % _SAMPLE.size
    for version, model_id, at, latency_ms, ttft_ms, inputs, outputs, code in _SAMPLE.iter_unpack(payload[:whole]):
        if version == _VERSION and code < len(_OUTCOMES):
            first_ms = None if ttft_ms == _NO_TTFT else ttft_ms
            yield ModelId(model_id), Sample(Millis(at), latency_ms, first_ms, inputs, outputs, _OUTCOMES[code])


def packed_limit(model_id: ModelId, limit: int, since: int) -> bytes:
    """21 bytes. `since`: when it was decided."""
    return _LIMIT.pack(_LIMIT_VERSION, model_id, _fitting(limit), since)


def unpacked_limits(payload: bytes) -> Iterator[tuple[ModelId, int, int]]:
    """The limits of a message, and when each was decided."""
    whole = len(payload) - len(payload) % _LIMIT.size
    for version, model_id, limit, since in _LIMIT.iter_unpack(payload[:whole]):
        if version == _LIMIT_VERSION and limit > 0:
            yield ModelId(model_id), limit, since


def _fitting(value: int) -> int:
    return min(_MOST, max(0, value))

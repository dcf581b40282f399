"""What one task takes of its lane: the currency of virtual time, of predicted length and of backlogs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.ports.strategy import PlacementContext

_MINUTE_MS: Final = 60_000
MOST_MS: Final = float(1 << 42)
"""No task costs more (139 years), so that sums and orders stay whole numbers that a float holds."""


def exact_ms(task: WaitingTask, context: PlacementContext) -> float:
    """Milliseconds that the lane is busy with the task, by the limit that it strains most.

    The greatest of 60 / rpm, tokens / (tpm / 60) (of all, of input, of output) and service time / concurrency.
    A task's service time is the model's, in proportion to its expected output where both are known. With none
    of these known every token counts as one millisecond.

    Source: "bottleneck seconds"; Ghodsi et al., "Dominant Resource Fairness" (2011), for one kind of work.
    """
    # Unpacked and compared by hand: this runs for every task that is submitted.
    _, rpm, tpm, concurrency, service_s, _, _, _, input_tpm, output_tpm, typical = context
    tokens = task.est_tokens
    most = _MINUTE_MS / rpm if rpm else 0.0
    if tpm and (strain := tokens * _MINUTE_MS / tpm) > most:
        most = strain
    if input_tpm and (strain := (tokens - task.est_output) * _MINUTE_MS / input_tpm) > most:
        most = strain
    if output_tpm and (strain := task.est_output * _MINUTE_MS / output_tpm) > most:
        most = strain
    if service_s > 0 and concurrency > 0:
        own = task.est_output
        share = own / typical if typical > 0 and own > 0 else 1.0
        if (strain := service_s * 1000 * share / concurrency) > most:
            most = strain
    if not most and not (input_tpm or output_tpm or tpm):
        most = float(tokens)
    return most if most < MOST_MS else MOST_MS


def cost_ms(task: WaitingTask, context: PlacementContext) -> int:
    """The same in whole milliseconds, at least 1: sums of them do not drift."""
    cost = round(exact_ms(task, context))
    return cost if cost > 1 else 1

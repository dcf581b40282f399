"""The figures as a Markdown table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.faults.judge import Figures

HEADINGS = (
    "fault", "load", "seed", "accepted", "lost", "dup results", "dup calls ≤ bound", "stuck", "leaked",
    "over ≤ allowed", "silence s", "rescue s", "done s", "submit p50/p99/max ms", "refused", "failed", "verdict",
)  # fmt: skip


def head() -> str:
    """The first two lines."""
    return "| " + " | ".join(HEADINGS) + " |\n|" + "---|" * len(HEADINGS)


def line(one: Figures) -> str:
    """A row."""
    refused = ", ".join(f"{count}×{what}" for what, count in sorted(one.refused.items()))
    cells = (
        one.fault,
        one.load,
        one.seed,
        one.accepted,
        one.lost + one.unanswered,
        one.duplicate_tasks + one.duplicate_results + one.wrong_results,
        f"{one.duplicate_calls} ≤ {one.duplicate_bound}",
        one.stuck,
        f"{one.leaked}" + (f" (freed after {one.freed_s:.0f} s)" if one.freed_s > 2 else ""),
        f"{one.over} ≤ {one.over_allowed}" + (f", rate {one.over_rate}" if one.over_rate else ""),
        f"{one.silence_s:.1f}",
        f"{one.rescue_s:.1f}",
        f"{one.done_s:.1f}",
        f"{one.submit_p50_ms:.0f} / {one.submit_p99_ms:.0f} / {one.submit_max_ms:.0f}",
        refused or "–",
        one.failed,
        "ok" if not one.broken else "**" + ", ".join(one.broken) + "**",
    )
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def summary(cells: Sequence[Figures]) -> str:
    """Totals."""
    bad = sum(bool(one.broken) for one in cells)
    return (
        f"{len(cells)} cells, {sum(one.accepted for one in cells)} tasks accepted, "
        f"{sum(one.calls for one in cells)} calls: lost {sum(one.lost for one in cells)}, "
        f"duplicate results {sum(one.duplicate_results for one in cells)}, stuck {sum(one.stuck for one in cells)}, "
        f"leaked {sum(one.leaked for one in cells)}, cells with a broken bar {bad}"
    )

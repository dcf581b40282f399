"""The race table as cases: which rows each fail point stands for, in which journey it is met."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from tests.failpoints.trap import ACTIONS, Point


@dataclass(frozen=True)
class Case:
    """One failure in one journey.

    Attributes:
        rows: of the race table.
        journey: what the process does.
        point: where it fails.
        before: where processes before this one died; this one fails while it opens.
    """

    rows: tuple[str, ...]
    journey: str
    point: Point
    before: tuple[Point, ...] = ()
    settings: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        """Of the test."""
        after = "".join(f", after {point}" for point in self.before)
        return f"{'/'.join(self.rows)} {self.journey}: {self.point}{after}"

    def as_json(self, folder: str) -> dict[str, Any]:
        """As the program takes it."""
        phases: list[dict[str, Any]] = [{"point": point.as_json()} for point in self.before]
        phases.append({"point": self.point.as_json(), "is_at_open": bool(self.before)})
        phases.append({"point": None})
        return {
            "name": self.name,
            "folder": folder,
            "journey": self.journey,
            "phases": phases,
            "settings": self.settings,
        }


# journey, port, method, rows of dying before, of dying after, of losing the reply
_STEPS: Final = (
    ("plain", "store", "submit", "S1", "S2", "S2"),
    ("plain", "broker", "enqueue", "S3", "S4", "S4"),
    ("plain", "broker", "claim", "P1", "P1", "P1"),
    ("plain", "store", "start", "P1", "P3", "P2"),
    ("plain", "store", "record", "P5", "P7", "P6"),
    ("plain", "broker", "release", "P7", "P8", "P7"),
    ("slow", "store", "beat", "P4", "P4", "W1"),
    ("slow", "broker", "depths", "P4", "P4", "L4"),
    ("retry", "store", "record", "P5", "D1", "P6"),
    ("retry", "broker", "release", "D1", "D1", "D1"),
    ("retry", "store", "promote", "D1", "D2", "D2"),
    ("limited", "broker", "throttle", "P4", "P4", "P4"),
    ("limited", "store", "record", "P5", "P7", "P6"),
    ("limited", "broker", "release", "P7", "P8", "P7"),
    ("scheduled", "store", "submit", "S1", "S2", "S2"),
    ("scheduled", "store", "promote", "D1", "D2", "D2"),
    ("scheduled", "broker", "enqueue", "D2", "S4", "D2"),
    ("cancel_waiting", "store", "cancel", "C1", "C1", "C1"),
    ("cancel_waiting", "broker", "remove", "C1", "C1", "C1"),
    ("cancel_running", "store", "cancel", "C3", "C2", "C2"),
    ("cancel_running", "store", "record", "C2", "C3", "C3"),
    ("cancel_running", "broker", "release", "C3", "C3", "C3"),
    ("expire", "store", "expire", "D1", "D1", "D1"),
    ("expire", "broker", "remove", "D1", "D1", "D1"),
    ("requeue", "store", "requeue", "S1", "S3", "S2"),
    ("requeue", "store", "record", "P5", "P7", "P6"),
    ("priority", "store", "set_priority", "S1", "S3", "S2"),
    ("priority", "broker", "remove", "S3", "S3", "S3"),
    ("drain", "store", "record", "P5", "P7", "P6"),
    ("drain", "broker", "release", "P7", "P8", "P7"),
    ("drain", "store", "close_session", "R1", "P8", "P8"),
)
# What a process does while it opens: rescue what others left, and build the index.
_OPENING: Final = (
    ("store", "bury", "R1", "R1", "R1"),
    ("store", "rescue", "R1", "R2", "R2"),
    ("broker", "slots", "R2", "R2", "R2"),
    ("broker", "release", "R2", "R2", "R2"),
    ("broker", "enqueue", "R2", "R2", "R2"),
    ("store", "open_session", "W3", "W3", "W3"),
    ("store", "running", "L1", "L1", "L1"),
    ("broker", "reconcile", "L1", "L1", "L1"),
    ("store", "recent_starts", "L1", "L1", "L1"),
    ("broker", "remember", "L1", "L1", "L1"),
    ("store", "waiting_page", "L1", "L1", "L1"),
    ("broker", "finish_rebuild", "L1", "L1", "L1"),
)
_DEATHS: Final = ("die before", "die after")
_FALLEN: Final = (Point("store", "record", "die before"),)
_ROW_OF: Final = {"die before": 0, "refuse": 0, "late": 0, "die after": 1, "lose reply": 2}


def _stepped() -> list[Case]:
    cases = [
        Case((rows[_ROW_OF[action]],), journey, Point(port, method, action))
        for journey, port, method, *rows in _STEPS
        for action in ACTIONS
    ]
    # Not only the first call: one in the middle of the work, when others are on their way.
    cases += [
        Case((rows[_ROW_OF[action]],), journey, Point(port, method, action, nth=3))
        for journey, port, method, *rows in _STEPS
        if (journey, method) in (("plain", "start"), ("plain", "record"), ("plain", "release"), ("plain", "enqueue"))
        for action in ACTIONS
    ]
    return cases


def _opening() -> list[Case]:
    """The first process died with calls under way; the second dies while it takes over."""
    cases = [
        Case((rows[_ROW_OF[action]],), "slow", Point(port, method, action), _FALLEN)
        for port, method, *rows in _OPENING
        for action in _DEATHS
    ]
    failed = (Point("store", "record", "die after"),)
    cases += [
        Case((rows[_ROW_OF[action]],), "retry", Point(port, method, action), failed)
        for port, method, *rows in _OPENING
        if method in ("bury", "running", "waiting_page", "finish_rebuild")
        for action in _DEATHS
    ]
    return cases


def _outages() -> list[Case]:
    """The record or the index is away for a while, or so late that the session is doubted."""
    return [
        Case(("L5",), "slow", Point("store", "record", "away", seconds=1.5)),
        Case(("L5",), "slow", Point("store", "start", "away", seconds=1.5)),
        Case(("L5", "W1"), "slow", Point("store", "beat", "away", seconds=4.5)),
        Case(("S5",), "plain", Point("broker", "enqueue", "away", seconds=1.5)),
        Case(("S5",), "plain", Point("broker", "enqueue", "refuse", times=4)),
        Case(("L4",), "slow", Point("broker", "claim", "away", seconds=1.5)),
        Case(("L4",), "slow", Point("broker", "release", "away", seconds=1.5)),
        Case(("W1", "W2"), "retry", Point("store", "record", "late", seconds=4.0)),
        Case(("W1", "R4"), "slow", Point("store", "record", "late", seconds=4.0)),
        Case(("W1",), "slow", Point("store", "beat", "late", seconds=5.0)),
        Case(("W1",), "slow", Point("store", "beat", "refuse", times=5)),
        Case(("W3",), "slow", Point("store", "start", "late", seconds=4.0)),
        Case(("P1",), "slow", Point("broker", "claim", "late", seconds=1.6)),
        Case(("R3", "R4"), "slow", Point("store", "rescue", "late", seconds=1.5), _FALLEN),
        Case(("C3",), "cancel_running", Point("store", "record", "late", seconds=1.0)),
        Case(("C1",), "cancel_waiting", Point("store", "cancel", "late", seconds=1.0)),
        Case(("D2",), "retry", Point("store", "promote", "late", seconds=1.0)),
        Case(("P7",), "plain", Point("broker", "release", "late", seconds=2.0)),
        Case(("P6",), "plain", Point("store", "record", "lose reply", times=3)),
        Case(("P2",), "plain", Point("store", "start", "lose reply", times=2)),
        Case(("S2",), "plain", Point("store", "submit", "lose reply", times=2)),
    ]


_LOST_AT: Final = (
    ("plain", "store", "submit"),
    ("plain", "broker", "enqueue"),
    ("slow", "broker", "claim"),
    ("slow", "store", "start"),
    ("slow", "store", "record"),
    ("slow", "broker", "release"),
    ("retry", "store", "record"),
    ("retry", "store", "promote"),
    ("limited", "broker", "throttle"),
    ("cancel_running", "store", "cancel"),
    ("drain", "store", "record"),
)


def _losses() -> list[Case]:
    """The index is emptied, or goes back to what it was, in the middle of each step."""
    return [
        Case(rows, journey, Point(port, method, action, nth=nth))
        for action, rows in (("wipe", ("L1", "L3")), ("rewind", ("L2",)))
        for journey, port, method in _LOST_AT
        for nth in ((1, 2) if journey == "slow" else (1,))
    ]


def _takeovers() -> list[Case]:
    """The process that takes over from a dead one dies as well; a third one does the rest."""
    return [
        Case((rows[_ROW_OF[action]],), "slow", Point(port, method, action), _FALLEN)
        for port, method, *rows in _OPENING[:5]
        for action in _DEATHS
        if method != "enqueue" or action == "die before"
    ]


def shared_cases() -> list[Case]:
    """Those of two processes over one record and one index."""
    return list(dict.fromkeys([*_stepped(), *_losses(), *_takeovers(), *_outages()]))


def cases() -> list[Case]:
    """All of one process, each once."""
    return list(dict.fromkeys([*_stepped(), *_opening(), *_outages()]))

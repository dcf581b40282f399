"""Secret keys: which there are, and how far sealing anew is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from llm_scheduler.api.answers import stamp
from llm_scheduler.api.fields import Shown

if TYPE_CHECKING:
    from llm_scheduler.services.rotation import RotationProgress, SecretsState


class SecretKeyShown(Shown):
    """A key by its id, which tells nothing of it."""

    key_id: str
    state: Literal["in_force", "old", "missing"]
    """`in_force` seals; `old` only opens; with `missing` stored secrets need a key that this process has not."""
    secrets: int
    """Stored secrets that it has sealed."""


class SecretsShown(Shown):
    """The keys of the process that answers, and what they have sealed."""

    keys: list[SecretKeyShown]


class RotationShown(Shown):
    """How far sealing anew is."""

    key_id: str
    """The key that everything is sealed with afterwards."""
    status: Literal["running", "completed", "failed"]
    total: int
    """Secrets that were to be sealed anew."""
    done: int
    unreadable: int
    """Secrets that no key opens: enter them again."""
    error: str | None
    started_at: str
    updated_at: str


class RotationAnswer(Shown):
    """The last rotation; null if there never was one."""

    rotation: RotationShown | None


def secrets_json(state: SecretsState) -> dict[str, object]:
    """Keys for an answer: the one in force, then old ones, then those that are not there."""
    known = [state.key_id, *state.old_key_ids]
    missing = sorted(state.counts.keys() - set(known))
    states = ["in_force", *["old"] * len(state.old_key_ids), *["missing"] * len(missing)]
    keys = [
        {"key_id": key_id, "state": kind, "secrets": state.counts.get(key_id, 0)}
        for key_id, kind in zip([*known, *missing], states, strict=True)
    ]
    return {"keys": keys}


def rotation_json(progress: RotationProgress) -> dict[str, object]:
    """A rotation for an answer."""
    return {
        "key_id": progress.key_id,
        "status": progress.status,
        "total": progress.total,
        "done": progress.done,
        "unreadable": progress.unreadable,
        "error": progress.error,
        "started_at": stamp(progress.started_at),
        "updated_at": stamp(progress.updated_at),
    }

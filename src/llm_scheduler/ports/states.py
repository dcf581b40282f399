"""What controllers have learned: small texts by name, each changed only by who knows its version."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import ModelId


class State(NamedTuple):
    """What is kept under a name. `version` counts its changes, from 1."""

    version: int
    data: str


class States(Protocol):
    """Several processes may write one state; none overwrites what it has not seen."""

    async def state(self, name: str) -> State | None:
        """What is kept; None if nothing ever was. `name` has at most 191 characters."""
        ...

    async def save_state(self, name: str, data: str, expected_version: int) -> bool:
        """Keep this if the version is the one that was read (0 = there was none); it is one more then.

        False: somebody else wrote meanwhile, and theirs stands. Idempotent: saying it twice in a row is True twice.
        """
        ...

    async def set_max_workers(self, model_id: ModelId, version: int, max_workers: int) -> None:
        """Note the limit that was found for a model of this version in its row; that is no change of the model."""
        ...

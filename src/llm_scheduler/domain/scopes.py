"""What an API key may do: permissions by name, or bundles of them. Never more than its maker may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.domain.access import Permission as P  # noqa: N817 - once a line in the table
from llm_scheduler.domain.access_errors import ForbiddenError
from llm_scheduler.domain.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llm_scheduler.domain.access import Permission


class Bundle(NamedTuple):
    """`core` is what it is asked for, and must be held; of the rest it gives what is held."""

    core: Permission
    rest: frozenset[Permission]


_READ: Final = frozenset(
    {P.PAYLOADS_READ, P.MODELS_READ, P.STATS_READ, P.WORKERS_READ, P.BUDGETS_READ, P.PRICES_READ, P.TENANT_READ}
)
ALL: Final = "all"
BUNDLES: Final[Mapping[str, Bundle]] = {
    "read": Bundle(P.TASKS_READ, _READ),
    "submit": Bundle(P.TASKS_SUBMIT, frozenset({P.TASKS_READ, P.PAYLOADS_READ, P.MODELS_READ})),
    "manage": Bundle(
        P.TASKS_MANAGE, _READ | {P.TASKS_READ, P.TASKS_SUBMIT, P.MODELS_MANAGE, P.BUDGETS_MANAGE, P.PRICES_MANAGE}
    ),
}
SCOPES: Final = (ALL, *BUNDLES, *(one.value for one in P if one is not P.SELF))
"""Every name that is taken."""


def expanded(names: Sequence[str], held: frozenset[Permission]) -> frozenset[Permission]:
    """The permissions that these scopes give to someone who holds `held`.

    `all` is what is held now, and does not grow later. `self` is in no scope: every key may look at itself.

    Raises:
        InvalidInputError: none, or an unknown name.
        ForbiddenError: one that is not held.
    """
    if not names:
        raise InvalidInputError(f"Give at least one scope: {', '.join((ALL, *BUNDLES))}.", "scopes")
    found: set[Permission] = set()
    for name in names:
        if name not in SCOPES:
            said = (
                f"'{name[:60]}' is no scope. Bundles: {', '.join((ALL, *BUNDLES))}; or permissions such as tasks:read."
            )
            raise InvalidInputError(said, "scopes")
        if name == ALL:
            found |= held
            continue
        bundle = BUNDLES.get(name)
        core = bundle.core if bundle is not None else P(name)
        if core not in held:
            raise ForbiddenError(f"The scope '{name}' goes beyond what you and the key's user may do here ({core}).")
        found.add(core)
        if bundle is not None:
            found |= bundle.rest & held
    return frozenset(found) - {P.SELF}


def exceeding(asked: Iterable[Permission], held: frozenset[Permission]) -> list[Permission]:
    """Those that are not held, by name."""
    return sorted(set(asked) - held - {P.SELF})

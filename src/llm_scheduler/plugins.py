"""Strategies, task types and providers that other installed packages bring along, found by their entry points.

Nothing of a package is imported before `load` is called. See docs/plugins.md.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.domain.placement import ShareRule
from llm_scheduler.ports.strategy import NO_OPTIONS, Option

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from importlib.metadata import EntryPoint

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,49}")
_LONGEST_PROBLEM: Final = 500


class Kind(StrEnum):
    """What a plugin adds."""

    STRATEGY = "strategy"
    TASK_TYPE = "task_type"
    PROVIDER = "provider"


GROUPS: Final[Mapping[Kind, str]] = {
    Kind.STRATEGY: "llm_scheduler.strategies",
    Kind.TASK_TYPE: "llm_scheduler.task_types",
    Kind.PROVIDER: "llm_scheduler.providers",
}
"""Entry point groups."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry point. `value` is what it gave, None when it cannot be used; then `problem` says why.

    `is_refused`: it was not even imported.
    """

    kind: Kind
    name: str
    target: str
    package: str | None
    version: str | None
    value: Any = None
    problem: str | None = None
    is_refused: bool = False

    @property
    def label(self) -> str:
        """One word for logs and metrics."""
        return f"{self.kind}:{self.name}"


class _UnfitError(Exception):
    """What an entry point gave does not keep to the contract."""


def names(kind: Kind) -> frozenset[str]:
    """What installed packages offer, imported or not."""
    return frozenset(entry.name for entry in _entries(kind))


def load(built_in: Mapping[Kind, Collection[str]]) -> list[Plugin]:
    """Import everything that installed packages offer, by kind and name. One that fails is told, not raised.

    Args:
        built_in: names that no plugin may take.
    """
    loaded: list[Plugin] = []
    for kind in Kind:
        taken = dict.fromkeys(built_in.get(kind, ()), "is built in")
        for entry in _entries(kind):
            loaded.append(_loaded(kind, entry, taken.get(entry.name)))
            dist = entry.dist
            taken.setdefault(entry.name, f"comes from {dist.name if dist else 'another package'}")
    return loaded


def _entries(kind: Kind) -> list[EntryPoint]:
    """By name, then package; a package that stands twice on the path counts once."""
    from importlib.metadata import entry_points

    found = {
        (entry.name, entry.dist.name if entry.dist else "", entry.value): entry
        for entry in entry_points(group=GROUPS[kind])
    }
    return [found[key] for key in sorted(found)]


def _loaded(kind: Kind, entry: EntryPoint, taken: str | None) -> Plugin:
    package, version = (entry.dist.name, entry.dist.version) if entry.dist else (None, None)
    known = (kind, entry.name, entry.value, package, version)
    if taken is not None:
        return Plugin(*known, problem=f"The name is taken: '{entry.name}' {taken}.", is_refused=True)
    if not _NAME.fullmatch(entry.name):
        wanted = "lower case letters, digits, - and _, a letter first, at most 50"
        return Plugin(*known, problem=f"A plugin's name has {wanted}.", is_refused=True)
    try:
        return Plugin(*known, value=_fit(kind, entry.name, entry.load()))
    # A package may do anything while it is imported, also end the process; the server starts all the same.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        why = str(error) if isinstance(error, _UnfitError) else f"{type(error).__name__}: {error}"
        return Plugin(*known, problem=why[:_LONGEST_PROBLEM])


def _fit(kind: Kind, name: str, found: Any) -> Any:
    """What the entry point gave (a class is called), if it keeps to the contract as far as can be seen.

    Raises:
        _UnfitError: it does not.
    """
    value = found() if inspect.isclass(found) else found
    if getattr(value, "name", None) != name:
        raise _UnfitError(f"Its attribute 'name' is {getattr(value, 'name', None)!r}, its entry point '{name}'.")
    problem = problem_of(kind, value)
    if problem is not None:
        raise _UnfitError(problem)
    return value


def problem_of(kind: Kind, value: object) -> str | None:
    """What can be seen to be wrong with it without asking it anything; None = nothing."""
    return next(_CHECKS[kind](value), None)


def _lacks(value: Any, *methods: str) -> Iterator[str]:
    for method in methods:
        found = getattr(value, method, None)
        if not callable(found):
            yield f"It has no method '{method}'."
        elif inspect.iscoroutinefunction(found):
            yield f"Its method '{method}' must not be async."


def _strategy(value: Any) -> Iterator[str]:
    yield from _lacks(value, "place")
    if not isinstance(getattr(value, "share_rule", None), ShareRule):
        yield "Its attribute 'share_rule' is not a ShareRule."
    options = getattr(value, "options", NO_OPTIONS)
    try:
        bounds = [Option(*option) for option in dict(options).values()]
    except (TypeError, ValueError):
        bounds = None
    if bounds is None or not all(option.least <= option.default <= option.most for option in bounds):
        yield "Its attribute 'options' does not map names to Option(default, least, most)."


def _task_type(value: Any) -> Iterator[str]:
    yield from _lacks(value, "check", "estimate", "to_call", "finish")


def _provider(value: Any) -> Iterator[str]:
    yield from _lacks(value, "check", "open")
    for name in ("task_types", "secret_fields"):
        if not isinstance(getattr(value, name, None), frozenset):
            yield f"Its attribute '{name}' is not a frozenset."


_CHECKS: Final[Mapping[Kind, Callable[[Any], Iterator[str]]]] = {
    Kind.STRATEGY: _strategy,
    Kind.TASK_TYPE: _task_type,
    Kind.PROVIDER: _provider,
}

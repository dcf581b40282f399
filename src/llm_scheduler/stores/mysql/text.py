"""Values as SQL text. The driver's own placeholders are not used: filling a large INSERT takes it five times as long.

Only whole values of a few types are taken, nothing that is built of others. The text is right for
utf8mb4 and a session without NO_BACKSLASH_ESCAPES, which `connection` sees to.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_TOKEN: Final = re.compile(r"""('(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`)|(\?|\{ids\}|\{cases\})""", re.DOTALL)


def _text(value: str) -> str:
    if "\\" in value:
        value = value.replace("\\", "\\\\")
    if "'" in value:
        value = value.replace("'", "''")
    return f"'{value}'"


def _float(value: float) -> str:
    if not math.isfinite(value):
        raise OverflowError("not a finite number")
    return repr(value)


_LITERALS: Final[Mapping[type, Callable[[Any], str]]] = {
    int: int.__repr__,
    str: _text,
    float: _float,
    bool: lambda value: "1" if value else "0",
    type(None): lambda _: "NULL",
}


def literal(value: Any) -> str:
    """A value as SQL text.

    Raises:
        OverflowError: infinite, or not a number.
        TypeError: of a type that a column cannot hold.
    """
    return _LITERALS.get(type(value), _other)(value)


def _other(value: Any) -> str:
    """Enumerations are texts or numbers too."""
    if isinstance(value, str):
        return _text(str.__str__(value))
    if isinstance(value, int):
        return int.__repr__(value)
    raise TypeError(f"{type(value).__name__} cannot be a value in SQL")


@lru_cache(maxsize=1024)
def _parsed(statement: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What stands between the places, and the places: `?`, `{ids}`, `{cases}`, but none inside quotes."""
    between: list[str] = []
    places: list[str] = []
    start = 0
    for token in _TOKEN.finditer(statement):
        if token.group(2) is not None:
            between.append(statement[start : token.start()])
            places.append(token.group(2))
            start = token.end()
    between.append(statement[start:])
    return tuple(between), tuple(places)


def filled(statement: str, params: Sequence[Any]) -> str:
    """The statement with a literal for each `?`.

    Raises:
        ValueError: more or fewer values than places.
    """
    between, places = _parsed(statement)
    if len(places) != len(params):
        raise ValueError(f"{len(params)} values for {len(places)} places")
    if not places:
        return statement
    pieces: list[str] = [""] * (2 * len(places) + 1)
    pieces[::2] = between
    pieces[1::2] = [_LITERALS.get(type(value), _other)(value) for value in params]
    return "".join(pieces)


def filled_list(
    template: str,
    ids: Sequence[int],
    before: Sequence[Any],
    after: Sequence[Any],
    cases: Sequence[Sequence[Any]] = (),
) -> str:
    """A template with `{ids}`; `cases` has a row of values for each id, one for each `{cases}`."""
    between, places = _parsed(template)
    values = iter([*before, *after])
    arm = 0
    pieces = [between[0]]
    for place, following in zip(places, between[1:], strict=True):
        if place == "{ids}":
            pieces.append(",".join([int.__repr__(one) for one in ids]))
        elif place == "{cases}":
            pieces.append(_arms(ids, [row[arm] for row in cases]))
            arm += 1
        else:
            pieces.append(literal(next(values)))
        pieces.append(following)
    return "".join(pieces)


def _arms(ids: Sequence[int], values: Sequence[Any]) -> str:
    return " ".join([f"WHEN {one} THEN {literal(value)}" for one, value in zip(ids, values, strict=True)])


def row(values: Iterable[Any]) -> str:
    """One row of an INSERT."""
    return f"({','.join([_LITERALS.get(type(value), _other)(value) for value in values])})"

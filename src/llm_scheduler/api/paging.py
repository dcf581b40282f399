"""Pages of lists that are held in memory, by a name that orders them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import Field, StringConstraints

from llm_scheduler.api.fields import Body
from llm_scheduler.domain.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


class PageQuery(Body):
    """Which page."""

    limit: Annotated[int, Field(ge=1, le=500)] = 50
    """Items on one page."""
    cursor: Annotated[str, StringConstraints(min_length=1, max_length=600)] | None = None
    """`next_cursor` of the page before."""


def page(items: Iterable[T], name_of: Callable[[T], str], query: PageQuery) -> tuple[list[T], str | None]:
    """The page's items, which are ordered by their names, and the next cursor.

    Raises:
        InvalidInputError: the cursor is not one of ours.
    """
    after = "" if query.cursor is None else _opened(query.cursor)
    found = [item for item in items if name_of(item) > after][: query.limit + 1]
    if len(found) <= query.limit:
        return found, None
    return found[:-1], base64.urlsafe_b64encode(name_of(found[-2]).encode()).decode()


def _opened(cursor: str) -> str:
    try:
        return base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise InvalidInputError("The cursor is not one that a list gave.", "cursor") from error

"""The one filter grammar as SQLAlchemy expressions, and the keyset cursor.

No index serves every filter. A list is therefore put together from *arms*: one short query for each
value of the index columns that the filter leaves open (tenants, statuses, models, types), each read in
order from an index and cut to the page, joined by UNION ALL and sorted once more.
"""

from __future__ import annotations

import base64
import binascii
from itertools import product
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import Text, and_, exists, func, or_, select, union_all
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.status import Status
from llm_scheduler.stores.rows import CACHE_COLUMNS, RESULT_COLUMNS, TASK_COLUMNS
from llm_scheduler.stores.tables import RESULTS, TASK_CACHE, TASK_METADATA, TASKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import ColumnElement, Select, SelectBase, Table
    from sqlalchemy.sql.compiler import SQLCompiler

    from llm_scheduler.ports.store import TaskFilter

MOST_ARMS: Final = 400
"""SQLite joins at most 500 queries."""
SEARCHED_ROWS: Final = 20_000
ALL_STATUSES: Final = tuple(Status)
PRIORITIES: Final = tuple(range(10))


class _CaseFolded(FunctionElement[str]):
    """A text in which LIKE does not tell capitals. SQLite's never does; MySQL goes by the collation."""

    inherit_cache = True
    type = Text()


@compiles(_CaseFolded)
def _as_it_is(element: _CaseFolded, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(_CaseFolded, "mysql")
def _collated(element: _CaseFolded, compiler: SQLCompiler, **options: Any) -> str:
    return f"{compiler.process(element.clauses, **options)} COLLATE utf8mb4_general_ci"


class Cursor(NamedTuple):
    """The last row of the page before."""

    created_at: int
    id: int


class Known(NamedTuple):
    """The values that open columns can have."""

    tenants: tuple[int, ...]
    models: tuple[int, ...]
    types: tuple[str, ...]


class PageOrder(NamedTuple):
    """Which rows of the sorted list are wanted."""

    limit: int
    after: Cursor | None
    is_ascending: bool


def packed_cursor(created_at: int, task_id: int) -> str:
    """An opaque text for `Cursor`."""
    return base64.urlsafe_b64encode(f"{created_at}.{task_id}".encode()).decode().rstrip("=")


def unpacked_cursor(text: str | None) -> Cursor | None:
    """What `packed_cursor` wrote.

    Raises:
        InvalidInputError: it did not.
    """
    if text is None:
        return None
    try:
        created_at, task_id = base64.b64decode(
            text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True
        ).split(b".")
        cursor = Cursor(int(created_at), int(task_id))
    except (ValueError, binascii.Error) as error:
        raise InvalidInputError("The cursor is not one that a list gave.", "cursor") from error
    if not (0 <= cursor.created_at < 2**63 and 0 <= cursor.id < 2**63):
        raise InvalidInputError("The cursor is not one that a list gave.", "cursor")
    return cursor


def page(where: TaskFilter, order: PageOrder, known: Known) -> SelectBase:
    """Tasks with their results, columns `TASK_COLUMNS`, `RESULT_COLUMNS` and `CACHE_COLUMNS`, in order."""
    found = _search(where, order, known) if where.q else _keys(where, order, known)
    chosen = found.subquery("chosen")
    wanted = ((TASKS, TASK_COLUMNS), (RESULTS, RESULT_COLUMNS), (TASK_CACHE, CACHE_COLUMNS))
    columns = [table.c[name] for table, names in wanted for name in names]
    joined = chosen.join(TASKS, TASKS.c.id == chosen.c.id)
    for table in (RESULTS, TASK_CACHE):
        joined = joined.outerjoin(table, table.c.task_id == chosen.c.id)
    return (
        select(*columns)
        .select_from(joined)
        .order_by(*_sorted(chosen.c.created_at, chosen.c.id, order.is_ascending))
        .limit(order.limit)
    )


def _search(where: TaskFilter, order: PageOrder, known: Known) -> SelectBase:
    """Among the newest rows that match the other filters, those with the text."""
    newest = _keys(where, PageOrder(SEARCHED_ROWS, None, is_ascending=False), known).subquery("newest")
    text = where.q or ""
    sought: list[ColumnElement[bool]] = [
        _CaseFolded(TASKS.c[name]).contains(text, autoescape=True) for name in ("error_message", "input", "output")
    ]
    if text.isascii() and text.isdigit() and int(text) < 2**63:
        sought.append(TASKS.c.id == int(text))
    found = (
        select(newest.c.created_at, newest.c.id)
        .select_from(newest.join(TASKS, TASKS.c.id == newest.c.id))
        .where(or_(*sought))
    )
    if order.after is not None:
        found = found.where(_beyond(newest.c.created_at, newest.c.id, order.after, order.is_ascending))
    return found.order_by(*_sorted(newest.c.created_at, newest.c.id, order.is_ascending)).limit(order.limit)


def _keys(where: TaskFilter, order: PageOrder, known: Known) -> SelectBase:
    """`created_at` and `id` of the page's rows."""
    arms = [_arm(table, wanted, order) for table, wanted in _arms(where, known)]
    if len(arms) == 1:
        return arms[0]
    rows = union_all(*(select(arm.subquery()) for arm in arms)).subquery("arms")
    return (
        select(rows.c.created_at, rows.c.id)
        .order_by(*_sorted(rows.c.created_at, rows.c.id, order.is_ascending))
        .limit(order.limit)
    )


def _arm(table: Table, wanted: Sequence[ColumnElement[bool]], order: PageOrder) -> Select[Any, Any]:
    created_at = table.c.created_at
    task_id = table.c.id if table is TASKS else table.c.task_id
    arm = select(created_at, task_id.label("id")).where(*wanted)
    if order.after is not None:
        arm = arm.where(_beyond(created_at, task_id, order.after, order.is_ascending))
    return arm.order_by(*_sorted(created_at, task_id, order.is_ascending)).limit(order.limit)


def _arms(where: TaskFilter, known: Known) -> list[tuple[Table, list[ColumnElement[bool]]]]:
    tenants = known.tenants if where.tenant_id is None else (where.tenant_id,)
    rest = conditions(where)
    if where.ids:
        return [(TASKS, rest)]
    if where.metadata:
        key, value = next(iter(where.metadata.items()))
        return [
            (TASK_METADATA, [*_is(TASK_METADATA, tenant_id=tenant, key=key, value=value), _of_task(rest)])
            for tenant in tenants
        ]
    if where.statuses or where.model_id is not None:
        models = known.models if where.model_id is None else (where.model_id,)
        cells: Iterable[dict[str, object]] = (
            {"tenant_id": tenant, "status": status.value, "model_id": model}
            for tenant, status, model in product(tenants, where.statuses or ALL_STATUSES, models)
        )
    elif where.type is not None or where.priority is not None:
        types = known.types if where.type is None else (where.type,)
        priorities = PRIORITIES if where.priority is None else (where.priority,)
        cells = (
            {"tenant_id": tenant, "type": kind, "priority": priority}
            for tenant, kind, priority in product(tenants, types, priorities)
        )
    else:
        cells = ({"tenant_id": tenant} for tenant in tenants)
    arms: list[tuple[Table, list[ColumnElement[bool]]]] = [(TASKS, [*_is(TASKS, **cell), *rest]) for cell in cells]
    return arms if 0 < len(arms) <= MOST_ARMS else [(TASKS, rest)]


def _is(table: Table, **values: object) -> list[ColumnElement[bool]]:
    return [table.c[name] == value for name, value in values.items()]


def _of_task(rest: list[ColumnElement[bool]]) -> ColumnElement[bool]:
    return exists().where(TASKS.c.id == TASK_METADATA.c.task_id, *rest)


def conditions(where: TaskFilter) -> list[ColumnElement[bool]]:
    """Everything but `q`, as conditions on `tasks`."""
    wanted: list[ColumnElement[bool]] = []
    for name in ("tenant_id", "model_id", "type", "priority"):
        value = getattr(where, name)
        if value is not None:
            wanted.append(TASKS.c[name] == value)
    if where.statuses:
        wanted.append(TASKS.c.status.in_([status.value for status in where.statuses]))
    if where.created_after is not None:
        wanted.append(TASKS.c.created_at >= where.created_after)
    if where.created_before is not None:
        wanted.append(TASKS.c.created_at < where.created_before)
    if where.ids:
        wanted.append(TASKS.c.id.in_(where.ids))
    for key, value in where.metadata.items():
        pairs = TASK_METADATA.alias()
        wanted.append(
            exists().where(
                pairs.c.tenant_id == TASKS.c.tenant_id,
                pairs.c.key == key,
                pairs.c.value == value,
                pairs.c.created_at == TASKS.c.created_at,
                pairs.c.task_id == TASKS.c.id,
            )
        )
    return wanted


def counts(where: TaskFilter, known: Known) -> SelectBase:
    """Columns `status` and `tasks`."""
    if where.q:
        found = _search(where, PageOrder(SEARCHED_ROWS, None, is_ascending=False), known).subquery("found")
        source = select(TASKS.c.status, func.count().label("tasks")).where(TASKS.c.id == found.c.id)
    else:
        source = _counted(where, known).where(*conditions(where))
    return source.group_by(TASKS.c.status)


def _counted(where: TaskFilter, known: Known) -> Select[Any, Any]:
    """Begins where an index does: every one of ours begins with the tenant."""
    found = select(TASKS.c.status, func.count().label("tasks"))
    if where.tenant_id is None and where.model_id is not None:
        found = found.where(TASKS.c.tenant_id.in_(known.tenants))
    if where.metadata:
        key, value = next(iter(where.metadata.items()))
        tenants = known.tenants if where.tenant_id is None else (where.tenant_id,)
        found = found.select_from(TASK_METADATA.join(TASKS, TASKS.c.id == TASK_METADATA.c.task_id))
        found = found.where(TASK_METADATA.c.tenant_id.in_(tenants), *_is(TASK_METADATA, key=key, value=value))
    return found


def _sorted(created_at: Any, task_id: Any, is_ascending: bool) -> tuple[Any, Any]:
    return (created_at.asc(), task_id.asc()) if is_ascending else (created_at.desc(), task_id.desc())


def _beyond(created_at: Any, task_id: Any, after: Cursor, is_ascending: bool) -> ColumnElement[bool]:
    """Stands after the cursor. The first condition repeats what the second implies: it bounds the index."""
    if is_ascending:
        return and_(created_at >= after.created_at, or_(created_at > after.created_at, task_id > after.id))
    return and_(created_at <= after.created_at, or_(created_at < after.created_at, task_id < after.id))

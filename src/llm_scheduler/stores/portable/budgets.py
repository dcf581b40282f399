"""Budgets and prices as rows; and the walk that lets held tasks go on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llm_scheduler.domain.budget import PriceRow, percent_told, period_start
from llm_scheduler.domain.errors import BudgetNameTakenError
from llm_scheduler.domain.ids import Millis, TaskId, TenantId
from llm_scheduler.domain.money import Rates
from llm_scheduler.ports.money import Released
from llm_scheduler.stores import lines, statements
from llm_scheduler.stores import money_statements as texts
from llm_scheduler.stores.portable.money import Purse, budgets_of, held_purses
from llm_scheduler.stores.rows import ACTION_COLUMNS, WAITING_COLUMNS, waiting_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.domain.budget import Budget
    from llm_scheduler.ports.money import Place
    from llm_scheduler.stores.portable.access import Row, Transaction

_IDS = "models"
"""Budgets and prices take their ids from the same block as models: few rows, and no block of their own."""
_CHANGEABLE = ("name", "period", "limit_microusd", "model_id", "key_id")
_START: Place = (Millis(-1), TaskId(0))


def add(transaction: Transaction, budget: Budget) -> Budget:
    """A new row; its period begins with the one that now lies in."""
    _check_name(transaction, budget)
    now = transaction.now
    start = period_start(budget.period, now)
    added = replace(budget, id=transaction.new_id(_IDS), period_start=start, created_at=now, updated_at=now)
    transaction.insert("budgets", texts.BUDGET, [_row(added)])
    return added


def change(transaction: Transaction, budget_id: int, changes: Mapping[str, Any]) -> Budget | None:
    """Set some columns; another period begins anew, with nothing spent."""
    purse = held_purses(transaction, [budget_id]).get(budget_id)
    if purse is None:
        return None
    now, before = transaction.now, purse.budget
    changed = replace(before, spent_microusd=purse.spent, updated_at=now, **changes)
    if changed.name != before.name:
        _check_name(transaction, changed)
    start = period_start(changed.period, now)
    if purse.is_rolled or changed.period is not before.period:
        changed = replace(changed, period_start=start, spent_microusd=0)
    changed = replace(changed, told_percent=percent_told(changed.spent_microusd, changed.limit_microusd))
    names = (*_CHANGEABLE, "spent_microusd", "period_start", "told_percent", "updated_at")
    values = dict(zip(texts.BUDGET, _row(changed), strict=True))
    settings = ", ".join(f"{name} = ?" for name in names)
    transaction.do(f"UPDATE budgets SET {settings} WHERE id = ?", (*(values[name] for name in names), budget_id))  # noqa: S608 - our names
    return changed


def top_up(transaction: Transaction, budget_id: int, microusd: int) -> Budget | None:
    """Raise the limit. The row in `actions` keeps a trace, and marks the transaction: it must not be done twice."""
    purse = held_purses(transaction, [budget_id]).get(budget_id)
    if purse is None:
        return None
    now, budget = transaction.now, purse.budget
    action_id = transaction.new_id("actions")
    said = f'{{"budget": {budget_id}, "microusd": {microusd}}}'
    row = (action_id, "budget_top_up", said, None, "completed", 1, 1, now, now, None)
    transaction.insert("actions", ACTION_COLUMNS, [row])
    purse.write(transaction)
    limit = budget.limit_microusd + microusd
    told = percent_told(purse.spent, limit)
    transaction.do(texts.TOP_UP, (limit, told, now, budget_id))
    return replace(
        budget,
        limit_microusd=limit,
        spent_microusd=purse.spent,
        told_percent=told,
        period_start=max(budget.period_start, period_start(budget.period, now)),
        updated_at=now,
    )


def remove(transaction: Transaction, budget_id: int) -> None:
    """The budget and what was put aside in it. The lock keeps a START that found it from reserving afterwards."""
    held_purses(transaction, [budget_id])
    transaction.do(texts.DROP_ITS_RESERVATIONS, (budget_id,))
    transaction.do(texts.DROP_BUDGET, (budget_id,))


def release_held(transaction: Transaction, after: Place | None, limit: int) -> Released:
    """Let the oldest held tasks go on whose needs fit into what is left, all of them together.

    The budgets are only looked at: START puts the money aside, and holds again whom others forestalled.
    """
    eligible_at, last_id = after or _START
    page = transaction.rows(texts.HELD, texts.SELECT_HELD, (eligible_at, eligible_at, last_id, limit))
    if not page:
        return Released((), 0, None)
    tenants: dict[int, int] = {row[0]: row[1] for row in page}
    needs = _needs(transaction, sorted(tenants))
    purses = {
        budget.id: Purse(budget, transaction.now)
        for budgets in budgets_of(transaction, tenants.values()).values()
        for budget in budgets
    }
    free: list[int] = []
    for row in page:
        mine = [(purses[budget_id], amount) for budget_id, amount in needs.get(row[0], ()) if budget_id in purses]
        if all(purse.room >= amount for purse, amount in mine):
            free.append(row[0])
            for purse, amount in mine:
                purse.added += amount
    after = (page[-1][2], page[-1][0]) if len(page) == limit else None
    if not free:
        return Released((), len(page), after)
    transaction.do_in(texts.RELEASE, free, (transaction.now,))
    transaction.do_in(texts.DROP_RESERVATIONS, sorted(free), (), (0,))
    room, anew = "queued again: there is room in the budget", "queued again: what it may cost is reckoned anew"
    lines.write(
        transaction,
        [lines.Line(task_id, tenants[task_id], "info", room if task_id in needs else anew) for task_id in free],
    )
    rows = transaction.rows_in(WAITING_COLUMNS, statements.SELECT_QUEUED, free)
    return Released([waiting_of(row) for row in rows], len(page), after)


def _needs(transaction: Transaction, ids: Sequence[int]) -> dict[int, list[tuple[int, int]]]:
    needs: dict[int, list[tuple[int, int]]] = {}
    for task_id, _, budget_id, amount in transaction.rows_in(texts.RESERVATION, texts.SELECT_NEEDS, ids):
        needs.setdefault(task_id, []).append((budget_id, amount))
    return needs


def price_of(row: Row) -> PriceRow:
    """From the columns `texts.PRICE`."""
    rates = Rates(row[6], row[7], row[8], row[9], row[10])
    tenant_id = None if row[1] is None else TenantId(row[1])
    return PriceRow(row[0], tenant_id, row[2], row[3], row[4], Millis(row[5]), rates, row[11], Millis(row[12]))


def save_prices(transaction: Transaction, rows: Sequence[PriceRow]) -> list[PriceRow]:
    """Each replaces the one of the same tenant, provider, model, tier and date."""
    saved: list[PriceRow] = []
    for row in rows:
        key = (row.model, row.valid_from, row.provider, row.tier, row.tenant_id or 0)
        same = transaction.rows(("id",), texts.SAME_PRICE, key)
        for (price_id,) in same:
            transaction.do(texts.DROP_PRICE, (price_id, row.tenant_id or 0))
        saved.append(row._replace(id=transaction.new_id(_IDS), created_at=transaction.now))
        rates = row.rates
        values = (
            *saved[-1][:6],
            rates.input_nanousd,
            rates.output_nanousd,
            rates.cached_input_nanousd,
            rates.cache_write_nanousd,
            rates.request_nanousd,
            row.source,
            transaction.now,
        )
        transaction.insert("prices", texts.PRICE, [values])
    return saved


def remove_price(transaction: Transaction, price_id: int, tenant_id: TenantId | None) -> bool:
    """Whether it was there, and theirs."""
    return transaction.run(texts.DROP_PRICE, (price_id, tenant_id or 0)) > 0


def _row(budget: Budget) -> tuple[object, ...]:
    values = {name: getattr(budget, name) for name in texts.BUDGET}
    return tuple((values | {"period": budget.period.value, "imposed": int(budget.imposed)}).values())


def _check_name(transaction: Transaction, budget: Budget) -> None:
    holder = transaction.value(texts.BUDGET_NAMED, (budget.tenant_id, budget.name))
    if holder is not None and holder != budget.id:
        raise BudgetNameTakenError(budget.name)

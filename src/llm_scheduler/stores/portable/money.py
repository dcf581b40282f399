"""Money in the moves of tasks: put aside by START, settled by the end of the attempt, in the same transaction.

Rows are locked in one order: tasks, reservations, budgets by ascending id. Whoever holds the task (or finds that it
is gone) settles; a reservation that is not there any more was settled before, so each is settled once.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import orjson

from llm_scheduler.domain.bounds import bounded, most_cost
from llm_scheduler.domain.budget import FULL_PERCENT, Budget, Period, Told, percent_told, period_start
from llm_scheduler.domain.ids import Millis, ModelId, TenantId
from llm_scheduler.domain.money import dollars, no_room
from llm_scheduler.stores import lines
from llm_scheduler.stores import money_statements as texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llm_scheduler.domain.budget import Tariff
    from llm_scheduler.ports.store import StartedTask
    from llm_scheduler.stores.portable.access import Reader, Row, Transaction

ALL = 2**31


class Hold(NamedTuple):
    """A task that some budgets have no room for, by name, though it costs `most` micro-USD at most."""

    task: StartedTask
    most: int
    lacking: tuple[str, ...]
    told: tuple[Told, ...]


class Charge(NamedTuple):
    """The end of an attempt. `microusd` None: all that was put aside."""

    task_id: int
    attempt: int
    tenant_id: int
    microusd: int | None


class Purse:
    """A budget whose row is locked, and what this transaction does to it."""

    __slots__ = ("added", "budget", "charged", "freed", "is_rolled", "spent", "told", "told_before")

    def __init__(self, budget: Budget, now: Millis) -> None:
        self.budget = budget
        self.is_rolled = period_start(budget.period, now) > budget.period_start
        self.spent = 0 if self.is_rolled else budget.spent_microusd
        self.told = self.told_before = 0 if self.is_rolled else budget.told_percent
        self.added = self.freed = self.charged = 0

    @property
    def room(self) -> int:
        """What may still be put aside."""
        return self.budget.limit_microusd - self.spent - self.budget.reserved_microusd - self.added + self.freed

    def tell(self, percent: int) -> Told | None:
        """What is to be told, if that mark is new in this period."""
        if percent <= self.told:
            return None
        self.told = percent
        budget = self.budget
        return Told(budget.name, budget.tenant_id, percent, self.spent, budget.limit_microusd)

    def write(self, transaction: Transaction) -> None:
        """Bring the row up to date."""
        budget, now = self.budget, transaction.now
        if self.is_rolled:
            start = period_start(budget.period, now)
            transaction.do(texts.ROLL_OVER, (start, now, budget.id, start))
        if self.charged or self.freed:
            transaction.do(texts.SETTLE, (self.charged, self.freed, now, budget.id))
        if self.added and transaction.run(texts.RESERVE, (self.added, now, budget.id, self.added)) != 1:
            # The row is locked and was just read: only a second writer without locks could have changed it.
            raise RuntimeError(f"budget {budget.id} changed while it was locked")
        if self.told != self.told_before:
            transaction.do(texts.TELL, (self.told, budget.id))


def budget_of(row: Row) -> Budget:
    """From the columns `texts.BUDGET`."""
    return Budget(
        id=row[0],
        tenant_id=TenantId(row[1]),
        name=row[2],
        model_id=None if row[3] is None else ModelId(row[3]),
        key_id=row[4],
        period=Period(row[5]),
        limit_microusd=row[6],
        spent_microusd=row[7],
        reserved_microusd=row[8],
        period_start=Millis(row[9]),
        told_percent=row[10],
        created_at=Millis(row[11]),
        updated_at=Millis(row[12]),
        imposed=bool(row[13]),
    )


def budgets_of(source: Transaction, tenants: Iterable[int]) -> dict[int, list[Budget]]:
    """By tenant, as they were a moment ago."""
    found: defaultdict[int, list[Budget]] = defaultdict(list)
    for row in source.rows_in(texts.BUDGET, texts.BUDGETS_OF, sorted(set(tenants))):
        found[row[1]].append(budget_of(row))
    return found


def held_purses(transaction: Transaction, ids: Iterable[int]) -> dict[int, Purse]:
    """Budgets with their rows locked; one that is gone is not among them."""
    rows = transaction.rows_in(texts.BUDGET, texts.HOLD_BUDGETS, sorted(set(ids)))
    return {row[0]: Purse(budget_of(row), transaction.now) for row in rows}


def reserve(
    transaction: Transaction, wishes: Sequence[tuple[StartedTask, Tariff]]
) -> tuple[dict[int, StartedTask], dict[int, Hold]]:
    """Put aside what each attempt may cost at most, in all budgets that cover it or in none.

    Answers by task id: those that may run, with what was reserved, and those that become HELD. A task that no budget
    covers, or whose call is free, runs without a reservation.
    """
    by_tenant = budgets_of(transaction, [task.tenant_id for task, _ in wishes])
    covering = {
        task.task_id: [one.id for one in by_tenant.get(task.tenant_id, ()) if one.covers(task.model_id, task.key_id)]
        for task, _ in wishes
    }
    purses = held_purses(transaction, {one for ids in covering.values() for one in ids})
    running: dict[int, StartedTask] = {}
    holds: dict[int, Hold] = {}
    rows: list[tuple[int, int, int, int]] = []
    needs: list[tuple[int, int, int, int]] = []
    for task, tariff in wishes:
        mine = [purses[one] for one in sorted(covering[task.task_id]) if one in purses]
        sent, most = _bounded(task, tariff) if mine else (task, 0)
        lacking = [purse for purse in mine if most is not None and purse.room < most] if most else []
        if lacking:
            told = [purse.tell(FULL_PERCENT) for purse in lacking]
            names = tuple(purse.budget.name for purse in lacking)
            holds[task.task_id] = Hold(task, most or 0, names, tuple(one for one in told if one is not None))
            needs += [(task.task_id, 0, purse.budget.id, most or 0) for purse in mine]
            continue
        for purse in mine if most else ():
            purse.added += most or 0
            rows.append((task.task_id, task.attempt, purse.budget.id, most or 0))
        denied_by = mine[0].budget.name if most is None else None
        running[task.task_id] = sent._replace(reserved_microusd=most or 0, denied_by=denied_by)
    for _, purse in sorted(purses.items()):
        purse.write(transaction)
    transaction.insert("reservations", texts.RESERVATION, rows)
    _hold(transaction, holds, needs)
    return running, holds


def _bounded(task: StartedTask, tariff: Tariff) -> tuple[StartedTask, int | None]:
    """The task with the body as it will be sent, and what it costs at most."""
    body = orjson.loads(task.input)
    if task.type in tariff.wires:
        return _bounded_wire(task, tariff, body)
    sent = bounded(body, tariff, task.type)
    if sent is not body:
        task = task._replace(input=orjson.dumps(sent).decode())
    return task, most_cost(tariff, task.type, sent, len(task.input.encode()))


def _bounded_wire(task: StartedTask, tariff: Tariff, body: Mapping[str, object]) -> tuple[StartedTask, int | None]:
    """The same for a plugin's type: what counts is the request that it becomes, which is then what is sent."""
    try:
        wire_type, wired = tariff.wires[task.type](body)
        sent = bounded(wired, tariff, wire_type)
        text = orjson.dumps(sent)
    except Exception:  # noqa: BLE001 - foreign code; the attempt asks it once more, and tells what it says
        return task, None  # and if it should answer then, nothing was reserved: the call is denied
    return task._replace(wired=(wire_type, text.decode())), most_cost(tariff, wire_type, sent, len(text))


def _hold(transaction: Transaction, holds: Mapping[int, Hold], needs: Sequence[tuple[int, int, int, int]]) -> None:
    """Write down that these wait, for what, and why."""
    if not holds:
        return
    said = {task_id: no_room(hold.most, hold.lacking) for task_id, hold in holds.items()}
    transaction.do_cases(texts.HOLD_TASKS, {task_id: (text,) for task_id, text in said.items()}, (transaction.now,))
    transaction.upsert("reservations", texts.RESERVATION, ("amount_microusd",), needs)
    lines.write(
        transaction,
        [
            lines.Line(task_id, holds[task_id].task.tenant_id, "warning", f"held: {text}")
            for task_id, text in said.items()
        ],
    )


def settle(transaction: Transaction, charges: Sequence[Charge]) -> dict[int, tuple[Told, ...]]:
    """Give back what was put aside for these attempts, less what they cost; marks passed, by task id."""
    wanted = {(one.task_id, one.attempt): one for one in charges}
    ids = sorted({one.task_id for one in charges})
    found = transaction.rows_in(texts.RESERVATION, texts.HOLD_RESERVATIONS, ids)
    rows = [row for row in found if (row[0], row[1]) in wanted]
    if not rows:
        return {}
    purses = held_purses(transaction, [row[2] for row in rows])
    told: defaultdict[int, list[Told]] = defaultdict(list)
    for task_id, attempt, budget_id, amount in sorted(rows):
        purse = purses.get(budget_id)
        if purse is None:
            continue
        charge = wanted[task_id, attempt].microusd
        charge = amount if charge is None else charge
        purse.freed += amount
        purse.charged += charge
        purse.spent += charge
        news = purse.tell(percent_told(purse.spent, purse.budget.limit_microusd))
        if news is not None:
            told[task_id].append(news)
    for _, purse in sorted(purses.items()):
        purse.write(transaction)
    by_attempt: defaultdict[int, set[int]] = defaultdict(set)
    for row in rows:
        by_attempt[row[1]].add(row[0])
    for attempt, task_ids in by_attempt.items():
        transaction.do_in(texts.DROP_RESERVATIONS, sorted(task_ids), (), (attempt,))
    tenants = {one.task_id: one.tenant_id for one in charges}
    lines.write(
        transaction,
        [
            lines.Line(task_id, tenants[task_id], "warning", _marked(one))
            for task_id, news in told.items()
            for one in news
        ],
    )
    return {task_id: tuple(news) for task_id, news in told.items()}


def crashed(transaction: Transaction, attempts: Sequence[tuple[int, int, int]]) -> None:
    """Attempts (task, attempt, tenant) whose workers were lost: nobody knows what they cost, so all of it is spent."""
    settle(transaction, [Charge(task_id, attempt, tenant_id, None) for task_id, attempt, tenant_id in attempts])


def balance(reader: Reader) -> tuple[int, int]:
    """What budgets have reserved; what open attempts have."""
    [row] = reader.rows(("reserved", "open"), texts.BALANCE)
    return int(row[0]), int(row[1])


# Mending is three transactions: START holds budgets when it writes needs, the record of an end holds reservations when
# it takes budgets, so none of these may hold one kind of row and wait for the other the wrong way round.


def settle_leaked(transaction: Transaction, limit: int) -> int:
    """Settle what leaked; how many."""
    leaked = transaction.rows(texts.RESERVATION, texts.SELECT_LEAKED, (limit,))
    settle(transaction, [Charge(row[0], row[1], 0, None) for row in leaked])
    return len({(row[0], row[1]) for row in leaked})


def forget_needs(transaction: Transaction) -> None:
    """Those that nobody waits for any more."""
    transaction.do(texts.DROP_STALE_NEEDS)


def set_sums(transaction: Transaction) -> int:
    """What budgets have reserved is what their reservations say; how many were wrong."""
    budgets = [budget_of(row) for row in transaction.rows(texts.BUDGET, texts.HOLD_EVERY_BUDGET, (0, ALL))]
    sums = {
        row[0]: int(row[1]) for row in transaction.rows_in(("budget_id", "amount"), texts.SUMS, [b.id for b in budgets])
    }
    wrong = [budget for budget in budgets if budget.reserved_microusd != sums.get(budget.id, 0)]
    for budget in wrong:
        transaction.do(texts.SET_RESERVED, (sums.get(budget.id, 0), transaction.now, budget.id))
    return len(wrong)


def _marked(told: Told) -> str:
    return (
        f"budget '{told.name}': {told.percent} % are spent "
        f"({dollars(told.spent_microusd)} of {dollars(told.limit_microusd)})"
    )

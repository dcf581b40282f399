"""Budgets in force: who has one, what is told of them, and who may go on after a top-up.

START and the record of an end do the sums themselves; what is kept here is only which tenants have budgets at all, so
that nobody else pays for them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog

from llm_scheduler.domain.access_errors import ImposedBudgetError
from llm_scheduler.domain.budget import FULL_PERCENT, Budget, Period, PriceRow
from llm_scheduler.domain.errors import BudgetNotFoundError, PriceNotFoundError
from llm_scheduler.domain.money import Rates
from llm_scheduler.domain.status import Status
from llm_scheduler.ports.feed import TaskChanged
from llm_scheduler.services.effective import as_called

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llm_scheduler.domain.budget import Tariff, Told
    from llm_scheduler.domain.ids import ModelId, TenantId
    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.ports.broker import Broker, Claim
    from llm_scheduler.ports.cache import ReadThrough
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.feed import Feed
    from llm_scheduler.ports.meter import Meter
    from llm_scheduler.ports.money import HeldTask, Place
    from llm_scheduler.ports.store import Store
    from llm_scheduler.services.catalogue import Catalogue
    from llm_scheduler.services.prices import Prices

_log = structlog.get_logger(__name__)
MONEY_KEY: Final = "money:1"
"""The number grows with the shape of what is kept."""
PAGE: Final = 500
"""Held tasks of one transaction."""
_IDLE_PAGES: Final = 4
"""So many pages without one that fits end a walk; the next one begins where this one ended."""
LOOK_EVERY_S: Final = 15.0
_MENDED_AT_ONCE: Final = 1_000


Way = tuple["ModelId", "str | None", "TenantId"]


def way_of(claim: Claim) -> Way:
    """What decides the price of a claimed task."""
    return claim.lane, claim.endpoint, claim.tenant_id


class Budgets:
    """The one place that changes budgets and prices; keeps record, memory and other processes in step."""

    def __init__(  # noqa: PLR0913 - the ports that money touches
        self,
        store: Store,
        prices: Prices,
        catalogue: Catalogue,
        broker: Broker,
        feed: Feed,
        meter: Meter,
        clock: Clock,
        cache: ReadThrough | None = None,
    ) -> None:
        self._store, self._prices, self._catalogue, self._broker = store, prices, catalogue, broker
        self._feed, self._meter, self._clock, self._cache = feed, meter, clock, cache
        self._tenants: frozenset[TenantId] = frozenset()
        self._after: Place | None = None
        self._may_hold = True
        """Tasks may be held without any budget: one was removed, or another process knew of one."""
        self._releasing = asyncio.Lock()
        self._looked_at_s = float("-inf")

    async def load(self) -> None:
        """Take budgets and prices over, from the nearest cache or the record. May be called again at any time."""
        kept = None if self._cache is None else await self._cache.fetch(MONEY_KEY, self._packed)
        if kept is None:
            kept = await self._packed()
        self._take(kept)

    def _take(self, kept: bytes) -> None:
        tenants, prices = _unpacked(kept)
        # Who has no budget any more may have tasks that one held.
        self._may_hold = self._may_hold or not self._tenants <= frozenset(tenants)
        self._tenants = frozenset(tenants)
        self._prices.replace(prices)

    async def _packed(self) -> bytes:
        budgets, prices = await self._store.budgets(), await self._store.prices()
        tenants = sorted({budget.tenant_id for budget in budgets})
        return orjson.dumps({"tenants": tenants, "prices": [row._asdict() for row in prices]})

    async def _changed(self) -> None:
        """Every copy, here or elsewhere, is to go; this process knows at once."""
        if self._cache is not None:
            await self._cache.drop([MONEY_KEY])
        self._take(await self._packed())

    async def tariffs(self, claims: Iterable[Claim]) -> Mapping[Way, Tariff]:
        """For START: by model, endpoint and tenant, of tenants that have budgets."""
        found: dict[Way, Tariff] = {}
        for claim in claims if self._tenants else ():
            way = way_of(claim)
            model = self._catalogue.by_id(claim.lane)
            if claim.tenant_id in self._tenants and way not in found and model is not None:
                called = as_called(model, claim.endpoint)
                tariff = await self._prices.tariff(called, claim.tenant_id, self._clock.now())
                found[way] = tariff._replace(wires=self._catalogue.wires)
        return found

    def held(self, tasks: Sequence[HeldTask]) -> None:
        """START found no room for these."""
        self._may_hold = True
        for task in tasks:
            self.tell(task.told)
            self._tell_status(task.task_id, task.tenant_id, task.model_id, Status.HELD, task.attempt)

    def tell(self, told: Sequence[Told]) -> None:
        """Budgets came to a mark."""
        for one in told:
            self._meter.budget_told(one.percent)
            _log.warning(
                "budget_exhausted" if one.percent == FULL_PERCENT else "budget_nearly_spent",
                budget=one.name,
                tenant_id=one.tenant_id,
                percent=one.percent,
                spent_microusd=one.spent_microusd,
                limit_microusd=one.limit_microusd,
            )

    async def list(self, tenant_id: TenantId) -> list[Budget]:
        """The tenant's, by name."""
        return [budget for budget in await self._store.budgets() if budget.tenant_id == tenant_id]

    async def get(self, name: str, tenant_id: TenantId) -> Budget:
        """One.

        Raises:
            BudgetNotFoundError: there is none of that name.
        """
        for budget in await self.list(tenant_id):
            if budget.name == name:
                return budget
        raise BudgetNotFoundError(name)

    async def add(self, budget: Budget) -> Budget:
        """Record a new one; calls that start from now on count.

        Raises:
            BudgetNameTakenError: the name is in use.
        """
        added = await self._store.add_budget(budget)
        await self._changed()
        return added

    async def changeable(self, name: str, tenant_id: TenantId, *, is_admin: bool) -> Budget:
        """One, to be changed, topped up or removed by an administrator or another.

        Raises:
            BudgetNotFoundError: there is none of that name.
            ImposedBudgetError: an administrator set it, and this is none.
        """
        budget = await self.get(name, tenant_id)
        if budget.imposed and not is_admin:
            raise ImposedBudgetError(name)
        return budget

    async def change(self, name: str, tenant_id: TenantId, changes: Mapping[str, Any]) -> Budget:
        """Change some fields; whoever fits now goes on.

        Raises:
            BudgetNotFoundError, BudgetNameTakenError: as their names say.
        """
        changed = await self._store.change_budget((await self.get(name, tenant_id)).id, changes)
        return await self._after_change(name, changed)

    async def top_up(self, name: str, tenant_id: TenantId, microusd: int) -> Budget:
        """Raise the limit; whoever fits now goes on.

        Raises:
            BudgetNotFoundError: there is none of that name.
        """
        return await self._after_change(name, await self._store.top_up((await self.get(name, tenant_id)).id, microusd))

    async def _after_change(self, name: str, budget: Budget | None) -> Budget:
        if budget is None:
            raise BudgetNotFoundError(name)
        await self._changed()
        await self._release_from_start()
        return budget

    async def remove(self, name: str, tenant_id: TenantId) -> None:
        """Delete one; tasks that it held go on.

        Raises:
            BudgetNotFoundError: there is none of that name.
        """
        await self._store.remove_budget((await self.get(name, tenant_id)).id)
        await self._changed()
        await self._release_from_start()

    async def save_prices(self, rows: Sequence[PriceRow]) -> Sequence[PriceRow]:
        """Write overrides; they hold for calls that start or end from now on."""
        saved = await self._store.save_prices(rows)
        await self._repriced()
        return saved

    async def prices(self, tenant_id: TenantId) -> list[PriceRow]:
        """Overrides that may apply to the tenant, oldest first."""
        return [row for row in await self._store.prices() if row.tenant_id in (None, tenant_id)]

    async def remove_price(self, price_id: int, tenant_id: TenantId | None) -> None:
        """Delete an override.

        Raises:
            PriceNotFoundError: there is none, or it is someone else's.
        """
        if not await self._store.remove_price(price_id, tenant_id):
            raise PriceNotFoundError(price_id)
        await self._repriced()

    async def _repriced(self) -> None:
        """Held tasks may cost something else by now: START judges them anew."""
        await self._changed()
        if self._tenants:
            await self._store.forget_needs()
            await self._release_from_start()

    async def release(self) -> int:
        """Let held tasks go on for which there is room, oldest first; how many. The leader's sweep.

        While nothing is known to be held, it looks only now and then: others may have held something.
        """
        now_s = self._clock.monotonic_s()
        is_due = self._may_hold or (bool(self._tenants) and now_s - self._looked_at_s >= LOOK_EVERY_S)
        if not is_due:
            return 0
        self._looked_at_s = now_s
        async with self._releasing:
            total = seen = idle = 0
            is_whole = self._after is None
            while idle < _IDLE_PAGES:
                page = await self._store.release_held(self._after, PAGE)
                self._after = page.after
                await self._queue(page.tasks)
                total += len(page.tasks)
                seen += page.seen
                idle = 0 if page.tasks else idle + 1
                if page.after is None:
                    self._may_hold = not (is_whole and not seen)
                    break
            return total

    async def _release_from_start(self) -> None:
        self._after, self._may_hold = None, True
        await self.release()

    async def check(self) -> int:
        """Mend reservations that leaked, and show the invariant; how many were mended. The leader's, once a minute."""
        if not self._tenants:
            self._meter.observe_budgets(0, 0)
            return 0
        mended = await self._store.mend_reservations(_MENDED_AT_ONCE)
        if mended:
            self._meter.repaired("reservation", mended)
            _log.warning("reservations_mended", count=mended)
        balance = await self._store.balance()
        self._meter.observe_budgets(balance.reserved_microusd, balance.gap_microusd)
        return mended

    async def _queue(self, tasks: Sequence[WaitingTask]) -> None:
        if not tasks:
            return
        await self._broker.enqueue(self._catalogue.entries(tasks))
        for task in tasks:
            self._tell_status(task.task_id, task.tenant_id, task.model_id, Status.QUEUED, task.attempt)

    def _tell_status(self, task_id: Any, tenant_id: TenantId, model_id: ModelId, status: Status, attempt: int) -> None:
        if self._feed.is_watched:
            self._feed.publish(TaskChanged(task_id, tenant_id, model_id, status, attempt, self._clock.now()))


def new_budget(tenant_id: TenantId, name: str, period: Period, limit_microusd: int, **fields: Any) -> Budget:
    """A budget that is not stored yet."""
    return Budget(0, tenant_id, name, period, limit_microusd, **fields)


def _unpacked(kept: bytes) -> tuple[list[TenantId], list[PriceRow]]:
    found = orjson.loads(kept)
    return found["tenants"], [PriceRow(**{**row, "rates": Rates(**row["rates"])}) for row in found["prices"]]

"""`ports.money.MoneyMoves`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.ports.money import Balance
from llm_scheduler.stores import money_statements as texts
from llm_scheduler.stores.portable import budgets, money
from llm_scheduler.stores.portable.access import Access

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.domain.budget import Budget, PriceRow
    from llm_scheduler.domain.ids import TaskId, TenantId
    from llm_scheduler.ports.money import Place, Released


class MoneyCalls(Access):
    """Prices and budgets; see the port for what each call promises."""

    async def prices(self) -> Sequence[PriceRow]:
        """All overrides, oldest first."""
        rows = await self._read(lambda reader: reader.rows(texts.PRICE, texts.ALL_PRICES, (money.ALL,)))
        return [budgets.price_of(row) for row in rows]

    async def save_prices(self, rows: Sequence[PriceRow]) -> Sequence[PriceRow]:
        """Write overrides."""
        return await self._write(lambda transaction: budgets.save_prices(transaction, rows))

    async def remove_price(self, price_id: int, tenant_id: TenantId | None) -> bool:
        """Delete one."""
        return await self._write(lambda transaction: budgets.remove_price(transaction, price_id, tenant_id))

    async def budgets(self) -> Sequence[Budget]:
        """All, by tenant and name."""
        rows = await self._read(lambda reader: reader.rows(texts.BUDGET, texts.ALL_BUDGETS, (money.ALL,)))
        return [money.budget_of(row) for row in rows]

    async def add_budget(self, budget: Budget) -> Budget:
        """Insert; the answer has id and times."""
        return await self._write(lambda transaction: budgets.add(transaction, budget))

    async def change_budget(self, budget_id: int, changes: Mapping[str, object]) -> Budget | None:
        """Set some fields."""
        return await self._write(lambda transaction: budgets.change(transaction, budget_id, changes))

    async def top_up(self, budget_id: int, microusd: int) -> Budget | None:
        """Raise the limit."""
        return await self._write(lambda transaction: budgets.top_up(transaction, budget_id, microusd))

    async def remove_budget(self, budget_id: int) -> None:
        """Delete it with its reservations."""
        await self._write(lambda transaction: budgets.remove(transaction, budget_id))

    async def release_held(self, after: Place | None, limit: int) -> Released:
        """Let held tasks go on that fit."""
        return await self._write(lambda transaction: budgets.release_held(transaction, after, limit))

    async def needs(self, task_id: TaskId) -> Mapping[int, int]:
        """What a held task waits for."""
        rows = await self._read(lambda reader: reader.rows(texts.RESERVATION, texts.NEEDS_OF, (task_id,)))
        return {row[2]: row[3] for row in rows}

    async def forget_needs(self) -> None:
        """All held tasks are judged anew."""
        await self._write(lambda transaction: transaction.do(texts.DROP_NEEDS))

    async def balance(self) -> Balance:
        """Reserved, and open."""
        return Balance(*await self._read(money.balance))

    async def mend_reservations(self, limit: int) -> int:
        """Settle what leaked."""
        leaked = await self._write(lambda transaction: money.settle_leaked(transaction, limit))
        await self._write(money.forget_needs)
        return leaked + await self._write(money.set_sums)

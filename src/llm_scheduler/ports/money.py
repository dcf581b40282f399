"""Prices and budgets in the record. Reserving and settling are parts of `start` and `record`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.domain.budget import Budget, PriceRow, Told
    from llm_scheduler.domain.ids import Millis, ModelId, TaskId, TenantId
    from llm_scheduler.domain.task import WaitingTask

    Place = tuple[Millis, TaskId]
    """(eligible_at, id): where a walk over held tasks stands."""


class HeldTask(NamedTuple):
    """No START: a budget had no room. The task waits as HELD."""

    task_id: TaskId
    tenant_id: TenantId
    model_id: ModelId
    attempt: int
    told: tuple[Told, ...] = ()


class Released(NamedTuple):
    """One page of a walk over held tasks, oldest first."""

    tasks: Sequence[WaitingTask]
    """These wait in the queue again."""
    seen: int
    after: Place | None
    """Where the next page begins; None: this was the last one."""


class Balance(NamedTuple):
    """What all budgets have put aside, and what the reservations of open attempts add up to: always the same."""

    reserved_microusd: int
    open_microusd: int

    @property
    def gap_microusd(self) -> int:
        """What is wrong."""
        return self.reserved_microusd - self.open_microusd


class MoneyMoves(Protocol):
    """Prices, budgets, and the tasks that wait for money."""

    async def prices(self) -> Sequence[PriceRow]:
        """All overrides, oldest first."""
        ...

    async def save_prices(self, rows: Sequence[PriceRow]) -> Sequence[PriceRow]:
        """Write overrides; one of the same tenant, provider, model, tier and date is replaced. With their ids."""
        ...

    async def remove_price(self, price_id: int, tenant_id: TenantId | None) -> bool:
        """Delete one that is that tenant's (None: the installation's); whether it was there."""
        ...

    async def budgets(self) -> Sequence[Budget]:
        """All, by tenant and name; a period that is over has not begun anew before somebody spends."""
        ...

    async def add_budget(self, budget: Budget) -> Budget:
        """Insert; the answer has id and times.

        Raises:
            BudgetNameTakenError: the tenant has one of that name.
        """
        ...

    async def change_budget(self, budget_id: int, changes: Mapping[str, object]) -> Budget | None:
        """Set some of: name, period, limit_microusd, model_id, key_id. None: it is gone.

        Raises:
            BudgetNameTakenError: the tenant has one of the new name.
        """
        ...

    async def top_up(self, budget_id: int, microusd: int) -> Budget | None:
        """Raise the limit by so much; None: it is gone."""
        ...

    async def remove_budget(self, budget_id: int) -> None:
        """Delete it; nothing is reserved for it any more."""
        ...

    async def release_held(self, after: Place | None, limit: int) -> Released:
        """HELD tasks become QUEUED, oldest first, as far as the budgets that cover them have room for all of them."""
        ...

    async def needs(self, task_id: TaskId) -> Mapping[int, int]:
        """What a held task may cost at most, by the budgets that cover it; empty when that is to be reckoned anew."""
        ...

    async def forget_needs(self) -> None:
        """What held tasks may cost is no longer so: the next walk lets them go on to be judged anew."""
        ...

    async def balance(self) -> Balance:
        """Reservations beside what budgets say they have reserved."""
        ...

    async def mend_reservations(self, limit: int) -> int:
        """Settle reservations whose attempt is over or whose worker is lost, as if it had crashed; how many.

        Sums of budgets that are off are set right, and count too.
        """
        ...

"""Tenants and priorities for a trace that names none."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.simulation.load import CLASSES, priority_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from llm_scheduler.simulation.load import Load

_CONCENTRATION: Final = 3.0
"""The likeliest one behind the class mixes of the goal cases' tenants (bench/traces/goals)."""


class Deal(NamedTuple):
    """How they are drawn.

    `zipf`: tenant number k (from 1) gets a share in proportion to 1 / k ** zipf. `mix`: shares of high, medium and
    low over all; each tenant's own mix is drawn around it (Dirichlet), so that tenants differ in urgency.
    """

    tenants: int = 20
    zipf: float = 1.1
    mix: tuple[float, float, float] = (0.2, 0.5, 0.3)


def dealt(load: Load, deal: Deal, rng: Random, *, has_classes: bool = False) -> Load:
    """The load with a tenant for each request that has none, and a priority for each unless `has_classes`."""
    names = [f"t{number}" for number in range(deal.tenants)]
    shares = list(accumulate(1 / (number + 1) ** deal.zipf for number in range(deal.tenants)))
    mixes: dict[str, list[float]] = {}
    requests = []
    for one in load.requests:
        tenant = one.tenant or rng.choices(names, cum_weights=shares)[0]
        mix = mixes.get(tenant)
        if mix is None:
            mix = mixes[tenant] = _dirichlet(deal.mix, rng)
        priority = one.priority if has_classes else priority_of(rng.choices(CLASSES, weights=mix)[0])
        requests.append(one._replace(tenant=tenant, priority=priority))
    return load._replace(requests=tuple(requests))


def _dirichlet(mix: tuple[float, ...], rng: Random) -> list[float]:
    """A mix drawn around this one; gamma draws in proportion to each other are a Dirichlet draw."""
    drawn = [rng.gammavariate(max(share, 1e-9) * _CONCENTRATION, 1.0) if share else 0.0 for share in mix]
    return drawn if sum(drawn) else list(mix)


def weights_of(load: Load) -> Mapping[str, float]:
    """Each tenant's weight, 1 unless the load says otherwise."""
    return {one.tenant: load.weights.get(one.tenant, 1.0) for one in load.requests}

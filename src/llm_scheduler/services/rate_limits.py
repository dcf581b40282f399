"""How many requests a minute the API takes: of a key, a user, a tenant, an address, and of those who fail to get in."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.domain.access_errors import RateLimitedError
from llm_scheduler.domain.addresses import household
from llm_scheduler.domain.rate import Rule
from llm_scheduler.domain.rate import rule_of as _rule_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.domain.access import Principal
    from llm_scheduler.ports.meter import Meter
    from llm_scheduler.services.catalogue import Catalogue
    from llm_scheduler.services.directory import Directory
    from llm_scheduler.services.ledger import Key, Ledger, Standing

WORDS: Final[Mapping[str, str]] = {
    "key": "requests a minute with this API key",
    "user": "requests a minute by this user",
    "tenant": "requests a minute by this tenant",
    "address": "requests a minute from this address",
    "open": "requests a minute without a key from this address",
    "failures": "failed sign-ins a minute from this address",
}
"""Every limit, and how it is called in an error."""

_MOST_TRIES: Final = 4
_MOST_GOOD: Final = 20_000


class Rates(NamedTuple):
    """Requests a minute; 0 = no limit. A key's own limit goes before `key`; a tenant's is its quota."""

    address: int = 0
    open: int = 0
    failures: int = 0
    key: int = 0
    user: int = 0


class Passed(NamedTuple):
    """The tightest of the limits that a request went through: `remaining` may go at once, all again in `reset_s`."""

    per_minute: int
    remaining: int
    reset_s: float


class Demand(NamedTuple):
    """One bucket that a request needs a token of."""

    key: Key
    rule: Rule


FREE: Final = Passed(0, 0, 0.0)
"""No limit applies."""
NO_DEMANDS: Final[Sequence[Demand]] = ()
rule_of = lru_cache(maxsize=4096)(_rule_of)


class RateLimits:
    """Lets requests through or not.

    Args:
        ledger: counts.
        directory: knows the keys' limits.
        catalogue: knows the tenants'.
        meter: counts refusals.
        rates: the installation's limits.
    """

    def __init__(
        self, ledger: Ledger, directory: Directory, catalogue: Catalogue, meter: Meter, rates: Rates | None = None
    ) -> None:
        self._ledger, self._directory, self._catalogue, self._meter = ledger, directory, catalogue, meter
        self.rates = rates or Rates()
        self._good: dict[int, None] = {}
        """Hashes of (address, credential) that got in: failures from the same address do not shut them out."""

    def of_nobody(self, address: str) -> Sequence[Demand]:
        """What a request without a credential needs."""
        rates = self.rates
        if not (rates.address or rates.open):
            return NO_DEMANDS
        house = household(address)
        demands = [Demand(("open", house), rule_of(rates.open))] if rates.open else []
        if rates.address:
            demands.append(Demand(("address", house), rule_of(rates.address)))
        return demands

    def of(self, principal: Principal, address: str) -> Sequence[Demand]:
        """What a request of somebody known needs. A tenant's limit does not bind administrators."""
        demands: list[Demand] = []
        rates = self.rates
        if principal.key_id is not None:
            key = self._directory.key(principal.key_id)
            rpm = rates.key if key is None or key.limits.rpm is None else key.limits.rpm
            if rpm:
                demands.append(Demand(("key", principal.key_id), rule_of(rpm)))
        if rates.user and principal.user_id is not None:
            demands.append(Demand(("user", principal.user_id), rule_of(rates.user)))
        tenant = self._catalogue.tenants_by_id.get(principal.tenant_id)
        if tenant is not None and tenant.quotas.rpm and not principal.is_admin:
            demands.append(Demand(("tenant", principal.tenant_id), rule_of(tenant.quotas.rpm)))
        if rates.address:
            demands.append(Demand(("address", household(address)), rule_of(rates.address)))
        return demands

    def pass_now(self, demands: Sequence[Demand]) -> Passed | None:
        """Take a token of each bucket, or of none; None = one of them is not known yet, see `passing`.

        Raises:
            RateLimitedError: one of them has none.
        """
        tightest, share = FREE, 2.0
        for number, (key, rule) in enumerate(demands):
            standing = self._ledger.spend(key, rule)
            if not standing.is_allowed:
                for earlier, its_rule in demands[:number]:
                    self._ledger.give_back(earlier, its_rule)
                if not standing.is_known:
                    return None
                raise self._refused(key, rule, standing)
            left = standing.remaining / rule.burst
            if left < share:
                tightest, share = Passed(rule.per_minute, standing.remaining, standing.reset_s), left
        return tightest

    async def passing(self, demands: Sequence[Demand]) -> Passed:
        """As `pass_now`, waiting for what is not known.

        Raises:
            RateLimitedError: one of them has no token.
        """
        for _ in range(_MOST_TRIES):
            for key, rule in demands:
                await self._ledger.settled(key, rule)
            passed = self.pass_now(demands)
            if passed is not None:
                return passed
        key, rule = demands[0]
        raise self._refused(key, rule, self._ledger.look(key, rule))

    def check_failures(self, address: str, credential: str) -> bool:
        """Before anything is reckoned: have there been too many failures from there?

        Whether this is a credential that got in from there before; such a one is let through.

        Raises:
            RateLimitedError: too many.
        """
        if not self.rates.failures or hash((address, credential)) in self._good:
            return True
        rule = rule_of(self.rates.failures)
        key = ("failures", household(address))
        standing = self._ledger.look(key, rule)
        if not standing.is_allowed:
            raise self._refused(key, rule, standing)
        return False

    def got_in(self, address: str, credential: str) -> None:
        """That credential is good."""
        if len(self._good) >= _MOST_GOOD:
            self._good.pop(next(iter(self._good)))
        self._good[hash((address, credential))] = None

    def failed(self, address: str, credential: str = "") -> None:
        """That one is not: one failure more of that address."""
        if self.rates.failures:
            self._good.pop(hash((address, credential)), None)
            self._ledger.charge(("failures", household(address)), rule_of(self.rates.failures))

    def _refused(self, key: Key, rule: Rule, standing: Standing) -> RateLimitedError:
        self._meter.rate_limited(key[0])
        return RateLimitedError(WORDS[key[0]], rule.per_minute, standing.wait_s, standing.reset_s, key[0])

"""What calls cost: overrides of the record, over a price list, over the model's policy for what nobody knows."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

import orjson
import structlog

from llm_scheduler.domain.bounds import DEFAULT_MAX_OUTPUT_TOKENS
from llm_scheduler.domain.budget import PriceRow, Tariff
from llm_scheduler.domain.model import UnknownPrice
from llm_scheduler.domain.money import DEFAULT_TIER, FREE, Price, plain_tier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llm_scheduler.domain.ids import Millis, TenantId
    from llm_scheduler.domain.model import Model
    from llm_scheduler.ports.meter import Meter

    PriceList = Callable[[str, str | None, str | None, int], Mapping[str, Price]]
    """(model, provider, base_url, at_ms) → price by tier; see `providers.pricelist`."""

_log = structlog.get_logger(__name__)
_AT_HOME: Final = frozenset({"local", "scripted"})
"""Types that call nobody: free, unless an override says otherwise."""
_OWN_ADDRESS: Final[Mapping[str, str]] = {"anthropic": "https://api.anthropic.com"}
_DAY_MS: Final = 86_400_000
_MOST_KEPT: Final = 10_000
UNKNOWN: Final = Price(FREE)
"""Of a model that nobody has a price of: costs are counted as nothing, and marked as unknown."""


class Known(NamedTuple):
    """One tier's price, and why it is this one."""

    tier: str
    price: Price
    row: PriceRow | None


class Prices:
    """Resolved once for each model, tenant and day; a cost is then a multiplication of whole numbers.

    Args:
        listed: the price list.
        meter: counts calls that nobody knows a price of.
    """

    def __init__(self, listed: PriceList, meter: Meter) -> None:
        self._listed, self._meter = listed, meter
        self._noted: set[str] = set()
        self._rows: dict[str, list[PriceRow]] = {}
        self._kept: dict[tuple[int, int, TenantId, int, str, str], Mapping[str, Known]] = {}

    def replace(self, rows: Sequence[PriceRow]) -> None:
        """Take over the overrides of the record."""
        by_model: dict[str, list[PriceRow]] = {}
        for row in rows:
            by_model.setdefault(row.model, []).append(row)
        self._rows = by_model
        self._kept.clear()

    async def known(self, model: Model, tenant_id: TenantId, at: Millis) -> Mapping[str, Known]:
        """Price by tier at that moment's day; without the default's, nobody knows any."""
        # An endpoint may call another model, elsewhere.
        called = str(model.config.get("model")), str(model.config.get("base_url"))
        key = (model.id, model.version, tenant_id, at // _DAY_MS, *called)
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            kept = self._kept[key] = await self._resolved(model, tenant_id, at)
        return kept

    async def tiers(self, model: Model, tenant_id: TenantId, at: Millis) -> Mapping[str, Price]:
        """The same by tier, the model's policy applied: empty means that calls under a budget are denied."""
        found = await self.known(model, tenant_id, at)
        if DEFAULT_TIER in found:
            return {tier: known.price for tier, known in found.items()}
        options = model.options
        if options.unknown_price is UnknownPrice.FREE:
            return {DEFAULT_TIER: Price(FREE, source="free")}
        if options.unknown_price is UnknownPrice.ASSUME and options.assume_price_of:
            assumed = await self._named(options.assume_price_of, None, None, tenant_id, at)
            return {tier: known.price._replace(source="assumed") for tier, known in assumed.items()}
        return {}

    async def tariff(self, model: Model, tenant_id: TenantId, at: Millis) -> Tariff:
        """For START, of a call that a budget may cover."""
        extra = sent_beneath(model)
        return Tariff(
            await self.tiers(model, tenant_id, at),
            extra,
            len(orjson.dumps({**extra, "model": model.config.get("model") or model.name, "stream": True})) + 64,
            model.options.max_output_tokens or DEFAULT_MAX_OUTPUT_TOKENS,
            "max_completion_tokens" if _host(model) == "api.openai.com" else "max_tokens",
        )

    def note_unknown(self, model: Model) -> None:
        """A call of it was counted as free because nobody knows better."""
        self._meter.unpriced(model.name)
        if model.name not in self._noted and len(self._noted) < _MOST_KEPT:
            self._noted.add(model.name)
            _log.warning("price_unknown", model=model.name, next_step="llms prices set, or unknown_price of the model")

    async def _resolved(self, model: Model, tenant_id: TenantId, at: Millis) -> Mapping[str, Known]:
        options, named = model.options, model.config.get("model")
        base_url = _address(model)
        if options.price_model:
            return await self._named(options.price_model, None, None, tenant_id, at)
        names = (named, model.name) if isinstance(named, str) and named else (model.name,)
        for name in names:
            found = self._overrides(name, model.type, tenant_id, at)
            if found:
                return found | {
                    tier: known
                    for tier, known in (await self._from_list(name, base_url, at)).items()
                    if tier not in found
                }
        if model.type in _AT_HOME:
            return {DEFAULT_TIER: Known(DEFAULT_TIER, Price(FREE, source="local"), None)}
        return await self._from_list(names[0], base_url, at)

    async def _named(
        self, name: str, provider: str | None, base_url: str | None, tenant_id: TenantId, at: Millis
    ) -> dict[str, Known]:
        """By a name of price lists, wherever its calls go."""
        listed = await asyncio.to_thread(self._listed, name, provider, base_url, at)
        found = {tier: Known(tier, price, None) for tier, price in listed.items()}
        return found | self._overrides(name, None, tenant_id, at)

    async def _from_list(self, name: str, base_url: str | None, at: Millis) -> dict[str, Known]:
        """What the list says of a model at a provider's own address. A server of one's own has no listed price."""
        if base_url is None:
            return {}
        # The first question imports the list: too long for the event loop.
        listed = await asyncio.to_thread(self._listed, name, None, base_url, at)
        return {tier: Known(tier, price, None) for tier, price in listed.items()}

    def _overrides(self, name: str, provider: str | None, tenant_id: TenantId, at: Millis) -> dict[str, Known]:
        """The newest row in force for each tier; the tenant's own go before the installation's."""
        best: dict[str, PriceRow] = {}
        for row in self._rows.get(name, ()):
            is_ours = row.tenant_id in (None, tenant_id) and row.valid_from <= at
            if not is_ours or (provider is not None and row.provider not in (provider, "*")):
                continue
            tier = plain_tier(row.tier)
            before = best.get(tier)
            if before is None or _rank(row) > _rank(before):
                best[tier] = row
        return {tier: Known(tier, Price(row.rates, source="override"), row) for tier, row in best.items()}


def _rank(row: PriceRow) -> tuple[bool, int, int]:
    return row.tenant_id is not None, row.valid_from, row.id


def sent_beneath(model: Model) -> Mapping[str, object]:
    """Fields that stand in every request of the model where a task has none."""
    extra = model.config.get("extra_body")
    fields = {str(name): value for name, value in extra.items()} if isinstance(extra, dict) else {}
    own = model.config.get("max_tokens")
    return {"max_tokens": own, **fields} if isinstance(own, int) else fields


def _address(model: Model) -> str | None:
    """Where its calls go, if that may be a provider's; None for a machine of one's own."""
    url = model.config.get("base_url") or _OWN_ADDRESS.get(model.type)
    if not isinstance(url, str):
        return None
    host = urlsplit(url).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return url if "." in host else None
    return None


def _host(model: Model) -> str | None:
    url = model.config.get("base_url")
    return urlsplit(url).hostname if isinstance(url, str) else None

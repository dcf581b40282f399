"""Prices out of files: CSV of our own, and LiteLLM's `model_prices_and_context_window.json`."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from llm_scheduler.domain.budget import PriceRow
from llm_scheduler.domain.ids import EPOCH, Millis
from llm_scheduler.domain.money import DEFAULT_TIER, MOST_RATE_NANOUSD, Rates, plain_tier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_scheduler.domain.ids import TenantId

_NANO: Final = 10**9
_PER_MILLION: Final = 1_000
_CSV_RATES: Final[Mapping[str, tuple[str, int]]] = {
    "input_usd_per_million": ("input_nanousd", _PER_MILLION),
    "output_usd_per_million": ("output_nanousd", _PER_MILLION),
    "cached_input_usd_per_million": ("cached_input_nanousd", _PER_MILLION),
    "cache_write_usd_per_million": ("cache_write_nanousd", _PER_MILLION),
    "request_usd": ("request_nanousd", _NANO),
}
CSV_COLUMNS: Final = ("provider", "model", "tier", "valid_from", *_CSV_RATES)
_LITELLM_RATES: Final[Mapping[str, str]] = {
    "input_cost_per_token": "input_nanousd",
    "output_cost_per_token": "output_nanousd",
    "cache_read_input_token_cost": "cached_input_nanousd",
    "cache_creation_input_token_cost": "cache_write_nanousd",
    "input_cost_per_request": "request_nanousd",
}
_LITELLM_TIERS: Final = ("flex", "priority")
_LITELLM_SAMPLE: Final = "sample_spec"
_MOST_NAME: Final = 128


class BadRow(NamedTuple):
    """A line that cannot be taken; of JSON, the number of the entry."""

    line: int
    detail: str


class Read(NamedTuple):
    """What a file says."""

    rows: list[PriceRow]
    bad: list[BadRow]


class _BadValueError(ValueError):
    """With what is wrong."""


def from_csv(text: str, tenant_id: TenantId | None) -> Read:
    """Lines under a head with the names of `CSV_COLUMNS`; `model` and one rate are needed, the rest may be missing."""
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="")
    unknown = [name for name in reader.fieldnames or () if name not in CSV_COLUMNS]
    if not reader.fieldnames or "model" not in reader.fieldnames or unknown:
        said = f"unknown columns: {', '.join(unknown)[:100]}" if unknown else "there is no column 'model'"
        return Read([], [BadRow(1, f"The first line names the columns ({', '.join(CSV_COLUMNS)}); {said}.")])
    read = Read([], [])
    try:
        for line in reader:
            try:
                read.rows.append(_csv_row(line, tenant_id))
            except _BadValueError as error:
                read.bad.append(BadRow(reader.line_num, str(error)))
    except csv.Error as error:
        read.bad.append(BadRow(reader.line_num, f"This is no CSV: {error}."))
    return read


def from_litellm(value: object, tenant_id: TenantId | None) -> Read:
    """Entries by model name, in dollars for a token. Entries without prices for tokens or requests are passed over."""
    if not isinstance(value, Mapping):
        return Read([], [BadRow(1, "LiteLLM's file is an object: model name → prices.")])
    read = Read([], [])
    for number, (name, entry) in enumerate(cast("Mapping[str, Any]", value).items(), start=1):
        if name == _LITELLM_SAMPLE:
            continue
        try:
            read.rows.extend(_litellm_rows(name, entry, tenant_id))
        except _BadValueError as error:
            read.bad.append(BadRow(number, f"{name[:60]}: {error}"))
    return read


def _csv_row(line: Mapping[str, Any], tenant_id: TenantId | None) -> PriceRow:
    if line.get(""):
        raise _BadValueError("There are more values than columns.")
    values = {name: (value or "").strip() for name, value in line.items() if isinstance(name, str)}
    rates = {
        field: _rate(column, values[column], factor)
        for column, (field, factor) in _CSV_RATES.items()
        if values.get(column)
    }
    if not rates:
        raise _BadValueError("No rate is given.")
    return _row(
        tenant_id,
        values.get("provider") or "*",
        values.get("model", ""),
        values.get("tier") or DEFAULT_TIER,
        (_instant(values.get("valid_from", "")), rates, "csv"),
    )


def _litellm_rows(name: str, entry: object, tenant_id: TenantId | None) -> Iterator[PriceRow]:
    if not isinstance(entry, Mapping):
        raise _BadValueError("an object with prices is expected")
    fields = cast("Mapping[str, Any]", entry)
    default = _litellm_rates(fields, "")
    for tier in (DEFAULT_TIER, *_LITELLM_TIERS):
        rates = default if tier == DEFAULT_TIER else _litellm_rates(fields, f"_{tier}")
        if rates:
            # Where a tier has no price of its own for a kind of token, the default's holds.
            yield _row(tenant_id, "*", name, tier, (EPOCH, {**default, **rates}, "litellm"))


def _litellm_rates(fields: Mapping[str, Any], ending: str) -> dict[str, int]:
    return {
        field: _rate(key + ending, fields[key + ending], _NANO)
        for key, field in _LITELLM_RATES.items()
        if fields.get(key + ending) is not None
    }


def _row(
    tenant_id: TenantId | None, provider: str, model: str, tier: str, rest: tuple[Millis, dict[str, int], str]
) -> PriceRow:
    valid_from, rates, source = rest
    if not model or len(model) > _MOST_NAME:
        raise _BadValueError(f"A model's name has 1 to {_MOST_NAME} characters.")
    return PriceRow(
        0, tenant_id, provider[:64], model, plain_tier(tier)[:32], valid_from, Rates(**rates), source, EPOCH
    )


def _rate(name: str, value: object, factor: int) -> int:
    """Nano-USD, rounded up."""
    try:
        exact = Decimal(str(value)) * factor
        nano = int(exact.to_integral_value(ROUND_CEILING)) if exact.is_finite() else -1
    except (InvalidOperation, OverflowError):
        nano = -1
    if isinstance(value, bool) or not 0 <= nano <= MOST_RATE_NANOUSD:
        raise _BadValueError(f"{name} is no price: {str(value)[:30]!r}.")
    return nano


def _instant(text: str) -> Millis:
    if not text:
        return EPOCH
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise _BadValueError(f"valid_from is no date such as 2026-01-31: {text[:30]!r}.") from None
    return Millis(round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000))

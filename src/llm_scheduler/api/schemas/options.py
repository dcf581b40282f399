"""What is configured of a model beyond its limits: flat fields beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, model_validator

from llm_scheduler.api.fields import Body, Shown
from llm_scheduler.domain.model import ModelOptions, Pacing, UnknownPrice

if TYPE_CHECKING:
    from collections.abc import Mapping

PerMinute = Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
OptionName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Numbers = Annotated[dict[OptionName, Number], Field(max_length=32)]
Seconds = Annotated[float, Field(strict=True, ge=0.1, le=604_800)]
MaxWaits = dict[Literal["high", "medium", "low"], Seconds]
Tokens = Annotated[int, Field(strict=True, ge=1, le=100_000_000)]
PriceName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
ModelNames = list[Annotated[str, StringConstraints(min_length=1, max_length=128)]]
PacingName = Literal["headers", "configured"]
PolicyName = Literal["deny", "free", "assume"]


class OptionsBody(Body):
    """Options of a model to add."""

    input_tpm: PerMinute | None = None
    """Tokens of requests per minute, where the provider counts them apart; null means no limit."""
    output_tpm: PerMinute | None = None
    """Tokens of answers per minute; null means no limit."""
    pacing: PacingName = "headers"
    """`headers`: the limits are where to start, what the provider's answers say then counts. `configured`: the
    limits are never exceeded, whatever the provider says."""
    strategy_options: Numbers = Field(default_factory=dict[str, float])
    """Numbers that the strategy knows by name."""
    fallback_models: ModelNames = Field(default_factory=list[str])
    """Where tasks go, in this order, when this model is down or refuses."""
    retry_share: Share | None = 0.1
    """Retries among the calls of the last minute, at most; null means no bound."""
    max_wait_s: MaxWaits = Field(default_factory=dict[Literal["high", "medium", "low"], float])
    """By class; a submit that is expected to wait longer is refused with 429."""
    max_output_tokens: Tokens | None = None
    """Of one answer, sent with calls that a budget covers and that name no bound of their own."""
    price_model: PriceName | None = None
    """Its name in price lists, if that is another one."""
    unknown_price: PolicyName = "deny"
    """What becomes of its tasks while its price is unknown and a budget covers them."""
    assume_price_of: PriceName | None = None
    """The model whose price is taken, for `assume`."""


class OptionsPatch(Body):
    """Options to change; what is absent stays."""

    input_tpm: PerMinute | None = None
    output_tpm: PerMinute | None = None
    pacing: PacingName | None = None
    strategy_options: Numbers | None = None
    fallback_models: ModelNames | None = None
    retry_share: Share | None = None
    max_wait_s: MaxWaits | None = None
    max_output_tokens: Tokens | None = None
    price_model: PriceName | None = None
    unknown_price: PolicyName | None = None
    assume_price_of: PriceName | None = None

    @model_validator(mode="after")
    def _nulls_of_options_mean_something(self) -> OptionsPatch:
        for name in ("pacing", "strategy_options", "fallback_models", "max_wait_s", "unknown_price"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{name} cannot be null; leave it out to keep it as it is.")
        return self


class OptionsShown(Shown):
    """Options in force."""

    input_tpm: int | None
    output_tpm: int | None
    pacing: PacingName
    strategy_options: dict[str, float]
    fallback_models: list[str]
    retry_share: float | None
    max_wait_s: dict[str, float]
    max_output_tokens: int | None
    price_model: str | None
    unknown_price: PolicyName
    assume_price_of: str | None


OPTION_NAMES: Final = tuple(OptionsBody.model_fields)


def options_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Those of these checked fields that are options, as the domain has them."""
    found = {name: fields[name] for name in OPTION_NAMES if name in fields}
    if "pacing" in found:
        found["pacing"] = Pacing(found["pacing"])
    if "unknown_price" in found:
        found["unknown_price"] = UnknownPrice(found["unknown_price"])
    if "fallback_models" in found:
        found["fallback_models"] = tuple(found["fallback_models"])
    return found


def options_json(options: ModelOptions) -> dict[str, object]:
    """Options for an answer."""
    return {name: getattr(options, name) for name in OPTION_NAMES}

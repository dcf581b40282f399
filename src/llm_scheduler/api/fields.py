"""Kinds of values that bodies and queries share: priorities, instants, names, metadata."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from llm_scheduler.domain.ids import Millis
from llm_scheduler.domain.task import FIRST_PRIORITY, LAST_PRIORITY, PRIORITY_NAMES

_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9000
_MOST_METADATA: Final = 32


class Body(BaseModel):
    """What a caller sends: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)


class Shown(BaseModel):
    """What an answer looks like; it only describes, answers are built without it."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


def priority_number(value: object) -> int:
    """The number of a priority's name; numbers pass.

    Raises:
        ValueError: neither.
    """
    if isinstance(value, str) and value in PRIORITY_NAMES:
        return PRIORITY_NAMES[value]
    if type(value) is int and FIRST_PRIORITY <= value <= LAST_PRIORITY:
        return value
    raise ValueError("Use 'high', 'medium', 'low', or a whole number from 0 (first) to 9 (last).")


def _written_priority(value: object) -> int:
    if isinstance(value, str) and len(value) == 1 and value in "0123456789":
        return priority_number(int(value))
    return priority_number(value)


def instant(value: object) -> datetime:
    """An aware instant from RFC 3339 text.

    Raises:
        ValueError: no text, no offset, or no such moment.
    """
    if isinstance(value, str):
        # A plus sign that was not escaped arrives from a query as a blank.
        text = re.sub(r"(?<=\d) (?=\d\d:\d\d$)", "+", value)
        if _INSTANT.fullmatch(text):
            try:
                found = datetime.fromisoformat(text.upper()).astimezone(UTC)
            except (ValueError, OverflowError):
                raise ValueError("There is no such moment; check month, day and hour.") from None
            if _FIRST_YEAR <= found.year < _LAST_YEAR:
                return found
            raise ValueError(f"Use a year from {_FIRST_YEAR} to {_LAST_YEAR - 1}.")
    raise ValueError("Use RFC 3339 with Z or an offset, for example 2030-01-31T09:00:00Z.")


def millis(at: datetime | None) -> Millis | None:
    """Epoch milliseconds of an instant."""
    return None if at is None else Millis((at - _EPOCH) // _MILLISECOND)


def text_or_object(value: object) -> str | dict[str, object]:
    """A prompt or a request body.

    Raises:
        ValueError: anything else.
    """
    if isinstance(value, str | dict):
        return value
    raise ValueError('Use a text, or an object such as {"messages": [{"role": "user", "content": "Hi"}]}.')


def _few(value: dict[str, str]) -> dict[str, str]:
    if len(value) > _MOST_METADATA:
        raise ValueError(f"At most {_MOST_METADATA} pairs; this has {len(value)}.")
    return value


def _listed(value: object) -> object:
    """A comma separated text as a list."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


_PRIORITY_SCHEMA: Final = {
    "anyOf": [{"type": "string", "enum": list(PRIORITY_NAMES)}, {"type": "integer", "minimum": 0, "maximum": 9}],
    "examples": ["high"],
}
_INSTANT_SCHEMA: Final = {"type": "string", "format": "date-time", "examples": ["2030-01-31T09:00:00Z"]}
_INPUT_SCHEMA: Final = {
    "anyOf": [{"type": "string", "minLength": 1}, {"type": "object", "additionalProperties": True}],
    "examples": [{"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 64}],
}

Priority = Annotated[int, BeforeValidator(priority_number), WithJsonSchema(_PRIORITY_SCHEMA)]
AnyPriority = Annotated[int, BeforeValidator(_written_priority), WithJsonSchema(_PRIORITY_SCHEMA)]
"""As in a query, where a number is text."""
Instant = Annotated[datetime, BeforeValidator(instant), WithJsonSchema(_INSTANT_SCHEMA)]
Input = Annotated[str | dict[str, object], BeforeValidator(text_or_object), WithJsonSchema(_INPUT_SCHEMA)]
MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=64)]
MetadataValue = Annotated[str, Field(max_length=512, coerce_numbers_to_str=True)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], AfterValidator(_few)]
Listed = BeforeValidator(_listed)
Id = Annotated[int, Field(ge=0, le=2**53 - 1)]
StrictId = Annotated[int, Field(strict=True, ge=0, le=2**53 - 1)]

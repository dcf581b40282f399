"""What the scripted provider plays: delays, pieces, token counts and errors, as a checked value."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Self

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.ports.provider import ProviderError
from llm_scheduler.providers import config as fields
from llm_scheduler.providers.config import Field, checked
from llm_scheduler.providers.faults import STATUSES, VERDICTS

if TYPE_CHECKING:
    from llm_scheduler.ports.provider import Call

MAX_DELAY_MS: Final = 86_400_000
DEFAULT_TEXT: Final = "This is the scripted answer to task {task_id}, attempt {attempt}."


def _error_code(value: object) -> str:
    if value not in VERDICTS:
        raise ValueError(f"be one of {', '.join(sorted(VERDICTS))}")
    return str(value)


def _attempts(value: object) -> frozenset[int]:
    if not isinstance(value, list) or not value or any(type(item) is not int or item < 1 for item in value):
        raise ValueError("be a list of attempt numbers such as [1, 2]")
    return frozenset(value)


def _errors(value: object) -> tuple[ErrorRule, ...]:
    if not isinstance(value, list) or not all(isinstance(rule, Mapping) for rule in value):
        raise ValueError('be a list of rules such as {"every": 10, "code": "server_error"}')
    return tuple(ErrorRule(**checked(rule, RULE_FIELDS, "errors", at)) for at, rule in enumerate(value))  # pyright: ignore[reportArgumentType] - read by RULE_FIELDS


RULE_FIELDS: Final = (
    Field("every", fields.integer(1, 1_000_000_000)),
    Field("attempts", _attempts),
    Field("probability", fields.number(0.0, 1.0)),
    Field("seed", fields.integer(-(2**53), 2**53)),
    Field("code", _error_code),
    Field("http_status", fields.integer(400, 599)),
    Field("retry_after_s", fields.number(0.0, 86_400.0)),
    Field("message", fields.text),
)
SCRIPT_FIELDS: Final = (
    Field("delay_ms", fields.number(0, MAX_DELAY_MS)),
    Field("jitter_ms", fields.number(0, MAX_DELAY_MS)),
    Field("tokens_per_s", fields.number(0.001, 1e6)),
    Field("chunks", fields.integer(1, 100_000)),
    Field("text", fields.text),
    Field("prompt_tokens", fields.integer(0, 1_000_000_000)),
    Field("completion_tokens", fields.integer(0, 1_000_000_000)),
    Field("fail_attempts", fields.integer(1, 1_000_000)),
    Field("errors", _errors),
)


def draw(seed: int, task_id: int, attempt: int) -> float:
    """A number in [0, 1) that depends on nothing else, so that runs repeat whatever their order."""
    return zlib.crc32(b"%d:%d:%d" % (seed, task_id, attempt)) / 2**32


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """When a call fails, and how. It fails when all the conditions given are met.

    Attributes:
        every: each so-manieth call of the provider.
        attempts: these attempts of a task.
        probability: share of attempts, drawn by `seed`.
        seed: of the draw.
        code: of the error; says as well whether to retry and whose fault it is.
        http_status: by default the usual one of `code`.
        retry_after_s: what the error asks for.
        message: for people.
    """

    every: int | None = None
    attempts: frozenset[int] | None = None
    probability: float | None = None
    seed: int = 0
    code: str = "server_error"
    http_status: int | None = None
    retry_after_s: float | None = None
    message: str = "the script says so"

    def is_met(self, call: Call, count: int) -> bool:
        """Whether `call`, the provider's `count`-th, fails by this rule."""
        if self.every is not None and count % self.every:
            return False
        if self.attempts is not None and call.attempt not in self.attempts:
            return False
        return self.probability is None or draw(self.seed, call.task_id, call.attempt) < self.probability

    def error(self) -> ProviderError:
        """The error to raise."""
        verdict = VERDICTS[self.code]
        usual = next((status for status, code in STATUSES.items() if code == self.code), None)
        return ProviderError(
            self.code,
            self.message,
            is_retryable=verdict.is_retryable,
            fault=verdict.fault,
            http_status=self.http_status or usual,
            retry_after_s=self.retry_after_s,
        )


@dataclass(frozen=True, slots=True)
class Script:
    """How calls go.

    Attributes:
        delay_ms: before the first word, or before an error.
        jitter_ms: at most so much more, evenly drawn for each attempt.
        tokens_per_s: speed of the words; None says them all at once.
        chunks: number of pieces; by default words when there is a speed, else one.
        text: the answer; `{task_id}`, `{attempt}` and `{prompt}` are filled in.
        prompt_tokens: by default estimated.
        completion_tokens: by default estimated.
        fail_attempts: so many first attempts fail with a server error.
        errors: rules; the first one met counts.
    """

    delay_ms: float = 0
    jitter_ms: float = 0
    tokens_per_s: float | None = None
    chunks: int | None = None
    text: str = DEFAULT_TEXT
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    fail_attempts: int = 0
    errors: tuple[ErrorRule, ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, object], *loc: str | int) -> Self:
        """A script out of JSON.

        Raises:
            InvalidInputError: an unknown field, or a value that it cannot hold; `loc` is put before.
        """
        kept: dict[str, Any] = checked(values, SCRIPT_FIELDS, *loc)
        return cls(**kept)

    @property
    def is_instant(self) -> bool:
        """Whether nothing has to be waited for."""
        return not (self.delay_ms or self.jitter_ms or self.tokens_per_s)

    def failure(self, call: Call, count: int) -> ProviderError | None:
        """The error that this call, the provider's `count`-th, must end with."""
        if call.attempt <= self.fail_attempts:
            return _FIRST_FAIL.error()
        return next((rule.error() for rule in self.errors if rule.is_met(call, count)), None)

    def wait_s(self, call: Call) -> float:
        """Seconds before the first word."""
        jitter_ms = self.jitter_ms * draw(1, call.task_id, call.attempt) if self.jitter_ms else 0.0
        return (self.delay_ms + jitter_ms) / 1000

    def pieces(self, said: str) -> list[str]:
        """`said` as it is streamed."""
        if self.chunks is None:
            return [said] if self.tokens_per_s is None else _words(said)
        size, more = divmod(len(said), self.chunks)
        ends = [at * size + min(at, more) for at in range(self.chunks + 1)]
        return [said[start:end] for start, end in pairwise(ends)]


_FIRST_FAIL: Final = ErrorRule(message="one of the first attempts, which the script lets fail")


def script_of_task(base: Mapping[str, object], given: object) -> Script:
    """The script of one task: the provider's, with what the task's `script` says instead.

    Raises:
        InvalidInputError: it is no object, or not acceptable.
    """
    if not isinstance(given, Mapping):
        raise InvalidInputError("'script' must be an object.", "input", "script")
    return Script.of({**base, **given}, "input", "script")


def _words(said: str) -> list[str]:
    words = said.split(" ")
    return [word if at == len(words) - 1 else word + " " for at, word in enumerate(words)]

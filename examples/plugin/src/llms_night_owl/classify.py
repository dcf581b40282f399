"""A text and labels go in, one of the labels comes out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.ports.provider import Fault, ProviderError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.ports.provider import Answer

_FEWEST_LABELS: Final = 2
_PROMPT_TOKENS: Final = 40
_LABEL_TOKENS: Final = 16


class Classify:
    """Asks any chat model, and takes only an answer that names exactly one label."""

    name = "classify"

    def check(self, value: str | dict[str, object]) -> dict[str, object]:
        """An object with `text` and at least two different `labels`."""
        if isinstance(value, str):
            raise InvalidInputError('Give an object: {"text": …, "labels": […]}.', "input")
        unknown = sorted(value.keys() - {"text", "labels"})
        if unknown:
            raise InvalidInputError(f"There is no field '{unknown[0]}'; use text and labels.", "input", unknown[0])
        text, labels = value.get("text"), value.get("labels")
        if not isinstance(text, str) or not text.strip():
            raise InvalidInputError("Give a 'text' to classify.", "input", "text")
        if not isinstance(labels, list) or not all(isinstance(label, str) and label.strip() for label in labels):
            raise InvalidInputError("'labels' is a list of words.", "input", "labels")
        if len({label.lower() for label in labels}) < max(_FEWEST_LABELS, len(labels)):
            raise InvalidInputError("Give at least two different labels.", "input", "labels")
        return {"text": text, "labels": labels}

    def estimate(self, body: Mapping[str, object]) -> tuple[int, int]:
        """A token has about four bytes; the answer is a label."""
        words = len(str(body["text"]).encode()) + sum(len(label.encode()) for label in _labels(body))
        return _PROMPT_TOKENS + words // 3, _LABEL_TOKENS

    def to_call(self, body: Mapping[str, object]) -> tuple[str, dict[str, object]]:
        """One question to a chat model."""
        question = f"Which of these labels fits the text? Answer with the label alone: {', '.join(_labels(body))}."
        messages = [{"role": "system", "content": question}, {"role": "user", "content": body["text"]}]
        return "chat", {"messages": messages, "max_tokens": _LABEL_TOKENS, "temperature": 0}

    def finish(self, answer: Answer, body: Mapping[str, object]) -> Answer:
        """The label as it was given, whatever stands around it in the answer."""
        said = answer.text.lower()
        named = [label for label in _labels(body) if label.lower() in said]
        # Of "sport" and "sports" the longer one is meant: the shorter only stands inside it.
        meant = [
            label for label in named if not any(label != other and label.lower() in other.lower() for other in named)
        ]
        if len(meant) != 1:
            raise ProviderError(
                "bad_answer", f"The model named {len(meant)} of the labels.", is_retryable=True, fault=Fault.PROVIDER
            )
        return replace(answer, text=meant[0])


def _labels(body: Mapping[str, object]) -> list[str]:
    labels = body["labels"]
    return [str(label) for label in labels] if isinstance(labels, list) else []

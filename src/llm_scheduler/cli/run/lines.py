"""One line of a run's input, in any of its four shapes, as the task it asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from llm_scheduler.cli.values import PRIORITY

_TYPE_BY_URL: Final = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completion",
    "/v1/embeddings": "embedding",
}
_OURS: Final = frozenset({"model", "type", "priority", "metadata", "custom_id", "system"})
_PROMPT_FIELDS: Final = _OURS | {"prompt", "max_tokens", "temperature", "top_p", "stop", "seed"}
_BATCH_FIELDS: Final = frozenset({"custom_id", "method", "url", "body"})
_NEEDED: Final = {"chat": "messages", "completion": "prompt", "embedding": "input"}


class BadLineError(ValueError):
    """A line cannot become a task."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What holds for all lines. `model` is for lines that name none, or for all with `is_model_forced`."""

    model: str | None = None
    priority: int | None = None
    max_tokens: int | None = None
    system: str | None = None
    is_model_forced: bool = False
    cache_s: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """What one line asks for. `task` lacks only metadata and key of the run."""

    task: dict[str, Any]
    custom_id: str | None = None
    is_batch: bool = False
    """An OpenAI batch line: the output has that format too."""


def parsed(raw: bytes, options: RunOptions) -> Line:
    """The line as a task.

    Raises:
        BadLineError: with what is wrong.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadLineError(f'not JSON ({error}); a plain prompt needs quotes: "…"') from error
    if isinstance(value, str):
        value = {"prompt": value}
    if not isinstance(value, dict):
        raise BadLineError("neither a JSON string nor a JSON object")
    if "body" in value:
        return _batch_line(value, options)
    if "messages" in value:
        return _line(value, _chat(value, options), options)
    if "prompt" in value:
        return _line(value, _prompt(value, options), options)
    raise BadLineError("has none of 'prompt', 'messages' and 'body'")


def _batch_line(value: dict[str, Any], options: RunOptions) -> Line:
    _refuse_unknown(value, _BATCH_FIELDS)
    body, url = value["body"], value.get("url", "/v1/chat/completions")
    if not isinstance(body, dict):
        raise BadLineError("'body' is not an object")
    if url not in _TYPE_BY_URL:
        raise BadLineError(f"url '{url}' is none of {', '.join(_TYPE_BY_URL)}")
    kind = _TYPE_BY_URL[url]
    if not body.get(_NEEDED[kind]):
        raise BadLineError(f"'body' has no '{_NEEDED[kind]}'")
    if body.get("stream"):
        raise BadLineError("'stream' is not possible in a file")
    custom_id = value.get("custom_id")
    if not isinstance(custom_id, str) or not custom_id:
        raise BadLineError("has no 'custom_id'")
    request = {key: part for key, part in body.items() if key != "model"}
    if options.max_tokens and kind != "embedding" and "max_completion_tokens" not in request:
        request.setdefault("max_tokens", options.max_tokens)
    task = {"model": _model(body, options), "type": kind, "input": request}
    if options.priority is not None:
        task["priority"] = options.priority
    return Line(task, custom_id, is_batch=True)


def _chat(value: dict[str, Any], options: RunOptions) -> dict[str, Any]:
    messages = value["messages"]
    if not isinstance(messages, list) or not messages:
        raise BadLineError("'messages' is not a list with something in it")
    if not all(isinstance(message, dict) and isinstance(message.get("role"), str) for message in messages):
        raise BadLineError("each of 'messages' needs a 'role'")
    system = _system(value, options)
    if system and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": system}, *messages]
    return {**{key: part for key, part in value.items() if key not in _OURS}, "messages": messages}


def _prompt(value: dict[str, Any], options: RunOptions) -> dict[str, Any]:
    _refuse_unknown(value, _PROMPT_FIELDS)
    prompt = value["prompt"]
    if not isinstance(prompt, str) or not prompt.strip():
        raise BadLineError("'prompt' is not a text with something in it")
    settings = {key: part for key, part in value.items() if key not in _OURS and key != "prompt"}
    kind = value.get("type", "chat")
    if kind == "chat":
        system = _system(value, options)
        first = [{"role": "system", "content": system}] if system else []
        return {"messages": [*first, {"role": "user", "content": prompt}], **settings}
    return {_NEEDED.get(kind, "input"): prompt, **settings}


def _line(value: dict[str, Any], request: dict[str, Any], options: RunOptions) -> Line:
    kind = value.get("type", "chat")
    if not isinstance(kind, str) or ("messages" in value and kind != "chat"):
        raise BadLineError(f"type {kind!r} does not go with the rest")
    if options.max_tokens and kind != "embedding" and "max_completion_tokens" not in request:
        request.setdefault("max_tokens", options.max_tokens)
    task: dict[str, Any] = {"model": _model(value, options), "type": kind, "input": request}
    priority = _priority(value.get("priority"), options)
    if priority is not None:
        task["priority"] = priority
    if value.get("metadata") is not None:
        task["metadata"] = _metadata(value["metadata"])
    custom_id = value.get("custom_id")
    if custom_id is not None and not isinstance(custom_id, str):
        raise BadLineError("'custom_id' is not a text")
    return Line(task, custom_id)


def _model(value: dict[str, Any], options: RunOptions) -> str:
    named = value.get("model")
    if named is not None and not isinstance(named, str):
        raise BadLineError("'model' is not a text")
    chosen = options.model if options.is_model_forced else named or options.model
    if not chosen:
        raise BadLineError("names no model; add one, or give --model")
    return chosen


def _priority(given: Any, options: RunOptions) -> int | None:
    if given is None:
        return options.priority
    from click import BadParameter

    try:
        return PRIORITY.convert(given, None, None)
    except BadParameter as error:
        raise BadLineError(f"priority {error.message}") from error


def _system(value: dict[str, Any], options: RunOptions) -> str | None:
    system = value.get("system", options.system)
    if system is not None and not isinstance(system, str):
        raise BadLineError("'system' is not a text")
    return system


def _metadata(given: Any) -> dict[str, str]:
    if not isinstance(given, dict) or not all(isinstance(part, (str, int, float)) for part in given.values()):
        raise BadLineError("'metadata' is not an object of texts")
    return {key: str(part) for key, part in given.items()}


def _refuse_unknown(value: dict[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(set(value) - known)
    if unknown:
        raise BadLineError(f"unknown field '{unknown[0]}'; known: {', '.join(sorted(known))}")

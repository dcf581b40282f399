"""The command line with one more kind of model, whose provider fails with its own key in what it raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from llm_scheduler.cli.main import main
from llm_scheduler.ports.provider import Fault, ProviderError
from llm_scheduler.providers.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llm_scheduler.ports.provider import Answer, Call


class LeakyProvider:
    """Raises what the prompt asks for."""

    def __init__(self, key: str) -> None:
        self._key = key

    async def call(self, call: Call, on_delta: Callable[[str], None] | None = None) -> Answer:
        """Never well."""
        del on_delta
        messages = cast("list[dict[str, Any]]", call.body["messages"])
        what = messages[0]["content"]
        if what == "told":
            raise ProviderError(
                "invalid_request", f"key {self._key} is bad", is_retryable=False, fault=Fault.CALLER, http_status=400
            )
        if what == "chained":
            headers: dict[str, str] = {}
            try:
                headers[f"Bearer {self._key}"]
            except KeyError as error:
                raise RuntimeError(f"no session for {self._key!r}") from error
        if what == "group":
            raise ExceptionGroup("several", [ValueError(self._key), OSError(13, "denied", f"/run/{self._key}")])
        raise ValueError(self._key)

    async def close(self) -> None:
        """Nothing is open."""


class LeakyKind:
    """A `ports.provider.ProviderKind`."""

    name = "leaky"
    task_types = frozenset({"chat"})
    secret_fields = frozenset({"api_key"})

    def check(self, config: Mapping[str, object]) -> dict[str, object]:
        """As it is."""
        return dict(config)

    def open(self, model: str, config: Mapping[str, object]) -> LeakyProvider:
        """One that knows its key."""
        del model
        return LeakyProvider(str(config["api_key"]))


if __name__ == "__main__":
    cast("dict[str, object]", KINDS)["leaky"] = LeakyKind()
    main(prog_name="llms")

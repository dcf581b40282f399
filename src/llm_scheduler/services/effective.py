"""The config that each way to a model ends up with: the model's own, and over it that of the endpoint."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.access_errors import ServerModelError
from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.ports.provider import ServerKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.model import Endpoint, Model
    from llm_scheduler.ports.provider import ProviderKind

MOST_ENDPOINTS: Final = 64


def as_called(model: Model, endpoint: str | None) -> Model:
    """The model as one of its endpoints has it: with that one's config over its own (secrets stay sealed)."""
    own = next((one.config for one in model.endpoints if one.name == endpoint), None)
    return model if own is None else replace(model, config={**model.config, **own})


def checked(kind: ProviderKind, model: Model) -> Model:
    """The model with its configs as they are kept; its secrets are plain.

    Without endpoints the config must be complete. With endpoints each of them must be together with it, and
    keeps only what it was given itself.

    Raises:
        InvalidInputError: with `loc` ("config", field) or ("endpoints", i, …).
        ServerModelError: it reaches into the server, and is not the installation's own.
    """
    _check_reach(kind, model)
    if not model.endpoints:
        return replace(model, config=kind.check(model.config))
    if len(model.endpoints) > MOST_ENDPOINTS:
        raise InvalidInputError(f"At most {MOST_ENDPOINTS} endpoints; this has {len(model.endpoints)}.", "endpoints")
    seen: set[str] = set()
    endpoints: list[Endpoint] = []
    for number, endpoint in enumerate(model.endpoints):
        if endpoint.name in seen:
            raise InvalidInputError(
                f"Two endpoints are named '{endpoint.name}'; give each a name of its own.", "endpoints", number, "name"
            )
        seen.add(endpoint.name)
        endpoints.append(replace(endpoint, config=_own(kind, model.config, endpoint, number)))
    shared = model.config
    with contextlib.suppress(InvalidInputError):  # what it lacks, every endpoint has
        shared = kind.check(shared)
    return replace(model, config=shared, endpoints=tuple(endpoints))


def _check_reach(kind: ProviderKind, model: Model) -> None:
    if model.tenant_id == DEFAULT_TENANT or not isinstance(kind, ServerKind):
        return
    for config in (model.config, *(one.config for one in model.endpoints)):
        if kind.needs_server(config):
            raise ServerModelError(kind.name)


def _own(kind: ProviderKind, shared: Mapping[str, object], endpoint: Endpoint, number: int) -> dict[str, object]:
    own = {key: value for key, value in endpoint.config.items() if value is not None}
    try:
        whole = kind.check({**shared, **own})
    except InvalidInputError as error:
        field = error.loc[1] if len(error.loc) > 1 else None
        if field in shared and field not in own:
            raise
        message = f"Endpoint '{endpoint.name}': {error}"
        raise InvalidInputError(message, "endpoints", number, *error.loc) from error
    return {key: whole[key] for key in own if key in whole}

"""Endpoints of a model: add, change, drain and remove them while it works, and see how they are."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from llm_scheduler.domain.errors import BrokerUnavailableError, EndpointTakenError, InvalidInputError
from llm_scheduler.services.models import endpoint_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llm_scheduler.domain.ids import TenantId
    from llm_scheduler.domain.model import Endpoint, Model
    from llm_scheduler.ports.broker import Broker, GateState
    from llm_scheduler.services.models import Models

_PROBE_TRUSTED_MS: Final = 10_000
"""No probe holds the others up for longer: see `brokers.throttle`."""


class EndpointStatus(StrEnum):
    """How an endpoint is; of several that are true the first counts."""

    DRAINED = "drained"
    HALF_OPEN = "half_open"
    OPEN = "open"
    THROTTLED = "throttled"
    BUSY = "busy"
    OK = "ok"
    UNKNOWN = "unknown"


class Health(NamedTuple):
    """How an endpoint is. `calls` and `failures` are of the last 30 s. None = not known."""

    status: EndpointStatus
    running: int | None = None
    calls: int | None = None
    failures: int | None = None
    wait_ms: int | None = None


UNKNOWN: Final = Health(EndpointStatus.UNKNOWN)


def health_of(gate: GateState) -> Health:
    """What the broker says of a gate, in one word."""
    waits = {hold.reason: hold.wait_ms for hold in gate.holds}
    if "drained" in waits:
        status = EndpointStatus.DRAINED
    elif "circuit" in waits:
        is_probing = gate.running > 0 and (waits["circuit"] or 0) <= _PROBE_TRUSTED_MS
        status = EndpointStatus.HALF_OPEN if is_probing else EndpointStatus.OPEN
    elif "throttled" in waits:
        status = EndpointStatus.THROTTLED
    else:
        status = EndpointStatus.BUSY if waits else EndpointStatus.OK
    timed = [wait_ms for wait_ms in waits.values() if wait_ms is not None]
    # What only an event ends has no time: the longest of the others says nothing then.
    wait_ms = max(timed) if timed and len(timed) == len(waits) else None
    return Health(status, gate.running, gate.calls, gate.failures, wait_ms)


class Endpoints:
    """Every change is one of the model: it grows its version, and calls that run go on."""

    def __init__(self, models: Models, broker: Broker) -> None:
        self._models, self.broker = models, broker

    async def health(self, model: Model) -> Mapping[str, Health]:
        """How each endpoint is; UNKNOWN while the index does not answer."""
        try:
            state = await self.broker.state(model.id)
        except BrokerUnavailableError:
            return {one.name: UNKNOWN for one in model.endpoints}
        gates = {gate.endpoint: health_of(gate) for gate in state.gates}
        return {one.name: gates.get(one.name, UNKNOWN) for one in model.endpoints}

    async def list(self, name: str, tenant_id: TenantId) -> tuple[Model, Mapping[str, Health]]:
        """The model, and how its endpoints are.

        Raises:
            ModelNotFoundError: there is none of that name.
        """
        model = self._models.get(name, tenant_id)
        return model, await self.health(model)

    async def add(self, name: str, tenant_id: TenantId, endpoint: Endpoint) -> Model:
        """One more way to the model.

        Raises:
            ModelNotFoundError: as its name says.
            EndpointTakenError: the model has one of that name.
            InvalidInputError: its config is not acceptable, together with the model's.
        """

        def added(model: Model) -> Mapping[str, Any]:
            if any(one.name == endpoint.name for one in model.endpoints):
                raise EndpointTakenError(name, endpoint.name)
            return {"endpoints": (*model.endpoints, endpoint)}

        return await self._edited(name, tenant_id, added)

    async def change(self, name: str, tenant_id: TenantId, endpoint: str, changes: Mapping[str, Any]) -> Model:
        """Change some fields. `config` is merged: a key set to None goes, a masked or absent secret stays.

        Raises:
            ModelNotFoundError, EndpointNotFoundError: as their names say.
            InvalidInputError: the config is not acceptable, together with the model's.
        """

        def changed(model: Model) -> Mapping[str, Any]:
            before = endpoint_of(model, endpoint)
            fields = dict(changes)
            if "config" in fields:
                fields["config"] = {**before.config, **fields["config"]}
            others = (replace(one, **fields) if one.name == endpoint else one for one in model.endpoints)
            return {"endpoints": tuple(others)}

        return await self._edited(name, tenant_id, changed)

    async def drain(self, name: str, tenant_id: TenantId, endpoint: str) -> Model:
        """Start nothing more through it; what runs ends, what waits goes elsewhere."""
        return await self.change(name, tenant_id, endpoint, {"is_drained": True})

    async def resume(self, name: str, tenant_id: TenantId, endpoint: str) -> Model:
        """Start through it again, also if a provider's word (a Retry-After, a used-up account) holds it up."""
        model = await self.change(name, tenant_id, endpoint, {"is_drained": False})
        await self.broker.end_pause(model.id, endpoint)
        return model

    async def remove(self, name: str, tenant_id: TenantId, endpoint: str) -> Model:
        """Take it out; what runs through it ends. Without the last one the model's own config is the way.

        Raises:
            ModelNotFoundError, EndpointNotFoundError: as their names say.
            InvalidInputError: the model's own config is not complete, and this was the last endpoint.
        """

        def removed(model: Model) -> Mapping[str, Any]:
            endpoint_of(model, endpoint)
            return {"endpoints": tuple(one for one in model.endpoints if one.name != endpoint)}

        return await self._models.edit(name, tenant_id, removed)

    async def _edited(self, name: str, tenant_id: TenantId, edited: Callable[[Model], Mapping[str, Any]]) -> Model:
        """As `Models.edit`; an error says where it stands in this endpoint."""
        try:
            return await self._models.edit(name, tenant_id, edited)
        except InvalidInputError as error:
            if error.loc[:1] != ("endpoints",):
                raise
            raise InvalidInputError(str(error), *error.loc[2:]) from error

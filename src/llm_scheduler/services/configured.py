"""Models and tenants as they are configured: of the record, or of a cache as bytes. Secrets in configs stay sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
import structlog

from llm_scheduler.domain.model import Endpoint, Model, ModelStatus, model_options
from llm_scheduler.domain.retry import RetryPolicy
from llm_scheduler.domain.tenant import Tenant, TenantState, tenant_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.ports.cache import ReadThrough
    from llm_scheduler.ports.store import Store
    from llm_scheduler.services.secrets import Secrets

_log = structlog.get_logger(__name__)
CATALOGUE_KEY: Final = "catalogue:3"
"""The number grows with the shape of what is kept, so that releases side by side do not misread each other."""


class Configured(NamedTuple):
    """What the record says is configured."""

    models: Sequence[Model]
    tenants: Sequence[Tenant]


class ConfiguredSource:
    """Reads it from the nearest cache, or the record."""

    def __init__(self, store: Store, cache: ReadThrough | None, secrets: Secrets) -> None:
        self._store, self._cache, self._secrets = store, cache, secrets

    async def read(self) -> Configured:
        """What there is, perhaps as it was a moment ago."""
        if self._cache is None:
            return await self._recorded()
        kept = await self._cache.fetch(CATALOGUE_KEY, self._packed)
        # Kept before everything was sealed anew, perhaps: the record knows better.
        if kept is not None and self._secrets.opens(kept.decode()):
            try:
                return unpacked(kept)
            except (ValueError, KeyError, TypeError) as error:
                _log.warning("cached_catalogue_unreadable", error=str(error))
                await self.changed()
        return await self._recorded()

    async def changed(self) -> None:
        """The record has other models or tenants than before: every copy of them, here or elsewhere, is to go."""
        if self._cache is not None:
            await self._cache.drop([CATALOGUE_KEY])

    async def _recorded(self) -> Configured:
        return Configured(await self._store.models(), await self._store.tenants())

    async def _packed(self) -> bytes:
        return packed(await self._recorded())


def packed(configured: Configured) -> bytes:
    """For the cache."""
    return orjson.dumps(configured._asdict())


def unpacked(kept: bytes) -> Configured:
    """What `packed` wrote."""
    found = orjson.loads(kept)
    models = [
        Model(
            **{
                **fields,
                "status": ModelStatus(fields["status"]),
                "retry": RetryPolicy(**fields["retry"]),
                "options": model_options(fields["options"]),
                "endpoints": tuple(Endpoint(**one) for one in fields["endpoints"]),
            }
        )
        for fields in found["models"]
    ]
    return Configured(models, [_tenant(fields) for fields in found["tenants"]])


def _tenant(fields: dict[str, Any]) -> Tenant:
    quotas, kept = tenant_options(fields)
    given = {**fields, "quotas": quotas, "store_payloads": kept, "state": TenantState(fields["state"])}
    return Tenant(**given)

"""Models and tenants as bytes, for a cache. Secrets in configs stay sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from llm_scheduler.domain.model import Endpoint, Model, ModelStatus, model_options
from llm_scheduler.domain.retry import RetryPolicy
from llm_scheduler.domain.tenant import Tenant, TenantState, tenant_options

if TYPE_CHECKING:
    from collections.abc import Sequence

CATALOGUE_KEY: Final = "catalogue:3"
"""The number grows with the shape of what is kept, so that releases side by side do not misread each other."""


class Configured(NamedTuple):
    """What the record says is configured."""

    models: Sequence[Model]
    tenants: Sequence[Tenant]


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

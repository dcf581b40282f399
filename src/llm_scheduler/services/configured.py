"""Models and tenants as bytes, for a cache. Secrets in configs stay sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from llm_scheduler.domain.model import Endpoint, Model, ModelStatus, Tenant, model_options
from llm_scheduler.domain.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

CATALOGUE_KEY: Final = "catalogue:2"
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
    return Configured(models, [Tenant(**fields) for fields in found["tenants"]])

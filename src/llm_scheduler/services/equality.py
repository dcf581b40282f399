"""When two tasks are equal: same tenant, same model as it is configured, same type, same request."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import orjson

from llm_scheduler.domain.task import CONFIG_DIGEST_CHARS

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from llm_scheduler.domain.ids import TenantId
    from llm_scheduler.domain.model import Model

KEY_CHARS: Final = 64


def config_digest(model: Model, secret_fields: Set[str]) -> str:
    """Of all that decides where calls of the model go and what they ask for there.

    Secrets are left out: sealing gives another text each time, and a new key gives no other answers.
    Pausing or scaling a model does not change it, nor does draining an endpoint.
    """
    parts: list[object] = [model.id, model.type, _open_part(model.config, secret_fields)]
    # Only if there are any: keys of models without endpoints go on matching.
    if model.endpoints:
        parts.append({one.name: _open_part(one.config, secret_fields) for one in model.endpoints})
    text = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:CONFIG_DIGEST_CHARS]


def _open_part(config: Mapping[str, object], secret_fields: Set[str]) -> dict[str, object]:
    return {name: value for name, value in config.items() if name not in secret_fields}


def cache_key(tenant_id: TenantId, digest: str, task_type: str, body: Mapping[str, object]) -> str:
    """64 characters, the same for equal tasks; `digest` is that of the model's config, and stands first."""
    text = orjson.dumps([tenant_id, digest, task_type, body], option=orjson.OPT_SORT_KEYS)
    return digest + hashlib.sha256(text).hexdigest()[: KEY_CHARS - CONFIG_DIGEST_CHARS]

"""How secrets are named at rest and shown to people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import TenantId, UserId

SEALED: Final = "sealed:"
"""What a sealed secret begins with inside a model's config."""
SEALED_TEXT: Final = re.compile(r"\bv1\.([0-9a-f]{8})\.[A-Za-z0-9+/]{20,}={0,2}")
"""A sealed text anywhere in another one; its group is the id of the key that opens it."""
LASTING: Final = re.compile(r"(?:model|endpoint|signing-key):|user:\d+:totp\Z")
"""Begins the contexts of secrets that are stored; others are sealed for a few minutes, say in a cookie."""
_SHORTEST_SHOWN: Final = 12


def mask(secret: str) -> str:
    """`sk-…1234`: enough to recognise, too little to use."""
    if len(secret) < _SHORTEST_SHOWN:
        return "…"
    head = secret[:3] if secret.startswith("sk-") else ""
    return f"{head}…{secret[-4:]}"


def model_context(tenant_id: TenantId, model: str, key: str) -> str:
    """Where a secret of a model's own config may be opened."""
    return f"model:{tenant_id}:{model}:{key}"


def endpoint_context(tenant_id: TenantId, model: str, endpoint: str, key: str) -> str:
    """Where a secret of an endpoint may be opened. A model's name may hold a colon, an endpoint's and a key may not."""
    return f"endpoint:{tenant_id}:{model}:{endpoint}:{key}"


def totp_context(user_id: UserId) -> str:
    """Where the secret of a user's second factor may be opened."""
    return f"user:{user_id}:totp"


def signing_key_context(kid: str) -> str:
    """Where a key that signs access tokens may be opened."""
    return f"signing-key:{kid}"

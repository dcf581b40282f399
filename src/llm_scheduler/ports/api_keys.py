"""API keys in the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llm_scheduler.domain.access import ApiKey
    from llm_scheduler.domain.ids import KeyId, Millis, TenantId, UserId


class KeyFilter(NamedTuple):
    """Which keys are meant. `after_id` is the last one of the page before; pages go from new to old."""

    tenant_id: TenantId
    user_id: UserId | None = None
    with_revoked: bool = False
    after_id: KeyId | None = None


class KeysMoves(Protocol):
    """What is written and asked of them."""

    async def api_keys(self, where: KeyFilter, limit: int) -> Sequence[ApiKey]:
        """A page, newest first."""
        ...

    async def api_key(self, key_id: KeyId) -> ApiKey | None:
        """One, also if it is revoked."""
        ...

    async def add_api_key(self, key: ApiKey) -> ApiKey:
        """Insert; the answer has id and time."""
        ...

    async def change_api_key(self, key_id: KeyId, changes: Mapping[str, object]) -> ApiKey | None:
        """Set some of: name, scopes, limits, expires_at. None: it is gone.

        Raises:
            ApiKeyRevokedError: nothing of it can be changed any more.
        """
        ...

    async def revoke_api_key(self, key_id: KeyId) -> ApiKey | None:
        """It is good for nothing from now on; the first time counts. None: it is gone."""
        ...

    async def renew_api_key(self, key_id: KeyId, fresh: ApiKey, overlap_ms: int) -> tuple[ApiKey, ApiKey] | None:
        """Insert a key beside this one, which ends `overlap_ms` from now at the latest: (new, old). None: it is gone.

        Raises:
            ApiKeyRevokedError: there is nothing to renew.
        """
        ...

    async def note_keys_used(self, key_ids: Iterable[KeyId], at: Millis) -> None:
        """They were used about then; an older time than the one that is known is passed over."""
        ...

    async def forget_api_keys(self, before: Millis, limit: int) -> int:
        """Delete keys that were revoked or over before then; how many."""
        ...

"""`ports.api_keys.KeysMoves`: API keys for both engines."""

from __future__ import annotations

from llm_scheduler.stores.portable.access import Access


class KeysCalls(Access):
    """See the port for what each call promises."""

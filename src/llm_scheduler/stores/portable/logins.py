"""`ports.logins.LoginsMoves`: sign-ins and the keys that sign tokens for both engines."""

from __future__ import annotations

from llm_scheduler.stores.portable.access import Access


class LoginsCalls(Access):
    """See the port for what each call promises."""

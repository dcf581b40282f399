"""Who was here: noted in memory with each request, kept now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import UserId
    from llm_scheduler.ports.accounts import AccountMoves

KEEP_EVERY_S: Final = 60.0


class Presence:
    """`last_seen_at` of users, exact to a minute."""

    def __init__(self, store: AccountMoves) -> None:
        self._store = store
        self._seen: set[UserId] = set()

    def note(self, user_id: UserId) -> None:
        """They are here."""
        self._seen.add(user_id)

    async def keep(self) -> None:
        """Write down who was."""
        if not self._seen:
            return
        seen, self._seen = self._seen, set()
        try:
            await self._store.note_seen(seen)
        except BaseException:
            self._seen |= seen
            raise

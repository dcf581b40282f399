"""A second look at who was refused: another process may have let them in a moment ago."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_scheduler.ports.tokens import Tokens
    from llm_scheduler.services.directory import Directory


class LateNews:
    """Asks the record, which the door does not, and only for a token that one of us has signed.

    Without it the first request after signing in could be refused, if it comes to another process than the sign-in.
    """

    def __init__(self, directory: Directory, tokens: Tokens) -> None:
        self._directory, self._tokens = directory, tokens

    async def came(self, credential: str) -> bool:
        """Whether something was learned for which it is worth to knock again."""
        if credential.count(".") != 2:
            return False
        was_known = self._tokens.read(credential) is not None
        if not was_known and not await self._tokens.learn(credential):
            return False
        return await self._directory.refresh() or not was_known

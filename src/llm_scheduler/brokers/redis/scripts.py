"""The Lua scripts: one per operation, known to the server by the SHA of their text.

A new release with another text is another script, so old and new processes run side by side. A server that
has forgotten a script (SCRIPT FLUSH, a restart, another node) is sent the text again.
"""

from __future__ import annotations

from hashlib import sha1
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import NoScriptError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.brokers.redis.connection import Client

_PARTS: Final = {
    "claim": ("lane", "limits", "gates", "turn"),
    "enqueue": ("lane", "waiting"),
    "release": ("lane", "waiting", "limits", "gates", "slots"),
    "remove": ("lane", "waiting"),
    "reconcile": ("lane", "waiting", "gates", "slots"),
    "remember": ("lane", "limits", "gates"),
    "rules": ("lane", "limits", "gates"),
    "tenants": ("lane",),
    "throttle": ("lane", "gates"),
    "pace": ("lane", "limits", "gates"),
    "state": ("lane", "limits", "gates", "turn"),
    "drop": ("lane", "limits", "gates"),
    "depth": ("lane",),
    "position": ("lane",),
    "pulse": ("life",),
    "finish": ("life",),
}
"""What stands before a script besides `shard.lua`: the less, the faster it begins."""
_ALONE: Final = frozenset({"rate"})
"""Scripts that have nothing to do with shards: nothing stands before them."""


class Script:
    """One operation."""

    def __init__(self, name: str) -> None:
        folder = files("llm_scheduler.brokers.redis") / "lua"
        self.name = name
        before = () if name in _ALONE else ("shard", *_PARTS.get(name, ()))
        parts = [(folder / f"{one}.lua").read_text("utf-8") for one in (*before, name)]
        if "lane" in _PARTS.get(name, ()):
            # What follows lane.lua is a function of its own: Lua looks up what a closure captures of its own function's
            # locals one by one, so the fewer of them stand beside each other, the faster a script begins.
            parts[2:] = ["return (function()", *parts[2:], "end)()"]
        self._text = "\n".join(parts)
        self._sha = sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: Client, key: str, arguments: Sequence[bytes | str | int]) -> Any:
        """Its answer. The key says which shard.

        Raises:
            RedisError: it did not run, or nobody knows whether it did.
        """
        try:
            return await client.execute_command("EVALSHA", self._sha, 1, key, *arguments)
        except NoScriptError:
            return await client.execute_command("EVAL", self._text, 1, key, *arguments)


CLAIM: Final = Script("claim")
ENQUEUE: Final = Script("enqueue")
RELEASE: Final = Script("release")
REMOVE: Final = Script("remove")
RECONCILE: Final = Script("reconcile")
REMEMBER: Final = Script("remember")
RULES: Final = Script("rules")
TENANTS: Final = Script("tenants")
THROTTLE: Final = Script("throttle")
PACE: Final = Script("pace")
STATE: Final = Script("state")
DROP: Final = Script("drop")
DEPTH: Final = Script("depth")
POSITION: Final = Script("position")
PULSE: Final = Script("pulse")
ELECT: Final = Script("elect")
RENEW: Final = Script("renew")
FINISH: Final = Script("finish")
LEAD: Final = Script("lead")
WITNESS: Final = Script("witness")
RATE: Final = Script("rate")

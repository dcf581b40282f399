"""The short way to a route: two look-ups instead of a scan of every route's pattern.

It only finds what the router would find; whatever it does not know goes to the router.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from llm_scheduler.api.operations import DirectRoute

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send

_LAST_FIELD: Final = re.compile(r"([^{}]*/){(\w+)(?::path)?}")


class Switch:
    """Finds routes with a fixed path, or with one field at the end.

    Args:
        routes: in the order in which the router tries them.
        router: for everything else.
    """

    def __init__(self, routes: Iterable[BaseRoute], router: ASGIApp) -> None:
        self._router = router
        self._fixed: dict[tuple[str, str], DirectRoute] = {}
        self._last: dict[tuple[str, str], tuple[DirectRoute, str]] = {}
        for route in routes:
            if isinstance(route, DirectRoute):
                self._add(route)

    def _add(self, route: DirectRoute) -> None:
        field = _LAST_FIELD.fullmatch(route.path)
        for method in route.methods or ():
            if field is not None:
                self._last.setdefault((method, field[1]), (route, field[2]))
            elif "{" not in route.path:
                self._fixed.setdefault((method, route.path), route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on to the route."""
        method, path = scope["method"], scope["path"]
        route = self._fixed.get((method, path))
        if route is None:
            start = path.rfind("/") + 1
            found = self._last.get((method, path[:start]))
            if found is None or start == len(path):
                await self._router(scope, receive, send)
                return
            route = found[0]
            scope["path_params"] = {found[1]: path[start:]}
        scope["route"] = route
        await route.app(scope, receive, send)

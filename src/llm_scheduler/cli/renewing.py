"""Sends the access token of a kept sign-in, and renews it when the server says that it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httpx2

from llm_scheduler import __version__
from llm_scheduler.cli.faults import CliError
from llm_scheduler.cli.kept_login import KeptLogin, alone, keep_login, kept_login

if TYPE_CHECKING:
    from collections.abc import Generator

_OVER: Final = 401


class LoginAuth(httpx2.Auth):
    """For one server."""

    def __init__(self, url: str, login: KeptLogin) -> None:
        self._url, self._login = url, login

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Send; if refused, renew and send once more: what is refused for its token was not begun."""
        used = self._login
        request.headers["Authorization"] = f"Bearer {used.access_token}"
        response = yield request
        if response.status_code != _OVER:
            return
        response.read()
        with alone():
            # Another process may have done it while this one waited.
            self._login = kept_login(self._url) or used
            if self._login == used:
                self._login = yield from self._renewed(used)
        request.headers["Authorization"] = f"Bearer {self._login.access_token}"
        yield request

    def _renewed(self, used: KeptLogin) -> Generator[httpx2.Request, httpx2.Response, KeptLogin]:
        body = {"refresh_token": used.refresh_token}
        headers = {"User-Agent": f"llm-scheduler-cli/{__version__}"}
        response = yield httpx2.Request("POST", f"{self._url}/api/v1/auth/refresh", json=body, headers=headers)
        response.read()
        if response.status_code == _OVER:
            keep_login(self._url, None)
            raise CliError(
                f"Your sign-in at {self._url} is over.",
                "Sign in again: llms login. Else commands go by LLMS_API_KEY, on the server's machine by its own key.",
            )
        if response.status_code != 200:
            raise CliError(
                f"Your sign-in at {self._url} could not be renewed ({response.status_code}).",
                "Try again in a moment; or sign in again: llms login",
            )
        login = KeptLogin.of(response.json())
        keep_login(self._url, login)
        return login

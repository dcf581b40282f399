"""A real server with teams in it: tenants `acme` and `bolt`, and somebody of every role in each."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import httpx2
from tests.live import KEY, Server, server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD: Final = "four words of nobody's own"
TENANTS: Final = ("acme", "bolt")
ROLES: Final = ("owner", "developer", "viewer")


class House:
    """The server, and requests as anybody; `root` is the installation's own key."""

    def __init__(self, live: Server) -> None:
        self.live, self.root = live, KEY
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{live.port}", timeout=60)

    def ask(self, who: str | None, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        """One request with that key or token; cookies are not kept."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if who is not None:
            given["Authorization"] = f"Bearer {who}"
        self.http.cookies.clear()
        return self.http.request(method, path, json=body, headers=given)

    def done(self, who: str, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """What is answered to a request that must succeed."""
        answer = self.ask(who, method, path, body, **headers)
        assert answer.status_code < 300, (method, path, answer.text)
        return answer.json() if answer.content else None

    def refused(self, status: int, who: str | None, method: str, path: str, body: Any = None, **headers: str) -> str:
        """Of a request that must be refused so: its code."""
        answer = self.ask(who, method, path, body, **headers)
        assert answer.status_code == status, (method, path, answer.status_code, answer.text)
        return answer.json()["code"]

    def sign_in(self, username: str, **fields: Any) -> dict[str, Any]:
        """The answer to a sign-in without cookies."""
        body = {"username": username, "password": PASSWORD, "cookie": False, **fields}
        answer = self.ask(None, "POST", "/api/v1/auth/login", body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def token(self, username: str, **fields: Any) -> str:
        """An access token."""
        return self.sign_in(username, **fields)["access_token"]

    def add_user(self, username: str, tenant: str | None = None, role: str = "developer", **fields: Any) -> None:
        """Somebody with PASSWORD, perhaps in a tenant."""
        self.done(self.root, "POST", "/api/v1/users", {"username": username, "password": PASSWORD, **fields})
        if tenant is not None:
            self.done(self.root, "PUT", f"/api/v1/members/{username}", {"role": role}, X_Tenant=tenant)

    def key(self, who: str, **fields: Any) -> str:
        """The text of a new API key of one's own, or of `user`."""
        return self.done(who, "POST", "/api/v1/api-keys", {"name": "k", **fields})["key"]

    def task(self, who: str, **fields: Any) -> int:
        """The id of a new task; it waits for ever unless `run_at` is given."""
        body = {"model": "shared", "input": "Hi", "run_at": "2100-01-01T00:00:00Z", **fields}
        return self.done(who, "POST", "/api/v1/tasks", {name: one for name, one in body.items() if one is not None})[
            "id"
        ]


@contextlib.contextmanager
def house(folder: Path, **settings: str) -> Iterator[House]:
    """With a model `shared` of the installation's."""
    with server(folder, **settings) as live:
        live.add_model("shared")
        made = House(live)
        for tenant in TENANTS:
            made.done(made.root, "POST", "/api/v1/tenants", {"name": tenant})
            for role in ROLES:
                made.add_user(f"{role}-{tenant}", tenant, role)
        try:
            yield made
        finally:
            made.http.close()

"""A real OpenID Connect provider as a process of its own (oidc-provider-mock), with PKCE enforced around it.

Run as a program: `python -m tests.rig.oidc_provider PORT`.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2

from tests.rig.process import Process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


class OidcProvider(Process):
    """The provider; `sign_in` does what a person does in their browser there."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__([sys.executable, "-m", "tests.rig.oidc_provider", str(port)], folder, "oidc")
        self.issuer = f"http://127.0.0.1:{port}"

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            return httpx2.get(f"{self.issuer}/.well-known/openid-configuration").status_code == 200
        except httpx2.HTTPError:
            return False

    def set_user(self, subject: str, **claims: Any) -> None:
        """Somebody whom it knows."""
        assert httpx2.put(f"{self.issuer}/users/{subject}", json=claims).status_code == 204

    def sign_in(self, url: str, subject: str, *, action: str = "") -> str:
        """Where the browser is sent back to, after somebody signed in (or refused) at the address it was sent to."""
        answer = httpx2.post(url, data={"sub": subject, "action": action}, follow_redirects=False)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]


class _Pkce:
    """WSGI around the provider: a code goes out with a challenge and comes back with what it was made from."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app, self._challenges = app, dict[str, str]()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path, asked = environ["PATH_INFO"], parse_qs(environ.get("QUERY_STRING", ""))
        if path == "/oauth2/authorize":
            if asked.get("code_challenge_method") != ["S256"] or not asked.get("nonce"):
                return _refused(start)

            def watched(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
                location = dict(headers).get("Location", "")
                for code in parse_qs(urlsplit(location).query).get("code", []):
                    self._challenges[code] = asked["code_challenge"][0]
                return start(status, headers, *rest)

            return self._app(environ, watched)
        if path == "/oauth2/token":
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            form = parse_qs(body.decode())
            verifier = form.get("code_verifier", [""])[0]
            digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
            if self._challenges.pop(form.get("code", [""])[0], None) != digest:
                return _refused(start)
            kept = {name: values[0] for name, values in form.items() if name != "code_verifier"}
            sent = urlencode(kept).encode()
            environ |= {"wsgi.input": io.BytesIO(sent), "CONTENT_LENGTH": str(len(sent))}
        return self._app(environ, start)


def _refused(start: Callable[..., Any]) -> Iterable[bytes]:
    start("400 Bad Request", [("Content-Type", "application/json")])
    return [b'{"error": "invalid_grant"}']


def main(port: int) -> None:
    """Serve until it is killed."""
    from wsgiref.simple_server import WSGIRequestHandler, make_server

    from oidc_provider_mock import app

    class Quiet(WSGIRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            sys.stderr.write(re.sub(r"code=[^& ]+", "code=…", format % args) + "\n")

    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    make_server("127.0.0.1", port, _Pkce(app(require_nonce=True)), handler_class=Quiet).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))

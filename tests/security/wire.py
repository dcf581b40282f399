"""Bytes on a socket: what no client library would send."""

from __future__ import annotations

import re
import socket
import time
from typing import Final

from tests.live import KEY

AUTH: Final = f"Authorization: Bearer {KEY}\r\n".encode()
_STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class Heard:
    """What came back until the server was silent or hung up."""

    def __init__(self, data: bytes, is_closed: bool) -> None:
        self.data, self.is_closed = data, is_closed

    @property
    def statuses(self) -> list[int]:
        """Of every answer, in order."""
        return [int(one) for one in _STATUS.findall(self.data)]


def spoken(port: int, *pieces: bytes, quiet_s: float = 1.0, within_s: float = 20.0) -> Heard:
    """Send pieces, one after the other; listen until nothing more has come for a while."""
    data = b""
    is_closed = False
    with socket.create_connection(("127.0.0.1", port), timeout=within_s) as line:
        try:
            for piece in pieces:
                line.sendall(piece)
        except OSError:
            is_closed = True
        until = time.monotonic() + within_s
        line.settimeout(within_s)
        while time.monotonic() < until:
            try:
                part = line.recv(65536)
            except TimeoutError:
                break
            except OSError:
                is_closed = True
                break
            if not part:
                is_closed = True
                break
            data += part
            line.settimeout(quiet_s)
    return Heard(data, is_closed)


def request(method: str, target: str, *headers: str, body: bytes = b"") -> bytes:
    """A request with a key, in one piece; `target` as it is."""
    lines = [f"{method} {target} HTTP/1.1", "Host: x", *headers, ""]
    return "\r\n".join(lines).encode("latin-1") + AUTH + b"\r\n" + body

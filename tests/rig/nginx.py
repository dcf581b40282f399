"""nginx in front of several API processes: round robin, the next one when one does not answer, streams unbuffered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.live import free_port, listens, wait_until
from tests.rig.process import Process, program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_CONFIG: Final = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream api {{
{servers}
    keepalive 64;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    client_max_body_size 0;
    location {at} {{
      proxy_pass http://api{to};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      # Events must reach the reader when they happen, and a bulk body the server while it is sent.
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_read_timeout 1h;
      proxy_next_upstream error timeout;
      proxy_connect_timeout 2s;
    }}
  }}
}}
"""


class Nginx:
    """One nginx of its own, on a free port, before the given ports of 127.0.0.1.

    Args:
        folder: for its files.
        ports: of the servers behind it.
        prefix: the path under which it shows them, such as `/llm`; everything else is not found.
        is_stripping: whether the prefix is taken away before a request is handed on.
    """

    def __init__(self, folder: Path, ports: Sequence[int], prefix: str = "", *, is_stripping: bool = False) -> None:
        self.folder, self.port = folder, free_port()
        folder.mkdir(parents=True, exist_ok=True)
        servers = "\n".join(f"    server 127.0.0.1:{port} max_fails=1 fail_timeout=1s;" for port in ports)
        config = folder / "nginx.conf"
        at, to = f"{prefix}/", "/" if is_stripping else ""
        config.write_text(_CONFIG.format(folder=folder, servers=servers, port=self.port, at=at, to=to))
        self.process = Process([program("nginx"), "-p", str(folder), "-c", str(config)], folder, "nginx")

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until it listens."""
        self.process.start()
        wait_until("nginx listens", self._listens, 20)

    def _listens(self) -> bool:
        assert self.process.is_running, self.process.log[-2000:]
        return listens(self.port)

    def close(self) -> None:
        """Leave nothing running: the master takes its worker along."""
        self.process.stop(5)

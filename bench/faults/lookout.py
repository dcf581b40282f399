"""Watches whether anybody is there who could rescue a dead worker's tasks."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

import httpx2

if TYPE_CHECKING:
    from collections.abc import Sequence

EVERY_S, PATIENCE_S = 0.2, 1.0


class Lookout:
    """Asks every process all the time whether it is ready; a thread each, for a frozen one does not answer.

    Attributes:
        unattended: from when to when (milliseconds of the wall clock) no process was ready.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self.unattended: list[tuple[int, int]] = []
        self._ready = dict.fromkeys(urls, True)
        self._nobody_since: int | None = None
        self._lock, self._over = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._watch, args=(url,), daemon=True) for url in urls]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._note()

    def _watch(self, url: str) -> None:
        with httpx2.Client(base_url=url, timeout=PATIENCE_S) as http:
            while not self._over.wait(EVERY_S):
                is_ready = _is_ready(http)
                with self._lock:
                    self._ready[url] = is_ready
                    self._note()

    def _note(self) -> None:
        now = time.time_ns() // 1_000_000
        if not any(self._ready.values()):
            self._nobody_since = self._nobody_since or now
        elif self._nobody_since is not None:
            self.unattended.append((self._nobody_since, now))
            self._nobody_since = None


def _is_ready(http: httpx2.Client) -> bool:
    try:
        return http.get("/readyz").status_code == httpx2.codes.OK
    except httpx2.HTTPError:
        return False

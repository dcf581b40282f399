"""A TCP proxy that does what networks do: delay, cut, refuse, go silent, at a moment that a test chooses.

It runs in a thread of its own, so it serves servers and clients of this process and of others:

    with Proxy(server.port) as proxy:
        trap = proxy.trap(b"COMMIT", Fate.LOSE_ANSWER)
        ...                       # the client talks to proxy.port
        assert trap.wait(5)       # the server has committed, the client saw its connection reset
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Self

from tests.live import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

_RESET = struct.pack("ii", 1, 0)
CHUNK = 2**16


class Fate(Enum):
    """What becomes of a connection when a trap is sprung."""

    CUT = auto()
    """What was sent does not arrive; both sides are reset."""
    LOSE_ANSWER = auto()
    """It arrives and is answered, but the answer is lost and the client is reset."""
    CUT_AFTER = auto()
    """It arrives; the client is reset without waiting for an answer, the server a moment later."""
    SWALLOW = auto()
    """It does not arrive, and the connection stays open in silence: half-open."""
    MUTE = auto()
    """It arrives, but nothing comes back any more; the connection stays open."""
    HOLD = auto()
    """It waits until `Trap.release`."""


@dataclass
class Trap:
    """Springs on bytes of the client (or the server) that contain `pattern`, the first `times` times after `skip`."""

    pattern: bytes
    fate: Fate
    is_from_server: bool = False
    times: int = 1
    skip: int = 0
    sprung: int = 0
    _event: threading.Event = field(default_factory=threading.Event)
    _released: threading.Event = field(default_factory=threading.Event)

    def wait(self, within_s: float) -> bool:
        """Whether it was sprung in time."""
        return self._event.wait(within_s)

    def release(self) -> None:
        """Let what is held go on."""
        self._released.set()

    def takes(self, data: bytes, is_from_server: bool) -> bool:
        """Whether these bytes spring it (called by the proxy only)."""
        if self.is_from_server is not is_from_server or self.sprung >= self.times or self.pattern not in data:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.sprung += 1
        return True

    def tell(self) -> None:
        """It has happened (called by the proxy only)."""
        self._event.set()

    async def held(self) -> None:
        """Until released (called by the proxy only)."""
        while not self._released.is_set():  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.005)


class _Line:
    """One client and its connection to the server."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.proxy, self.client, self.server = proxy, client, server
        self.is_mute = self.is_cut = False
        self.losing: Trap | None = None

    def cut(self) -> None:
        self.is_cut = True
        for writer in (self.client, self.server):
            _reset(writer)

    def leave_server(self) -> None:
        self.is_mute = self.is_cut = True
        _reset(self.client)

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_from_server: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if self.proxy.delay_s:
                    await asyncio.sleep(self.proxy.delay_s)
                await self.proxy.flowing()
                if self.is_cut or not await self._passes(data, is_from_server):
                    continue
                writer.write(data)
                await writer.drain()
        if not self.is_mute and not writer.is_closing():
            writer.close()

    async def _passes(self, data: bytes, is_from_server: bool) -> bool:
        if is_from_server and self.losing is not None:
            trap, self.losing = self.losing, None
            self.cut()
            trap.tell()
            return False
        if self.is_mute and is_from_server:
            return False
        trap = self.proxy.sprung(data, is_from_server)
        return True if trap is None else await self._spring(trap, data)

    async def _spring(self, trap: Trap, data: bytes) -> bool:
        match trap.fate:
            case Fate.CUT:
                self.cut()
            case Fate.LOSE_ANSWER:
                self.losing = trap
                return True
            case Fate.CUT_AFTER:
                self.server.write(data)
                await self.server.drain()
                self.is_cut = True
                _reset(self.client)
                self.server.close()
            case Fate.SWALLOW:
                self.is_mute = True
            case Fate.MUTE:
                self.is_mute = True
                trap.tell()
                return True
            case Fate.HOLD:
                trap.tell()
                await trap.held()
                return True
        trap.tell()
        return False


class Proxy:
    """Listens on `port` and passes to `target_port` of this machine."""

    def __init__(self, target_port: int) -> None:
        self.target_port, self.port = target_port, free_port()
        self.delay_s = 0.0
        """Added to every piece, in both directions."""
        self.accepted = 0
        self._traps: list[Trap] = []
        self._lines: set[_Line] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_flowing = True
        self._listener: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._is_flowing = True
        self._do(self._leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def open_count(self) -> int:
        """Connections open now."""
        return len(self._lines)

    def trap(self, pattern: bytes, fate: Fate, **options: Any) -> Trap:
        """Something to happen when these bytes come by; see `Trap` for the options."""
        trap = Trap(pattern, fate, **options)
        self._traps.append(trap)
        return trap

    def clear(self) -> None:
        """No more traps."""
        self._traps.clear()

    def leave_server(self) -> None:
        """Reset every client but tell the server nothing: to it the connections seem to live on."""
        self._do(self._call(self._leave_server))

    def cut(self) -> None:
        """Reset every connection now; new ones are taken."""
        self._do(self._call(self._cut_all))

    def refuse(self) -> None:
        """Reset every connection and take no new ones."""
        self._do(self._unlisten())
        self.cut()

    def accept(self) -> None:
        """Take connections again, on the same port."""
        self._do(self._listen())

    def freeze(self) -> None:
        """Everything stays open, connections are taken, and no byte moves: a frozen host or a lost route."""
        self._is_flowing = False

    def thaw(self) -> None:
        """What was held moves on."""
        self._is_flowing = True

    async def flowing(self) -> None:
        """Until bytes may move (for the lines)."""
        while not self._is_flowing:  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.005)

    def sprung(self, data: bytes, is_from_server: bool) -> Trap | None:
        """The first trap that these bytes spring (for the lines)."""
        return next((trap for trap in self._traps if trap.takes(data, is_from_server)), None)

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    @staticmethod
    async def _call(work: Callable[[], None]) -> None:
        work()

    def _cut_all(self) -> None:
        for line in list(self._lines):
            line.cut()

    def _leave_server(self) -> None:
        for line in list(self._lines):
            line.leave_server()

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _unlisten(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _leave(self) -> None:
        await self._unlisten()
        self._cut_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(asyncio.CancelledError):
            await self.flowing()
            try:
                theirs, server = await asyncio.open_connection("127.0.0.1", self.target_port)
            except OSError:
                _reset(writer)
                return
            line = _Line(self, writer, server)
            self._lines.add(line)
            try:
                await asyncio.gather(line.pump(reader, server, False), line.pump(theirs, writer, True))
            finally:
                self._lines.discard(line)
                for one in (writer, server):
                    _reset(one)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, whatever is unsent."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()

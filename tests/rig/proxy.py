"""A TCP proxy between a client and a server of ours, which delays, cuts, holds or redirects what passes."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from tests.live import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Proxy:
    """Listens on a port of its own, in a thread of its own. Every method may be called from any thread.

    Args:
        target: port on 127.0.0.1 that new connections are led to; may be changed while it runs.
    """

    def __init__(self, target: int) -> None:
        self.target, self.port = target, free_port()
        self._delay_s = 0.0
        self._is_open = True
        self._flowing = asyncio.Event()
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._pipes: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{self.port}", daemon=True)
        self._server: asyncio.Server | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def delay(self, seconds: float) -> None:
        """From now on every piece arrives so much later, in each direction."""
        self._delay_s = seconds

    def hold(self) -> None:
        """Half-open: nothing passes, nothing is closed, new connections are taken and hang."""
        self._do(self._flowing.clear)

    def cut(self) -> None:
        """Break every connection; new ones are broken at once, until `heal`."""
        self._is_open = False
        self._do(self._abort_all)

    def drop(self) -> None:
        """Break every connection; new ones go through."""
        self._do(self._abort_all)

    def heal(self) -> None:
        """Neither held nor cut nor late."""
        self._is_open, self._delay_s = True, 0.0
        self._do(self._flowing.set)

    def close(self) -> None:
        """Stop listening and end the thread."""
        if not self._thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _do(self, action: Callable[[], T]) -> T:
        async def run() -> T:
            return action()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    async def _listen(self) -> None:
        self._flowing.set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        self._abort_all()
        for pipe in list(self._pipes):
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    def _abort_all(self) -> None:
        for pair in list(self._pairs):
            for side in pair:
                side.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._is_open:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, far_writer)
        self._pairs.add(pair)
        pipes = [
            self._spawn(self._pipe(reader, far_writer)),
            self._spawn(self._pipe(far_reader, writer)),
        ]
        try:
            await asyncio.wait(pipes)
        finally:
            self._pairs.discard(pair)
            for side in pair:
                side.transport.abort()

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._pipes.add(task)
        task.add_done_callback(self._pipes.discard)
        return task

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction. Pieces overtake nothing, and a late one does not make the next one later still."""
        late: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=1_000)
        pump = self._spawn(self._pump(late, writer))
        try:
            while data := await reader.read(1 << 16):
                await late.put((self._loop.time() + self._delay_s, data))
            await late.put((self._loop.time() + self._delay_s, b""))
            await pump
        except OSError:
            writer.transport.abort()
        finally:
            pump.cancel()

    async def _pump(self, late: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        while True:
            due_s, data = await late.get()
            if (left_s := due_s - self._loop.time()) > 0:
                await asyncio.sleep(left_s)
            await self._flowing.wait()
            if not data:
                writer.close()
                return
            try:
                writer.write(data)
                await writer.drain()
            except OSError:
                return

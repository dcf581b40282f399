"""The proxy that cuts and freezes connections for other tests."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.rig.traps import Fate, Proxy

REPLY_S = 5


class Echo:
    """A server that answers each line with itself, and keeps what it got."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                self.got.append(line)
                writer.write(line)
        except OSError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    echo.port = server.sockets[0].getsockname()[1]
    yield echo
    server.close()


async def said(port: int, *lines: bytes) -> bytes:
    """The answer to the last line; empty if the connection was closed or reset."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        for line in lines:
            writer.write(line)
            answer = await reader.readline()
    except OSError:
        answer = b""
    finally:
        writer.transport.abort()
    return answer


async def test_it_passes_everything_until_told_otherwise(echo: Echo) -> None:
    with Proxy(echo.port) as proxy:
        assert await said(proxy.port, b"one\n", b"two\n") == b"two\n"
        assert proxy.accepted == 1


@pytest.mark.parametrize(("fate", "arrives"), [(Fate.CUT, False), (Fate.LOSE_ANSWER, True), (Fate.CUT_AFTER, True)])
async def test_a_trap_cuts_at_the_chosen_words_and_only_there(echo: Echo, fate: Fate, arrives: bool) -> None:
    with Proxy(echo.port) as proxy:
        trap = proxy.trap(b"COMMIT", fate)

        assert await said(proxy.port, b"one\n", b"COMMIT\n") == b""
        assert await asyncio.to_thread(trap.wait, REPLY_S)
        assert await said(proxy.port, b"COMMIT\n") == b"COMMIT\n"

    assert echo.got.count(b"COMMIT\n") == 1 + arrives


@pytest.mark.parametrize(("fate", "arrives"), [(Fate.SWALLOW, False), (Fate.MUTE, True)])
async def test_a_half_open_connection_is_silent(echo: Echo, fate: Fate, arrives: bool) -> None:
    with Proxy(echo.port) as proxy:
        trap = proxy.trap(b"x", fate)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await said(proxy.port, b"x\n")

        assert trap.sprung == 1
        assert echo.got == [b"x\n"] * arrives


async def test_what_is_held_goes_on_when_released(echo: Echo) -> None:
    with Proxy(echo.port) as proxy:
        trap = proxy.trap(b"slow", Fate.HOLD, is_from_server=True)
        answer = asyncio.ensure_future(said(proxy.port, b"slow\n"))
        assert await asyncio.to_thread(trap.wait, REPLY_S)
        assert not answer.done()

        trap.release()

        assert await answer == b"slow\n"


async def test_frozen_it_takes_connections_and_moves_nothing(echo: Echo) -> None:
    with Proxy(echo.port) as proxy:
        proxy.freeze()
        answer = asyncio.ensure_future(said(proxy.port, b"hm\n"))
        await asyncio.wait({answer}, timeout=0.2)
        assert not answer.done()
        assert echo.got == []

        proxy.thaw()

        assert await answer == b"hm\n"


async def test_refusing_it_resets_and_takes_nobody_until_it_accepts(echo: Echo) -> None:
    with Proxy(echo.port) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"a\n")
        assert await reader.readline() == b"a\n"
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await said(proxy.port, b"b\n")
        with pytest.raises(ConnectionResetError):
            await reader.readline()
        writer.transport.abort()

        proxy.accept()

        assert await said(proxy.port, b"b\n") == b"b\n"

"""An idle server: how long from sending a submit until the provider receives the call."""

from __future__ import annotations

import asyncio
import time

from bench import rig

CALLS = 500
ANSWER = (
    b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}'
)


class Provider(asyncio.Protocol):
    """Notes when a call arrives, answers at once."""

    arrivals: asyncio.Queue[float]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        if not self._buffer:
            self.arrivals.put_nowait(time.perf_counter())
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
        )
        if len(body) >= length:
            self._buffer = b""
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)
                + ANSWER
            )


async def measured() -> list[float]:
    """Milliseconds of each call."""
    loop = asyncio.get_running_loop()
    Provider.arrivals = asyncio.Queue()
    listener = await loop.create_server(Provider, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    took: list[float] = []
    with rig.server() as running:
        async with rig.Client.connect(running.port) as client:
            config = {"base_url": f"http://127.0.0.1:{port}/v1", "api_key": "sk-bench-000000000"}
            await client.json("POST", "/api/v1/models", {"name": "m", "type": "openai", "config": config})
            for number in range(CALLS + 20):
                began = time.perf_counter()
                await client.json("POST", "/api/v1/tasks", {"model": "m", "input": "hello"})
                arrived = await asyncio.wait_for(Provider.arrivals.get(), 10)
                if number >= 20:
                    took.append((arrived - began) * 1000)
                await asyncio.sleep(0.01)
    listener.close()
    return took


def main() -> None:
    took = asyncio.run(measured())
    print(rig.machine())
    half, most = rig.percentile(took, 0.5), rig.percentile(took, 0.99)
    rig.verdict("idle: submit to provider, p50", f"{half:.2f} ms", "<= 5 ms", half <= 5)
    rig.verdict("idle: submit to provider, p99", f"{most:.2f} ms", "<= 20 ms", most <= 20)


if __name__ == "__main__":
    main()

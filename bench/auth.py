"""What letting a caller in costs: CPU a request of a key, a token, a wrong key; and what 50 000 keys do.

The floor is the same app whose door knows one constant caller. Floor and door take turns within one run, in small
blocks, and CPU time is what is compared: what else the machine does falls on both alike.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import itertools
import statistics
import tempfile
import threading
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from bench import rig
from llm_scheduler.api.parts import Parts
from llm_scheduler.api.server import Api, create_app
from llm_scheduler.app.installation import Installation
from llm_scheduler.app.keys import open_keys
from llm_scheduler.domain.access import (
    PERMISSIONS,
    ApiKey,
    KeyLimits,
    Login,
    Membership,
    Principal,
    Role,
    User,
    administrator,
)
from llm_scheduler.domain.ids import DEFAULT_TENANT, KeyId, LoginId, Millis, UserId
from llm_scheduler.domain.key_text import key_text
from llm_scheduler.ports.access import AccessSnapshot
from llm_scheduler.ports.tokens import Claims
from llm_scheduler.security.drawing import drawn
from llm_scheduler.services.directory import Directory
from llm_scheduler.services.door import Door, Knock
from llm_scheduler.settings import load
from llm_scheduler.stores.access_rows import (
    KEY_COLUMNS,
    MEMBERSHIP_COLUMNS,
    USER_COLUMNS,
    key_row,
    membership_row,
    user_row,
)
from llm_scheduler.stores.portable.access_version import access_changed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm_scheduler.ports.access import AccessRecord
    from llm_scheduler.stores.portable.access import Transaction

BLOCK: Final = 400
ROUNDS: Final = 60
GOAL_US: Final = 60.0
MANY: Final = 50_000
WRONG_A_SECOND: Final = 10_000
FLOOD_S: Final = 10.0
PATH: Final = "/api/v1/plugins"
"""Asks neither record nor index."""
USER: Final = UserId(1_000)


class Constant:
    """A door that knows one caller."""

    def __init__(self) -> None:
        self._who = administrator()

    def admit(self, knock: Knock) -> Principal:
        return self._who


class OneToken:
    """Reads one token, with the work of a signature: what `security` does is measured with it."""

    def read(self, token: str) -> Claims | None:
        hashlib.sha256(token.encode()).digest()
        return Claims(USER, DEFAULT_TENANT, LoginId(1), 0, Millis(2**50)) if token == "a.b.c" else None  # noqa: S105


class Asking:
    """One kind of request, driven straight into the ASGI app."""

    def __init__(self, app: Api, key: str, status: int) -> None:
        self._app, self._status = app, status
        self._headers = [(b"host", b"x"), (b"authorization", f"Bearer {key}".encode())]

    async def block(self, count: int) -> float:
        """CPU microseconds a request."""
        began = time.thread_time_ns()
        for _ in range(count):
            await self.ask()
        return (time.thread_time_ns() - began) / count / 1000

    async def ask(self) -> None:
        scope = {
            "type": "http",
            "method": "GET",
            "path": PATH,
            "raw_path": PATH.encode(),
            "query_string": b"",
            "headers": self._headers,
            "client": ("127.0.0.1", 50_000),
        }
        await self._app(scope, _receive, self._send)

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start" and message["status"] != self._status:
            raise SystemExit(f"{message['status']} instead of {self._status}")


async def _receive() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


class Held:
    """A record that gives one snapshot."""

    def __init__(self, found: AccessSnapshot) -> None:
        self._found = found

    async def access(self) -> AccessSnapshot:
        return self._found


def people(keys: int) -> tuple[AccessSnapshot, list[str]]:
    """A developer with so many keys, half of them with limits; and the keys' texts."""
    texts = [key_text(f"{n:08d}", drawn(43) if n < 10 else f"{n:043d}") for n in range(keys)]
    scopes = PERMISSIONS[Role.DEVELOPER]
    limits = (KeyLimits(), KeyLimits(600, ("m", "n"), ("127.0.0.0/8",)))
    found = [
        ApiKey(
            KeyId(10**6 + n),
            DEFAULT_TENANT,
            USER,
            f"key {n}",
            text[:13],
            hashlib.sha256(text.encode()).hexdigest(),
            scopes,
            limits[n % 2],
        )
        for n, text in enumerate(texts)
    ]
    login = Login(LoginId(1), USER, DEFAULT_TENANT, "h", 0, Millis(0), Millis(0), Millis(2**50), "", "")
    user, member = User(USER, "dan"), Membership(USER, DEFAULT_TENANT, Role.DEVELOPER)
    return AccessSnapshot([user], [member], found, [login], 1), texts


async def per_request(parts: Parts) -> None:
    """Key, token, a key with limits, a wrong key; each against the floor of its own round."""
    snapshot, texts = people(2)
    directory = Directory(cast("AccessRecord", Held(snapshot)))
    await directory.load()

    def app(door: Any) -> Api:
        return create_app(replace(parts, access=replace(parts.access, door=door, directory=directory)))

    real = app(Door("bootstrap-key-of-this-bench", directory, parts.catalogue, parts.clock, OneToken()))
    floor = Asking(app(Constant()), texts[0], 200)
    kinds = {
        "an API key": Asking(real, texts[0], 200),
        "an API key with limits": Asking(real, texts[1], 200),
        "an access token": Asking(real, "a.b.c", 200),
        "the installation's own key": Asking(real, "bootstrap-key-of-this-bench", 200),
    }
    wrong = Asking(real, key_text("00000000", "0" * 43), 401)
    for one in (floor, wrong, *kinds.values()):
        await one.block(BLOCK)
    over: dict[str, list[float]] = {name: [] for name in kinds}
    floors: list[float] = []
    wrongs: list[float] = []
    gc.collect()
    for _ in range(ROUNDS):
        for name, asking in kinds.items():
            base = await floor.block(BLOCK)
            floors.append(base)
            over[name].append(await asking.block(BLOCK) - base)
        wrongs.append(await wrong.block(BLOCK))
    print(f"the floor, CPU of a whole request: {statistics.median(floors):.1f} us")
    for name, found in over.items():
        value = statistics.median(found)
        rig.verdict(f"{name}, CPU beyond the floor", f"{value:.1f} us", f"<= {GOAL_US:.0f} us", value <= GOAL_US)
    print(f"a refused request with a wrong key, CPU in all: {statistics.median(wrongs):.1f} us")
    _alone(directory, parts, texts)


def _alone(directory: Directory, parts: Parts, texts: Sequence[str]) -> None:
    """The door by itself, known and not yet known callers."""
    door = Door("bootstrap-key-of-this-bench", directory, parts.catalogue, parts.clock, OneToken())
    knock = Knock(texts[1], "127.0.0.1")

    def cold() -> None:
        directory.taken += 1
        door.admit(knock)

    for name, call in (("that is known", lambda: door.admit(knock)), ("after a change", cold)):
        found: list[float] = []
        for _ in range(50):
            began = time.thread_time_ns()
            for _ in range(1_000):
                call()
            found.append((time.thread_time_ns() - began) / 1_000_000)
        print(f"Door.admit alone, a key {name}: {statistics.median(found):.2f} us")


async def many_keys(installation: Installation) -> None:
    """How long a process takes to load 50 000 keys, what they weigh, and what one more costs."""
    snapshot, _ = people(MANY)

    def fill(transaction: Transaction) -> None:
        transaction.insert("users", USER_COLUMNS, [user_row(one) for one in snapshot.users])
        transaction.insert("memberships", MEMBERSHIP_COLUMNS, [membership_row(one) for one in snapshot.memberships])
        transaction.insert("api_keys", KEY_COLUMNS, [key_row(one) for one in snapshot.keys])
        access_changed(transaction)

    store = installation.store
    await store._write(fill)  # type: ignore[attr-defined]
    print(f"{MANY:,} keys in {type(store).__name__}:")
    for name in ("first load", "again, whole"):
        directory = Directory(store)
        gc.collect()
        cpu, wall = time.process_time(), time.perf_counter()
        longest = await _longest_stall(directory.load)
        print(
            f"  {name}: {(time.perf_counter() - wall) * 1000:.0f} ms, {(time.process_time() - cpu) * 1000:.0f} ms CPU, "
            f"the event loop stood {longest * 1000:.0f} ms at most"
        )
    tracemalloc.start()
    directory = Directory(store)
    await directory.load()
    print(f"  memory: {tracemalloc.get_traced_memory()[0] / 2**20:.0f} MB")
    tracemalloc.stop()
    took: list[float] = []
    for number in range(50):
        blank = replace(snapshot.keys[0], id=KeyId(0), hash=f"{number:064d}")
        await store.add_api_key(blank)
        cpu = time.process_time()
        assert await directory.refresh()
        took.append((time.process_time() - cpu) * 1000)
    value = statistics.median(took)
    rig.verdict("one more key of 50 000, CPU to take it over", f"{value:.2f} ms", "<= 300 ms", value <= 300)


async def _longest_stall(work: Callable[[], Any]) -> float:
    longest, is_done = 0.0, False

    async def beat() -> None:
        nonlocal longest
        before = time.perf_counter()
        while not is_done:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest, before = max(longest, now - before - 0.001), now

    beating = asyncio.create_task(beat())
    await asyncio.sleep(0)
    await work()
    is_done = True
    await beating
    return longest


class Flood(threading.Thread):
    """Wrong keys over many kept connections, pipelined, as many a second as were told or as get through."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port, self.sent, self.refused = port, 0, 0

    def run(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        await asyncio.gather(*(self._one(number) for number in range(10)))

    async def _one(self, number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        keys = itertools.count(number * 10**9)
        batch = 20
        ends = time.monotonic() + FLOOD_S
        due = time.monotonic()
        while time.monotonic() < ends:
            heads = [
                f"GET {PATH} HTTP/1.1\r\nHost: x\r\nX-API-Key: {key_text('aaaaaaaa', f'{next(keys):043d}')}\r\n\r\n"
                for _ in range(batch)
            ]
            writer.write("".join(heads).encode())
            self.sent += batch
            for _ in range(batch):
                head = await reader.readuntil(b"\r\n\r\n")
                # The first of a minute are told that the key is wrong, the others that there were too many.
                self.refused += head[8:13] in (b" 401 ", b" 429 ")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
                await reader.readexactly(int(length))
            due += batch * 10 / WRONG_A_SECOND
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        writer.close()


def flood() -> None:
    """Honest callers beside 10 000 wrong keys a second."""
    with rig.server() as running:
        calm = asyncio.run(_honest(running.port, 3.0))
        cpu = rig.cpu_s(running.pid)
        attack = Flood(running.port)
        attack.start()
        busy = asyncio.run(_honest(running.port, FLOOD_S))
        attack.join()
        cpu = rig.cpu_s(running.pid) - cpu
        answered = len(busy) + attack.refused
        print(f"wrong keys: {attack.refused / FLOOD_S:,.0f} a second refused, {WRONG_A_SECOND:,} wanted, "
              f"{cpu / answered * 1e6:.0f} us CPU of the server a request, sockets and HTTP included")  # fmt: skip
        for name, took in (("without", calm), ("beside", busy)):
            print(
                f"  an honest caller {name} them: {len(took)} served, none refused, "
                f"p50 {rig.percentile(took, 0.5):.1f} ms, p99 {rig.percentile(took, 0.99):.1f} ms"
            )


async def _honest(port: int, for_s: float) -> list[float]:
    """Milliseconds of each request of one who asks 50 times a second."""
    took: list[float] = []
    async with rig.Client.connect(port) as client:
        ends = time.monotonic() + for_s
        while time.monotonic() < ends:
            began = time.perf_counter()
            status, _ = await client.request("GET", PATH)
            assert status == 200, status
            took.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.02)
    return took


def _settings(folder: Path) -> dict[str, object]:
    """Without limits: a wrong key is to cost what a wrong key costs, not what a refusal does."""
    open_door = dict.fromkeys(("rate_limit_failures_rpm", "rate_limit_open_rpm"), 0)
    return {"data_dir": folder, "log_level": "warning", **open_door}


async def inside() -> None:
    """What needs no process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        settings, _ = load(_settings(Path(folder)), {})
        installation = Installation(settings, open_keys(settings))
        await installation.open()
        try:
            api = cast("Api", installation.api())
            await per_request(api._parts)
            await many_keys(installation)
        finally:
            await installation.drain(0)
            await installation.close()


def main() -> None:
    """All of it."""
    print(rig.machine())
    asyncio.run(inside())
    flood()


if __name__ == "__main__":
    main()

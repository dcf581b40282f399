"""A client for Redis Cluster that sends each command to the node of its key.

redis-py has one, but it sends scripts to any node and drops everyone's connections when that one says MOVED.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from llm_scheduler.brokers.redis.heeding import heeding

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Address: TypeAlias = tuple[str, int]

_HOPS: Final = 5
"""So often a command follows a slot that moves."""


class ClusterClient:
    """Knows which node has which slots, and learns anew when one fails. Never sends a command twice by itself."""

    def __init__(self, hosts: Sequence[Address], connect: Callable[[Address], Any]) -> None:
        self._hosts = list(hosts)
        self._connect = connect
        self._nodes: dict[Address, Any] = {}
        self._ranges: list[tuple[int, int, Address]] = []
        self._moved: dict[int, Address] = {}
        self._learning = asyncio.Lock()
        self._turn = 0

    async def execute_command(self, *args: Any) -> Any:
        """Send a command whose first key says where to; a script's comes after its text and the number of keys."""
        key = args[3] if args[0] in ("EVALSHA", "EVAL") else args[1]
        slot = key_slot(key if isinstance(key, bytes) else str(key).encode())
        address = await self._address_of(slot)
        asked = None
        for _ in range(_HOPS):
            try:
                if asked is not None:
                    return await heeding(self._ask(asked, args))
                return await heeding(self._node(address).execute_command(*args))
            except MovedError as moved:
                address, asked = self._named(moved, address), None
                self._moved[slot] = address
            except AskError as elsewhere:
                asked = self._named(elsewhere, address)
            except (RedisConnectionError, RedisTimeoutError, ClusterDownError):
                self._forget()
                raise
            except asyncio.CancelledError:  # who called has waited long enough: another node may have the slot by now
                self._forget()
                raise
        raise RedisConnectionError("the slot keeps moving")

    def pubsub(self) -> Any:
        """A subscription at one of the nodes."""
        return self.a_server().pubsub()

    def a_server(self) -> Any:
        """The client of one node, another one each time: every node hears what is published anywhere."""
        addresses = list(dict.fromkeys([*(address for _, _, address in self._ranges), *self._hosts]))
        self._turn += 1
        return self._node(addresses[self._turn % len(addresses)])

    async def aclose(self) -> None:
        """Let go of all connections."""
        nodes = list(self._nodes.values())
        self._nodes.clear()
        for node in nodes:
            await node.aclose()

    async def _ask(self, address: Address, args: Sequence[Any]) -> Any:
        """The slot is on its way to that node, and the key has arrived there already."""
        async with self._node(address).pipeline(transaction=False) as pipeline:
            pipeline.execute_command("ASKING")
            pipeline.execute_command(*args)
            return (await pipeline.execute())[1]

    def _node(self, address: Address) -> Any:
        node = self._nodes.get(address)
        if node is None:
            node = self._nodes[address] = self._connect(address)
        return node

    @staticmethod
    def _named(error: Any, asked: Address) -> Address:
        """Where it says that the slot is; a node that does not know its own name leaves the host out."""
        return (error.host or asked[0], error.port)

    def _forget(self) -> None:
        self._ranges, self._moved = [], {}

    async def _address_of(self, slot: int) -> Address:
        if not self._ranges:
            async with self._learning:
                if not self._ranges:
                    self._ranges = await self._learn()
        moved = self._moved.get(slot)
        if moved is not None:
            return moved
        for first, last, address in self._ranges:
            if first <= slot <= last:
                return address
        self._forget()
        raise RedisConnectionError(f"no node serves slot {slot}")

    async def _learn(self) -> list[tuple[int, int, Address]]:
        """What the first node says that answers; the others may be dead or hang."""
        addresses = dict.fromkeys([*self._nodes, *self._hosts])
        asking = {asyncio.create_task(self._slots_of(address)) for address in addresses}
        failures: list[BaseException] = []
        try:
            while asking:
                done, asking = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
                failures += [error for one in done if (error := one.exception()) is not None]
                answers = [one.result() for one in done if one.exception() is None]
                known = next(filter(None, answers), None)
                if known is not None:
                    return known
        finally:
            for one in asking:
                one.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        raise RedisConnectionError("no node knows the cluster") from next(iter(failures), None)

    async def _slots_of(self, address: Address) -> list[tuple[int, int, Address]]:
        try:
            ranges = await heeding(self._node(address).execute_command("CLUSTER", "SLOTS"))
        except (RedisError, OSError) as error:
            raise RedisConnectionError(str(error)) from error
        found: list[tuple[int, int, Address]] = []
        for first, last, (host, port, *_), *_ in ranges:
            found.append((first, last, (host.decode() if host else address[0], port)))
        return found

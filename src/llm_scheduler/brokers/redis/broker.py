"""The broker of many processes: an index in Redis, decided by scripts there."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

from llm_scheduler.brokers.redis import scripts, wire
from llm_scheduler.brokers.redis.listener import Listener
from llm_scheduler.brokers.redis.views import PAGE, Views
from llm_scheduler.domain.errors import BrokerUnavailableError
from llm_scheduler.ports.broker import REBUILD_TTL_S, ClaimAnswer, Pulse, Witness

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.brokers.redis.connection import Client
    from llm_scheduler.brokers.redis.shard import Argument, Shard
    from llm_scheduler.domain.ids import ModelId, SessionId, TaskId, TenantId
    from llm_scheduler.ports.broker import Claim, Entry, LaneRules, Pace, PastStart, Release, Slot
    from llm_scheduler.ports.clock import Clock

LAYOUT: Final = 2
"""Grows with the shape of the keys and of what they hold. An installation has it in its prefix, so that releases side
by side, during a rolling deploy, each have an index of their own: START lets a task of both start once."""
LOST_WAIT_MS: Final = 100
AWAY_WAIT_MS: Final = 250
_PATIENCE_S: Final = 0.3
"""A claim that has waited so long for a shard that failed in the end does not try the others."""
_TTL_MS: Final = int(REBUILD_TTL_S * 1000)


class RedisBroker(Views):
    """Implements `ports.broker.Broker`."""

    def __init__(self, client: Client, clock: Clock | None = None, *, prefix: str = "ls", shards: int = 1) -> None:
        super().__init__(client, clock, prefix=prefix, shards=shards)
        self._listener = Listener(client, f"{prefix}:wake", self._who, self._bell)
        self._rules: dict[ModelId, LaneRules] = {}
        self._limits: dict[tuple[TenantId, ModelId | None], int | None] = {}
        """Of a tenant in each lane (None), and in one."""
        self._rebuilding: dict[str, list[Shard]] = {}
        self._turn = 0
        self._turns: dict[ModelId, int] = {}

    # Rules

    async def set_rules(self, rules: Sequence[LaneRules]) -> None:
        """Replace the rules of these lanes; kept here as well, for an index that comes back empty."""
        for one in rules:
            known = self._rules.get(one.lane)
            if known is None or one.version >= known.version:
                self._rules[one.lane] = one
        await self._each(self._by_shard(rules, lambda one: one.lane), self._send_rules)
        self._bell.ring()

    async def drop_lane(self, lane: ModelId) -> None:
        """Forget the lane, what waits in it, its slots and its rules."""
        self._rules.pop(lane, None)
        for limit in [limit for limit in self._limits if limit[1] == lane]:
            del self._limits[limit]
        self._heard(await self._shard(lane).look(scripts.DROP, (lane,)))
        self._waiting.pop(lane, None)

    async def set_tenant_limit(self, tenant_id: TenantId, max_workers: int | None) -> None:
        """At most so many slots of each lane at once for this tenant; None = no limit."""
        self._limits[tenant_id, None] = max_workers
        limits = [((tenant_id, None), max_workers)]
        await self._each(dict.fromkeys(self._shards, limits), self._send_limits)
        self._bell.ring()

    async def set_lane_limit(self, lane: ModelId, tenant_id: TenantId, max_workers: int | None) -> None:
        """At most so many slots of this lane, beside the tenant's limit for each."""
        if max_workers is None:  # an index that comes back empty needs no telling
            self._limits.pop((tenant_id, lane), None)
        else:
            self._limits[tenant_id, lane] = max_workers
        await self._send_limits(self._shard(lane), [((tenant_id, lane), max_workers)])
        self._bell.ring()

    async def set_limits(self, limits: Mapping[tuple[TenantId, ModelId | None], int]) -> None:
        """Replace all limits of tenants."""
        self._limits = dict(limits)

        async def send(shard: Shard, _: object) -> None:
            await self._send_limits(shard, self._limits_in(shard), are_all=True)

        await self._each(dict.fromkeys(self._shards), send)
        self._bell.ring()

    def _limits_in(self, shard: Shard) -> list[tuple[tuple[TenantId, ModelId | None], int | None]]:
        return [one for one in self._limits.items() if one[0][1] is None or self._shard(one[0][1]) is shard]

    # What waits

    async def enqueue(self, entries: Sequence[Entry]) -> None:
        """Add waiting tasks; one that waits or holds a slot already is left as it is."""
        await self._each(self._by_shard(entries, lambda one: one.lane), self._enqueue)

    async def remove(self, lane: ModelId, task_ids: Sequence[TaskId]) -> None:
        """Take waiting tasks out."""
        shard = self._shard(lane)
        for start in range(0, len(task_ids), PAGE):
            tasks = [wire.of_id(task_id) for task_id in task_ids[start : start + PAGE]]
            self._heard(await shard.look(scripts.REMOVE, (lane, *tasks)))

    # Claim and release

    async def claim(self, session: SessionId, lanes: Sequence[ModelId], want: int) -> ClaimAnswer:
        """Give slots to the next tasks; of several shards, first of the one whose lane was served least recently."""
        await self._listener.start()
        seen = self._bell.rings
        by_shard = self._by_shard(dict.fromkeys(lanes), lambda lane: lane)
        in_turn = sorted(
            by_shard.items(), key=lambda one: (one[0].is_failing, min(self._turns.get(lane, 0) for lane in one[1]))
        )
        claims: list[Claim] = []
        waits: list[int] = []
        failure: BrokerUnavailableError | None = None
        answered = 0
        began_s = asyncio.get_running_loop().time()
        for shard, theirs in in_turn:
            if len(claims) >= want and answered:
                break
            try:
                wait_ms = await self._claim(shard, (wire.of_id(session), want - len(claims), *theirs), claims)
            except BrokerUnavailableError as error:
                failure, wait_ms = error, AWAY_WAIT_MS
                if asyncio.get_running_loop().time() - began_s > _PATIENCE_S:
                    break
            else:
                answered += 1
            if wait_ms >= 0:
                waits.append(wait_ms)
        if failure is not None and not answered:
            raise failure
        self._turns.update((one.lane, turn) for turn, one in enumerate(claims, self._turn + 1))
        self._turn += len(claims)
        return ClaimAnswer(tuple(claims), min(waits) if waits and len(claims) < want else None, seen)

    async def _claim(self, shard: Shard, arguments: tuple[Argument, ...], claims: list[Claim]) -> int:
        """Add to the claims; the answer is how long to wait, or -1. Never sent twice: nobody would know the first."""
        answer = self._heard(await shard.look(scripts.CLAIM, arguments, is_repeatable=False))
        wait_ms, *given = answer.result
        claims += map(wire.to_claim, given)
        return wait_ms

    async def release(self, releases: Sequence[Release]) -> None:
        """Free slots, settle tokens, put tasks back."""
        await self._each(self._by_shard(releases, lambda one: one.claim.lane), self._release)

    async def throttle(self, lane: ModelId, for_ms: int, endpoint: str | None = None) -> None:
        """Nothing goes through this gate for so long; afterwards one probe at a time until one succeeds."""
        arguments = (lane, wire.of_gate(endpoint), for_ms * 1000)
        self._heard(await self._shard(lane).look(scripts.THROTTLE, arguments))

    async def end_pause(self, lane: ModelId, endpoint: str | None = None) -> None:
        """The pause of this gate is over now, as if its time had passed."""
        self._heard(await self._shard(lane).look(scripts.THROTTLE, (lane, wire.of_gate(endpoint), "")))

    async def set_pace(self, lane: ModelId, endpoint: str | None, paces: Sequence[Pace]) -> None:
        """Replace the paces of these units of a gate."""
        words = [word for one in paces for word in wire.of_pace(one)]
        self._heard(await self._shard(lane).look(scripts.PACE, (lane, wire.of_gate(endpoint), *words)))

    async def wait(self, seen: int, timeout_ms: int) -> int:
        """Return when something has happened since `seen` that may let a claim succeed, or after the timeout."""
        return await self._bell.wait(seen, timeout_ms)

    # Repair

    async def reconcile(
        self, waiting: Sequence[Entry], running: Sequence[Slot], absent: Sequence[tuple[ModelId, TaskId]]
    ) -> int:
        """Mend towards the record: first drop what is absent, then adopt what runs, then add what waits."""
        await self._renew()
        pages: dict[Shard, tuple[list[Argument], list[Argument], list[Argument]]] = {}
        for kind, said in enumerate(
            (
                [(lane, wire.of_id(task_id)) for lane, task_id in absent],
                [(one.lane, wire.of_slot(one)) for one in running],
                [(one.lane, wire.of_entry(one)) for one in waiting],
            )
        ):
            for lane, blob in said:
                pages.setdefault(self._shard(lane), ([], [], []))[kind].extend((lane, blob))
        changes: list[int] = []

        async def send(shard: Shard, items: tuple[list[Argument], list[Argument], list[Argument]]) -> None:
            changes.append(await self._reconcile(shard, *items))

        await self._each(pages, send)
        return sum(changes)

    async def _reconcile(
        self, shard: Shard, absent: list[Argument], running: list[Argument], waiting: list[Argument]
    ) -> int:
        items = absent + running + waiting
        changes = 0
        for start in range(0, len(items), 2 * PAGE):
            page = items[start : start + 2 * PAGE]
            absent_here = min(max(len(absent) - start, 0), len(page)) // 2
            running_here = min(max(len(absent) + len(running) - start, 0), len(page)) // 2 - absent_here
            answer = self._heard(await shard.look(scripts.RECONCILE, (absent_here, running_here, *page)))
            changes += answer.result
        return changes

    async def remember(self, starts: Sequence[PastStart]) -> None:
        """Count these against the limits, oldest first, in place of whatever those knew."""
        await self._renew()
        await self._each(self._by_shard(starts, lambda one: one.lane), self._remember)

    async def pulse(self) -> Sequence[Pulse]:
        """How every shard is; each call lets its beat grow."""
        answers = await asyncio.gather(*(shard.run(scripts.PULSE, ()) for shard in self._shards))
        return [Pulse(number, epoch.decode() or None, beat) for number, (epoch, beat) in enumerate(answers)]

    async def begin_rebuild(self, *, is_forced: bool = False) -> str | None:
        """Ask to be the one who rebuilds the lost shards; whoever is sets the rules anew."""
        token = secrets.token_hex(8)
        won: list[Shard] = []

        async def elect(shard: Shard, _: object) -> None:
            if await shard.run(scripts.ELECT, (token, _TTL_MS, int(is_forced))):
                won.append(shard)
                await self._send_limits(shard, self._limits_in(shard))
                await self._send_rules(shard, [one for one in self._rules.values() if self._shard(one.lane) is shard])

        await self._each(dict.fromkeys(self._shards), elect)
        if not won:
            return None
        self._rebuilding = {token: won}
        return token

    async def finish_rebuild(self, token: str) -> bool:
        """Open for claims again, if no other rebuild has begun since."""
        shards = self._rebuilding.pop(token, [])
        epoch = secrets.token_hex(8)
        answers = await asyncio.gather(*(shard.run(scripts.FINISH, (token, epoch, self._who)) for shard in shards))
        self._bell.ring()
        return bool(answers) and all(answers)

    async def lead(self, who: SessionId, ttl_s: float) -> bool:
        """Whether this session is the one that does the sweeps which need only one, for so long."""
        return bool(await self._shards[0].run(scripts.LEAD, (who, round(ttl_s * 1000))))

    async def witness(self, *, has_reached: bool | None) -> Witness:
        """Tell whether this process just reached the record, and learn what others say."""
        said = b"" if has_reached is None else b"%d" % has_reached
        is_doubted, ago_ms = await self._shards[0].run(scripts.WITNESS, (self._now()[0], said))
        return Witness(bool(is_doubted), ago_ms / 1000 if ago_ms >= 0 else None)

    async def close(self) -> None:
        """Let go of connections, the client's among them."""
        await self._listener.close()
        await self._client.aclose()

    # One shard at a time

    async def _send_rules(self, shard: Shard, rules: Sequence[LaneRules]) -> None:
        words = [word for one in rules for word in wire.of_rules(one)]
        self._heard(await shard.look(scripts.RULES, words))

    async def _send_limits(
        self,
        shard: Shard,
        limits: Sequence[tuple[tuple[TenantId, ModelId | None], int | None]],
        *,
        are_all: bool = False,
    ) -> None:
        words: list[Argument] = [int(are_all)]
        for (tenant, lane), most in limits:
            words += (tenant, wire.of_limit(lane), wire.of_limit(most))
        self._heard(await shard.look(scripts.TENANTS, words))

    async def _enqueue(self, shard: Shard, entries: Sequence[Entry]) -> None:
        for start in range(0, len(entries), PAGE):
            words: list[Argument] = []
            for one in entries[start : start + PAGE]:
                words += (one.lane, wire.of_entry(one))
            self._heard(await shard.look(scripts.ENQUEUE, words))

    async def _release(self, shard: Shard, releases: Sequence[Release]) -> None:
        for start in range(0, len(releases), PAGE):
            page = releases[start : start + PAGE]
            words: list[Argument] = []
            for one in page:
                back = b""
                if one.back is not None and self._shard(one.back.lane) is shard:
                    back = b"%d/" % one.back.lane + wire.of_entry(one.back)
                used = wire.of_limit(one.used_tokens), wire.of_limit(one.used_output)
                outcome = b"ok" if one.is_success else b"failed" if one.is_failure else b""
                words += (one.claim.lane, wire.of_claim(one.claim), *used, outcome, back)
            freed = self._heard(await shard.look(scripts.RELEASE, words)).result
            elsewhere = [
                one.back
                for one, is_freed in zip(page, freed, strict=True)
                if is_freed and one.back is not None and self._shard(one.back.lane) is not shard
            ]
            if elsewhere:
                await self.enqueue(elsewhere)

    async def _remember(self, shard: Shard, starts: Sequence[PastStart]) -> None:
        begun: set[ModelId] = set()
        for start in range(0, len(starts), PAGE):
            words: list[Argument] = []
            for one in starts[start : start + PAGE]:
                gate = wire.of_gate(one.endpoint)
                words += (one.lane, int(one.lane not in begun), one.started_at, one.tokens, one.output_tokens, gate)
                begun.add(one.lane)
            self._heard(await shard.look(scripts.REMEMBER, words))

    async def _renew(self) -> None:
        """The rebuild that this process does, if any, goes on."""
        for token, shards in self._rebuilding.items():
            await asyncio.gather(*(shard.run(scripts.RENEW, (token, _TTL_MS)) for shard in shards))

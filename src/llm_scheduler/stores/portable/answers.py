"""Stored answers: who leads, who follows, who is answered. See `ports.answers`.

An entry of `response_cache` names the task that has the answer or, without `expires_at`, the one that
leads. Entries are trusted only together with that task's status, so nothing has to tidy them when a task
ends by another hand: an entry whose task is over without an answer is as good as none.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.domain.status import TERMINAL, Status
from llm_scheduler.domain.task import CONFIG_DIGEST_CHARS
from llm_scheduler.ports.answers import Followers
from llm_scheduler.ports.store import Moved
from llm_scheduler.stores import cache_statements as texts
from llm_scheduler.stores import lines, statements
from llm_scheduler.stores.rows import WAITING_COLUMNS, waiting_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.stores.portable.access import Reader, Row, Transaction

_TRIES: Final = 3
AT_ONCE: Final = 500
"""Followers that the commit of their leader's end takes along; the rest is left to `regroup`."""
Key = tuple[int, str]


class Wanted(NamedTuple):
    """A task that is about to be queued and asks for the cache."""

    task_id: int
    tenant_id: int
    key: str


class Lead(NamedTuple):
    """The task that another one waits for, or whose answer it takes."""

    task_id: int
    has_answer: bool


class Over(NamedTuple):
    """A task that has just reached an end."""

    task_id: int
    status: Status
    config_digest: str | None


class _Entry(NamedTuple):
    task_id: int
    expires_at: int | None


class _Named(NamedTuple):
    """A task that an entry names."""

    status: str
    has_result: bool


_GONE: Final = _Named(Status.CANCELLED, has_result=False)


def place(transaction: Transaction, wanted: Sequence[Wanted]) -> dict[int, Lead]:
    """By task, whom it goes by; the others lead: their keys are theirs now."""
    firsts: dict[Key, int] = {}
    for one in wanted:
        firsts.setdefault((one.tenant_id, one.key), one.task_id)
    leads: dict[Key, Lead] = {}
    rest = firsts
    for _ in range(_TRIES):
        entries, named = _held(transaction, rest)
        claims: dict[Key, int] = {}
        for key, task_id in rest.items():
            lead = _lead(entries.get(key), named, transaction.now)
            leads[key] = lead or Lead(task_id, has_answer=False)
            if lead is None:
                claims[key] = task_id
        rest = _claim(transaction, claims, entries) if claims else {}
        if not rest:
            break
    found = {one.task_id: leads[one.tenant_id, one.key] for one in wanted}
    return {task_id: lead for task_id, lead in found.items() if lead.task_id != task_id}


def _lead(entry: _Entry | None, named: Mapping[int, _Named], now: int) -> Lead | None:
    """Whom a task with this key goes by; None when it may lead itself."""
    if entry is None:
        return None
    task = named.get(entry.task_id, _GONE)
    if entry.expires_at is None:
        return None if task.status in TERMINAL else Lead(entry.task_id, has_answer=False)
    is_fresh = entry.expires_at > now and task.status == Status.COMPLETED and task.has_result
    return Lead(entry.task_id, has_answer=True) if is_fresh else None


def _held(transaction: Transaction, keys: Iterable[Key]) -> tuple[dict[Key, _Entry], dict[int, _Named]]:
    """Entries and the tasks that they name; neither changes before the commit.

    Tasks first, then entries: in this order an end takes them, too. An entry that names another task by the
    time that it is held is looked at once more.
    """
    entries, named = _entries(transaction, keys, texts.SELECT_ENTRIES), dict[int, _Named]()
    for _ in range(_TRIES):
        unknown = {entry.task_id for entry in entries.values()} - named.keys()
        if not unknown:
            break
        named |= dict.fromkeys(unknown, _GONE)
        rows = transaction.rows_in(texts.NAMED, texts.HOLD_NAMED, sorted(unknown))
        named |= {row[0]: _Named(row[1], has_result=row[2] is not None) for row in rows}
        entries = _entries(transaction, entries, texts.HOLD_ENTRIES)
    return entries, named


def _claim(transaction: Transaction, claims: Mapping[Key, int], entries: Mapping[Key, _Entry]) -> dict[Key, int]:
    """Take these keys; the answer has those that another process took in between."""
    absent = {key: task_id for key, task_id in claims.items() if key not in entries}
    for key, task_id in claims.items():
        if key in entries:
            transaction.run(texts.TAKE_OVER, (task_id, *key, entries[key].task_id))
    # What is there already stays as it is, and is held: two processes may find the same key free.
    rows = [(*key, task_id, None) for key, task_id in sorted(absent.items())]
    transaction.upsert("response_cache", texts.ENTRY, ("cache_key",), rows)
    now_there = _entries(transaction, absent, texts.SELECT_ENTRIES)
    return {key: absent[key] for key, entry in now_there.items() if entry.task_id != absent[key]}


def note(transaction: Transaction, wishes: Sequence[tuple[Wanted, int]], leads: Mapping[int, Lead]) -> None:
    """Remember (who asks, its ttl_s) of new tasks, and answer those that can be."""
    rows = [
        (one.task_id, one.tenant_id, one.key, ttl_s, leads[one.task_id].task_id if one.task_id in leads else None, None)
        for one, ttl_s in wishes
    ]
    transaction.insert("task_cache", texts.WISH_ROW, rows)
    _say_follow(transaction, [one for one, _ in wishes], leads)
    answered = [
        (one.task_id, one.tenant_id, leads[one.task_id].task_id)
        for one, _ in wishes
        if one.task_id in leads and leads[one.task_id].has_answer
    ]
    _answer(transaction, answered)


def promoted(transaction: Transaction, due: Sequence[int]) -> set[int]:
    """Those whose time has come and that go by another task: they are blocked now. A retry goes on leading."""
    wishes = [row for row in transaction.rows_in(texts.WISH, texts.SELECT_WISHES, due) if row[0] in set(due)]
    wanted = sorted({Wanted(row[0], row[1], row[2]) for row in wishes})
    if not wanted:
        return set()
    leads = place(transaction, wanted)
    transaction.do_in(texts.BLOCK, sorted(leads), (transaction.now,))
    _follow(transaction, leads)
    _say_follow(transaction, wanted, leads)
    return set(leads)


def requeued(transaction: Transaction, task_ids: Sequence[int]) -> None:
    """A person wants them to run: they follow nobody, and lead where nobody else does."""
    wishes = transaction.rows_in(texts.WISH, texts.SELECT_WISHES, task_ids)
    if wishes:
        transaction.do_in(texts.FOLLOW, task_ids, (None,))
        place(transaction, sorted({Wanted(row[0], row[1], row[2]) for row in wishes}))


def edited(transaction: Transaction, task_ids: Sequence[int]) -> list[int]:
    """The input is another one, so the key is not theirs any more, nor are the followers; those freed thereby."""
    wishes = transaction.rows_in(texts.WISH, texts.SELECT_WISHES, task_ids)
    if not wishes:
        return []
    transaction.do_in(texts.DROP_WISHES, task_ids)
    for task_id, tenant_id, key, _, _ in wishes:
        transaction.run(texts.FORGET_ENTRY, (tenant_id, key, task_id))
    freed: list[int] = []
    is_cut = True
    while is_cut:
        found = _regrouped(transaction, sorted(task_ids), AT_ONCE).values()
        freed += [task.task_id for each in found for task in each.freed]
        is_cut = any(each.is_cut for each in found)
    return freed


def settle(transaction: Transaction, over: Sequence[Over]) -> dict[int, Followers]:
    """After these ends were written: store the answers, and see to the followers, by leader."""
    ended = {one.task_id: one for one in over}
    wishes = transaction.rows_in(texts.WISH, texts.SELECT_WISHES, sorted(ended))
    if not wishes:
        return {}
    _keep(transaction, wishes, ended)
    leaders = sorted({row[0] for row in wishes})
    return _regrouped(transaction, leaders, AT_ONCE)


def _keep(transaction: Transaction, wishes: Sequence[Row], ended: Mapping[int, Over]) -> None:
    now = transaction.now
    # Entries are written before followers are looked for: who joins meanwhile is waited for, or waits.
    entries, named = _held(transaction, {(row[1], row[2]) for row in wishes})
    kept: dict[Key, tuple[int, int]] = {}
    for task_id, tenant_id, key, ttl_s, _ in wishes:
        entry, end = entries.get((tenant_id, key)), ended[task_id]
        is_same_config = end.config_digest in (None, key[:CONFIG_DIGEST_CHARS])
        if end.status is Status.COMPLETED and is_same_config:
            if _lead(entry, named, now) is None:
                kept[tenant_id, key] = (task_id, now + ttl_s * 1000)
        elif entry is not None and entry.task_id == task_id:
            transaction.run(texts.FORGET_ENTRY, (tenant_id, key, task_id))
    rows = [(*key, *value) for key, value in sorted(kept.items())]
    transaction.upsert("response_cache", texts.ENTRY, ("task_id", "expires_at"), rows)


def has_lost(reader: Reader) -> bool:
    """Whether `regroup` would find anything."""
    return bool(reader.rows(("leader_id",), texts.SELECT_LOST_LEADERS, (1,)))


def regroup(transaction: Transaction, limit: int) -> Followers:
    """Followers of tasks that are over or gone."""
    lost = [row[0] for row in transaction.rows(("leader_id",), texts.SELECT_LOST_LEADERS, (limit,))]
    found = _regrouped(transaction, sorted(lost), limit).values()
    return Followers(
        [task for each in found for task in each.freed],
        [task for each in found for task in each.ended],
        len(lost) == limit or any(each.is_cut for each in found),
    )


def _regrouped(transaction: Transaction, leaders: Sequence[int], limit: int) -> dict[int, Followers]:
    """Answer, free or pass on the followers of tasks that are over, at most `limit` for each few leaders."""
    rows = transaction.rows_in(texts.FOLLOWER, texts.SELECT_FOLLOWERS, leaders, (), (limit,))
    if not rows:
        return {}
    is_cut = len(rows) >= limit
    blocked = {row[0]: row for row in rows if row[3] == Status.BLOCKED}
    # Those that ended, or were queued again, by another hand follow nobody any more.
    transaction.do_in(texts.FOLLOW, sorted({row[0] for row in rows} - blocked.keys()), (None,))
    completed = {row[0] for row in transaction.rows_in(texts.SOURCE, texts.SELECT_SOURCES, leaders)}
    leads = {task_id: Lead(row[5], has_answer=True) for task_id, row in blocked.items() if row[5] in completed}
    # Of several that could lead, the most urgent does.
    waiting = sorted(blocked.values(), key=lambda row: (row[7], row[0]))
    orphans = [Wanted(row[0], row[1], row[6]) for row in waiting if row[5] not in completed]
    passed_on = place(transaction, orphans)
    leads |= passed_on
    answered = [(task_id, blocked[task_id][1], lead.task_id) for task_id, lead in leads.items() if lead.has_answer]
    _answer(transaction, answered)
    _follow(transaction, {task_id: lead for task_id, lead in passed_on.items() if not lead.has_answer})
    queued = _free(transaction, [blocked[one.task_id] for one in orphans if one.task_id not in passed_on])
    freed: defaultdict[int, list[WaitingTask]] = defaultdict(list)
    ended: defaultdict[int, list[Moved]] = defaultdict(list)
    for task in queued:
        freed[blocked[task.task_id][5]].append(task)
    for task_id, _, _ in answered:
        row = blocked[task_id]
        ended[row[5]].append(Moved(row[0], row[1], row[2], Status.COMPLETED, row[4]))
    touched = {row[5] for row in rows}
    return {leader: Followers(freed[leader], ended[leader], is_cut) for leader in touched}


def _free(transaction: Transaction, rows: Sequence[Row]) -> list[WaitingTask]:
    """These lead now: they wait in the queue, in the place that they had from the start."""
    ids = [row[0] for row in rows]
    transaction.do_in(texts.LEAD, ids, (transaction.now,))
    transaction.do_in(texts.FOLLOW, ids, (None,))
    said = [lines.Line(row[0], row[1], "info", f"queued: task {row[5]} ended without an answer") for row in rows]
    lines.write(transaction, said)
    found = transaction.rows_in(WAITING_COLUMNS, statements.SELECT_QUEUED, ids)
    return [waiting_of(row) for row in {row[0]: row for row in found}.values()]


def _follow(transaction: Transaction, leads: Mapping[int, Lead]) -> None:
    by_leader: defaultdict[int, list[int]] = defaultdict(list)
    for task_id, lead in leads.items():
        by_leader[lead.task_id].append(task_id)
    for leader_id, ids in by_leader.items():
        transaction.do_in(texts.FOLLOW, sorted(ids), (leader_id,))


def _say_follow(transaction: Transaction, asked: Iterable[Wanted], leads: Mapping[int, Lead]) -> None:
    said = [
        lines.Line(one.task_id, one.tenant_id, "info", f"waits for the answer of task {leads[one.task_id].task_id}")
        for one in asked
        if one.task_id in leads and not leads[one.task_id].has_answer
    ]
    lines.write(transaction, said)


def _answer(transaction: Transaction, answered: Sequence[tuple[int, int, int]]) -> None:
    """Complete blocked tasks with the copy of another's answer: (task, tenant, source)."""
    now = transaction.now
    by_source: defaultdict[int, list[int]] = defaultdict(list)
    for task_id, _, source_id in answered:
        by_source[source_id].append(task_id)
    sources = transaction.rows_in(texts.SOURCE, texts.SELECT_SOURCES, sorted(by_source))
    for source_id, output in {row[0]: row[1] for row in sources}.items():
        ids = sorted(by_source[source_id])
        transaction.do_in(texts.COPY_RESULT, ids, (now,), (source_id,))
        transaction.do_in(texts.ANSWER, ids, (now, now, output))
        transaction.do_in(texts.ANSWERED_BY, ids, (source_id,))
        transaction.do_in(statements.DROP_DEADLINES, ids)
    said = [
        lines.Line(task_id, tenant_id, "info", f"answered from the cache (task {source_id})")
        for task_id, tenant_id, source_id in answered
    ]
    lines.write(transaction, said)


def drop(transaction: Transaction, limit: int) -> int:
    """Entries whose time is over, and leads of tasks that are over."""
    now = transaction.now
    lapsed = transaction.rows(("tenant_id", "cache_key"), texts.SELECT_LAPSED, (now, limit))
    for tenant_id, part in _cut({(row[0], row[1]) for row in lapsed}):
        transaction.run(texts.FORGET_LAPSED, (tenant_id, *part, now))
    lost = transaction.rows(("tenant_id", "cache_key", "task_id"), texts.SELECT_LOST_LEADS, (limit,))
    for row in lost:
        transaction.run(texts.FORGET_ENTRY, row)
    return len(lapsed) + len(lost)


def _entries(transaction: Transaction, keys: Iterable[Key], query: str) -> dict[Key, _Entry]:
    found: dict[Key, _Entry] = {}
    for tenant_id, part in _cut(keys):
        for row in transaction.rows(texts.ENTRY, query, (tenant_id, *part)):
            found[row[0], row[1]] = _Entry(row[2], row[3])
    return found


def _cut(keys: Iterable[Key]) -> Iterator[tuple[int, list[str]]]:
    """Keys of one tenant in lists of one size; the last key is repeated to fill one (IN does not mind)."""
    by_tenant: defaultdict[int, list[str]] = defaultdict(list)
    for tenant_id, key in sorted(keys):
        by_tenant[tenant_id].append(key)
    for tenant_id, mine in by_tenant.items():
        for first in range(0, len(mine), texts.KEYS_AT_ONCE):
            part = mine[first : first + texts.KEYS_AT_ONCE]
            yield tenant_id, part + [part[-1]] * (texts.KEYS_AT_ONCE - len(part))

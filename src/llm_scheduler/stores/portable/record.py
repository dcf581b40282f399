"""The ends of attempts: all of a batch judged against their rows, then written together.

The write lock is held from the first read on, so what was judged is what is written; the fences stand
in the statements all the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from llm_scheduler.domain.status import TERMINAL, Status
from llm_scheduler.ports.answers import Followers
from llm_scheduler.ports.store import Recorded
from llm_scheduler.stores import lines, statements
from llm_scheduler.stores.fence import FenceRow, OldAttempt, Verdict, fence_row, is_replay, is_salvage, judge
from llm_scheduler.stores.portable import answers as stored
from llm_scheduler.stores.portable import fallback, money, payloads

if TYPE_CHECKING:
    from llm_scheduler.domain.outcome import Ended
    from llm_scheduler.domain.task import TaskError
    from llm_scheduler.stores.portable.access import Transaction


class _Accepted(NamedTuple):
    end: Ended
    row: FenceRow
    status: Status
    is_moved: bool = False


def record_all(transaction: Transaction, ends: list[Ended]) -> list[Recorded]:
    """Record each end; later ones for the same task see what the earlier ones did."""
    answers: dict[int, Recorded] = {}
    rest = list(enumerate(ends))
    while rest:
        seen: set[int] = set()
        this_round: list[tuple[int, Ended]] = []
        later: list[tuple[int, Ended]] = []
        for place, end in rest:
            (later if end.task_id in seen else this_round).append((place, end))
            seen.add(end.task_id)
        answers.update(_record_round(transaction, this_round))
        rest = later
    return [answers[place] for place in range(len(ends))]


def _record_round(transaction: Transaction, ends: list[tuple[int, Ended]]) -> dict[int, Recorded]:
    """At most one end per task."""
    models = fallback.known_models(transaction, (end.next_model_id for _, end in ends if end.next_model_id is not None))
    ids = sorted(end.task_id for _, end in ends)
    found = transaction.rows_in(statements.FENCE, statements.SELECT_FENCE, ids)
    rows = {values[0]: fence_row(values) for values in found}
    accepted: list[_Accepted] = []
    unsure: list[tuple[int, Ended]] = []
    answers: dict[int, Recorded] = {}
    for place, end in ends:
        row = rows.get(end.task_id)
        if row is None:  # deleted meanwhile; only finished tasks can be
            answers[place] = Recorded(False, Status.CANCELLED)
            continue
        verdict = judge(row, end)
        if verdict is Verdict.ASK:
            unsure.append((place, end))
            continue
        status = Status.CANCELLED if verdict is Verdict.ACCEPT_AS_CANCELLED else end.status
        is_moved = status is Status.FAILED and end.next_model_id in models
        status = Status.QUEUED if is_moved else status
        accepted.append(_Accepted(end, row, status, is_moved))
        answers[place] = Recorded(True, status)
    if unsure:
        answers |= _late(transaction, unsure, rows, accepted)
    if accepted:
        followers = _write(transaction, accepted)
        if followers:
            places: dict[int, int] = {end.task_id: place for place, end in ends}
            for task_id, theirs in followers.items():
                place = places[task_id]
                answers[place] = answers[place]._replace(followers=theirs)
    if any(end.is_reserved for _, end in ends):
        _settle(transaction, ends, answers)
    return answers


def _settle(transaction: Transaction, ends: list[tuple[int, Ended]], answers: dict[int, Recorded]) -> None:
    """Whatever became of the end, its attempt is over; one whose worker was given up was settled with it."""
    charges = [
        money.Charge(end.task_id, end.attempt, end.tenant_id, end.charge_microusd) for _, end in ends if end.is_reserved
    ]
    told = money.settle(transaction, charges)
    for place, end in ends:
        if end.task_id in told:
            answers[place] = answers[place]._replace(told=told[end.task_id])


def _late(
    transaction: Transaction,
    ends: list[tuple[int, Ended]],
    rows: dict[int, FenceRow],
    accepted: list[_Accepted],
) -> dict[int, Recorded]:
    """Salvage, replay, or too late. Salvaged ends join `accepted`."""
    ids = sorted(end.task_id for _, end in ends)
    found = transaction.rows_in(statements.OLD_ATTEMPT, statements.SELECT_OLD_ATTEMPTS, ids)
    old = {(values[0], values[1]): OldAttempt(*values) for values in found}
    answers: dict[int, Recorded] = {}
    said: list[lines.Line] = []
    for place, end in ends:
        row, mine = rows[end.task_id], old.get((end.task_id, end.attempt))
        if mine is not None and is_replay(end, mine):
            answers[place] = Recorded(True, Status(row.status))
        elif mine is not None and is_salvage(row, end, mine):
            accepted.append(_Accepted(end, row, Status.COMPLETED))
            answers[place] = Recorded(True, Status.COMPLETED)
        else:
            answers[place] = Recorded(False, Status(row.status))
            if mine is not None and mine.session_id == end.session_id and _is_news(end, mine):
                transaction.do(statements.END_ATTEMPT, _late_end(end))
                level, message = lines.refused(end, row.status)
                said.append(lines.Line(end.task_id, end.tenant_id, level, message))
    lines.write(transaction, said)
    return answers


def _is_news(end: Ended, old: OldAttempt) -> bool:
    return not old.is_accepted and old.outcome != end.outcome


def _write(transaction: Transaction, accepted: list[_Accepted]) -> dict[int, Followers]:
    completed = [one for one in accepted if one.status is Status.COMPLETED]
    put_back: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    others: defaultdict[tuple[object, ...], list[_Accepted]] = defaultdict(list)
    for one in accepted:
        end = one.end
        if one.status is Status.COMPLETED or one.is_moved:
            continue
        if one.status is Status.QUEUED and not end.counts_failure and not end.counts_retry:
            put_back[end.attempt, end.session_id].append(end.task_id)
        else:
            reason = end.dead_reason if one.status is Status.FAILED else None
            group = (one.status, end.counts_failure, end.counts_retry, reason, end.attempt, end.session_id)
            others[group].append(one)
    if completed:
        _complete(transaction, completed)
    for (attempt, session_id), ids in put_back.items():
        transaction.do_in(statements.PUT_BACK, ids, (transaction.now,), (attempt, session_id))
    for group in others.values():
        _move(transaction, group)
    moved = [one.end for one in accepted if one.is_moved]
    freed = fallback.move_on(transaction, moved) if moved else ()
    ended = [one.end.task_id for one in accepted if one.status in TERMINAL and one.row.deadline_at is not None]
    if ended:
        transaction.do_in(statements.DROP_DEADLINES, ended)
    if any(one.end.drops_payload for one in accepted):
        _fade(transaction, accepted)
    rows = [_attempt_row(one) for one in accepted]
    transaction.upsert("attempts", statements.ATTEMPT_ROW, statements.ATTEMPT_END, rows)
    lines.write(transaction, [_line(one) for one in accepted])
    over = [
        stored.Over(one.end.task_id, one.status, one.end.config_digest) for one in accepted if one.status in TERMINAL
    ]
    followers = stored.settle(transaction, over) if over else {}
    return followers | {moved[0].task_id: Followers(freed)} if freed else followers


def _fade(transaction: Transaction, accepted: list[_Accepted]) -> None:
    """See to payloads that are kept only as long as they are needed."""
    over = [one for one in accepted if one.end.drops_payload and one.status in TERMINAL]
    completed = [one.end.task_id for one in over if one.status is Status.COMPLETED]
    if completed:
        payloads.completed(transaction, completed)
    if over:
        payloads.ended(transaction, [one.end.task_id for one in over])


def _complete(transaction: Transaction, completed: list[_Accepted]) -> None:
    now = transaction.now
    outputs: dict[int, tuple[object, ...]] = {one.end.task_id: (one.end.output,) for one in completed}
    transaction.do_cases(statements.COMPLETE, outputs, (now, now))
    results = [
        (
            end.task_id,
            end.tenant_id,
            end.attempt,
            end.usage.prompt_tokens,
            end.usage.completion_tokens,
            end.usage.prompt_tokens + end.usage.completion_tokens,
            end.cost_microusd,
            now,
            end.finish_reason,
            end.raw,
        )
        for end in (one.end for one in completed)
    ]
    transaction.insert("results", statements.RESULT_ROW, results)
    elsewhere = [(one.end.task_id, one.end.model_id) for one in completed if one.row.model_id != one.end.model_id]
    fallback.served_by(transaction, elsewhere)
    for model_id, count in Counter(one.end.model_id for one in completed).items():
        transaction.add_up(statements.COUNT_REQUESTS, (0, count), model_id)


def _move(transaction: Transaction, group: list[_Accepted]) -> None:
    """Ends that share status, counters, reason, attempt and owner."""
    status, first = group[0].status, group[0].end
    now = transaction.now
    reason = first.dead_reason if status is Status.FAILED else None
    before = (
        status.value,
        now,
        now if status in TERMINAL else None,
        int(first.counts_failure),
        int(first.counts_retry),
        reason,
    )
    values: dict[int, tuple[object, ...]] = {
        one.end.task_id: (_eligible_at(one, now), *_error(one.end.error)) for one in group
    }
    transaction.do_cases(statements.MOVE_ENDED, values, before, (first.attempt, first.session_id))


def _eligible_at(one: _Accepted, now: int) -> int:
    if one.status is not Status.SCHEDULED:
        return one.row.eligible_at
    return now if one.end.eligible_at is None else one.end.eligible_at


def _error(error: TaskError | None) -> tuple[object, ...]:
    """Code, message, retryable, HTTP status: in the order of the statements."""
    if error is None:
        return None, None, None, None
    return error.code, error.message, int(error.is_retryable), error.http_status


def _attempt_row(one: _Accepted) -> tuple[object, ...]:
    end = one.end
    code, message, is_retryable, http_status = _error(end.error)
    return (
        end.task_id,
        end.attempt,
        end.tenant_id,
        end.model_id,
        end.session_id,
        one.row.queued_at,
        end.started_at,
        end.ended_at,
        end.outcome.value,
        1,
        end.usage.prompt_tokens,
        end.usage.completion_tokens,
        end.cost_microusd,
        end.ttft_ms,
        code,
        is_retryable,
        http_status,
        message,
        end.endpoint,
    )


def _late_end(end: Ended) -> tuple[object, ...]:
    code, message, is_retryable, http_status = _error(end.error)
    usage = (end.usage.prompt_tokens, end.usage.completion_tokens, end.cost_microusd, end.ttft_ms)
    keys = (end.task_id, end.attempt, end.session_id)
    return (end.outcome.value, end.ended_at, 0, *usage, code, message, is_retryable, http_status, *keys)


def _line(one: _Accepted) -> lines.Line:
    retries = one.row.retry_count + int(one.end.counts_retry)
    level, message = lines.ended(one.end, one.status, retries, one.row.max_retries)
    return lines.Line(one.end.task_id, one.end.tenant_id, level, message)

"""Chat completions on the wire: one JSON body, or a stream of chunks. Each is an ASGI application that waits itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

import orjson
import structlog
from starlette.requests import ClientDisconnect

from llm_scheduler.api.chat_waiting import BEAT_S, STREAM_GRACE_S, ChatWait
from llm_scheduler.api.completions import DONE, Head, chunk, completion, delta, last_deltas, stream_extras, stream_usage
from llm_scheduler.api.errors import Problem, internal_problem, problem_of
from llm_scheduler.api.openai_errors import FinalProblem, error_body, error_json
from llm_scheduler.domain.errors import SchedulerError
from llm_scheduler.domain.status import Status

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from llm_scheduler.api.chat_asking import Terms
    from llm_scheduler.api.parts import Caller
    from llm_scheduler.domain.task import Task

BLANK: Final = b" "
TASK_HEADER: Final = b"x-llms-task-id"
_SSE: Final = b"text/event-stream; charset=utf-8"
_JSON: Final = b"application/json"
_log = structlog.get_logger(__name__)


class _Reply(ABC):
    """What both kinds share: the start, pieces, and what is done when it goes wrong."""

    def __init__(self, caller: Caller, task: Task, terms: Terms, first_beat_s: float) -> None:
        self._caller, self._terms = caller, terms
        self._wait = ChatWait(caller, task, terms, first_beat_s)
        self._model = caller.parts.catalogue.name_of(task.model_id)
        self._headers = [(TASK_HEADER, b"%d" % task.id)]
        self._is_begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, and send what comes."""
        try:
            await self._play(receive, send)
        except (ClientDisconnect, OSError):
            await self._wait.give_up()
            if not self._is_begun:
                raise ClientDisconnect from None
        except (Problem, SchedulerError) as error:
            problem = problem_of(error) if isinstance(error, SchedulerError) else error
            await self._wait.give_up()
            if not self._is_begun:
                problem.headers[TASK_HEADER.decode()] = str(self._wait.task.id)
                raise problem from None
            await self._end_with(problem, send)
        except Exception:
            if not self._is_begun:
                raise
            _log.exception("chat_failed", task_id=self._wait.task.id)
            await self._end_with(internal_problem(), send)

    @abstractmethod
    async def _play(self, receive: Receive, send: Send) -> None:
        """Wait, and send what comes."""

    @abstractmethod
    async def _end_with(self, problem: Problem, send: Send) -> None:
        """Say in an answer that has begun why it goes no further."""

    async def _begin(self, send: Send, media: bytes, *more: tuple[bytes, bytes]) -> None:
        if not self._is_begun:
            self._is_begun = True
            headers = [(b"content-type", media), *self._headers, *more]
            await send({"type": "http.response.start", "status": 200, "headers": headers})


class WholeReply(_Reply):
    """One JSON body; blanks before it, for callers who said how long they wait."""

    def __init__(self, caller: Caller, task: Task, terms: Terms) -> None:
        super().__init__(caller, task, terms, BEAT_S)

    async def _play(self, receive: Receive, send: Send) -> None:
        async for _ in self._wait.news(receive, with_text=False):
            if self._terms.is_patient:
                await self._begin(send, _JSON)
                await send({"type": "http.response.body", "body": BLANK, "more_body": True})
        task = self._wait.task
        body = orjson.dumps(completion(task, self._caller.parts.catalogue.name_of(task.model_id)))
        if not self._is_begun:
            await self._begin(send, _JSON, (b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.body", "body": body})

    async def _end_with(self, problem: Problem, send: Send) -> None:
        """The status is out already: only the body can tell."""
        await send({"type": "http.response.body", "body": error_body(problem, self._caller.parts.redact)})


class StreamedReply(_Reply):
    """Chunks as OpenAI sends them, and comments while it waits."""

    def __init__(self, caller: Caller, task: Task, terms: Terms) -> None:
        super().__init__(caller, task, terms, STREAM_GRACE_S)
        self._head = Head.of(task, self._model)
        self._nothing: dict[str, object] = {"usage": None} if terms.wants_usage else {}
        self._is_said = False

    async def _play(self, receive: Receive, send: Send) -> None:
        async for text in self._wait.news(receive, with_text=True):
            if text is None:
                await self._put(send, await self._comment())
            else:
                await self._say(send, text)
        await self._finish(send)

    async def _put(self, send: Send, piece: bytes) -> None:
        await self._begin(send, _SSE, (b"x-accel-buffering", b"no"))
        await send({"type": "http.response.body", "body": piece, "more_body": True})

    async def _comment(self) -> bytes:
        task = self._wait.task
        if task.status is Status.RUNNING:
            return b": running\n\n"
        position = await self._caller.parts.tasks.position(task)
        where = b"" if position is None else b" position=%d" % (position + 1)
        return b": %s%s\n\n" % (task.status.value.encode(), where)

    def _first(self) -> bytes:
        """The chunk that says who speaks, once."""
        if self._is_said:
            return b""
        self._is_said = True
        return chunk(self._head, [delta(0, {"role": "assistant", "content": ""})], **self._nothing)

    async def _say(self, send: Send, text: str) -> None:
        said = chunk(self._head, [delta(0, {"content": text})], **self._nothing)
        await self._put(send, self._first() + said)

    async def _finish(self, send: Send) -> None:
        task, spoken = self._wait.task, self._wait.spoken
        if not spoken.is_begin_of(task.output or ""):
            detail = f"The call was tried again and said something else; the answer is that of task {task.id}."
            raise FinalProblem(502, "stream_restarted", detail)
        extras = stream_extras(task) | self._nothing
        pieces = [chunk(self._head, [part], **extras) for part in last_deltas(task, spoken.text)]
        if self._terms.wants_usage:
            pieces.append(chunk(self._head, [], **(extras | stream_usage(task))))
        await self._put(send, self._first() + b"".join(pieces) + DONE)
        await send({"type": "http.response.body", "body": b""})

    async def _end_with(self, problem: Problem, send: Send) -> None:
        said = orjson.dumps(error_json(problem, self._caller.parts.redact))
        await send({"type": "http.response.body", "body": b"data: %s\n\n" % said})

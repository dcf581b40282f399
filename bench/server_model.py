"""An inference server as an event simulation: iteration-level sharing with limits that it does not tell.

Every step gives each running call one token and takes 13 + 0.367 n milliseconds (a fit to sweeps of a consumer GPU);
a prompt token is 1/64 of a step. So all running calls advance alike, and a call ends when the work done since it
began (in steps) is its own. What finds no slot or no room for its tokens waits in a queue inside, first come first.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass, field
from typing import Final

PROMPT_STEPS: Final = 1 / 64
REFUSAL_S: Final = 0.05


@dataclass(frozen=True)
class Shape:
    """What a server can do. `cap`: more calls than these are answered with 429 at once."""

    slots: int = 64
    kv_tokens: int = 110_000
    base_ms: float = 13.0
    each_ms: float = 0.367
    cap: int | None = None
    degrades_past: int | None = None
    degrading: float = 1.6
    """How much slower a step is for each time that calls exceed `degrades_past`."""

    def step_s(self, running: int) -> float:
        """Seconds of one step."""
        seconds = (self.base_ms + self.each_ms * running) / 1000
        if self.degrades_past is not None and running > self.degrades_past:
            seconds *= 1 + self.degrading * (running - self.degrades_past) / self.degrades_past
        return seconds


@dataclass
class Job:
    """One call inside the server; instants in seconds."""

    number: int
    sent_s: float
    input_tokens: int
    output_tokens: int
    prompt_tokens: int
    delay_s: float = 0.0
    begun_s: float = 0.0
    first_s: float | None = None
    ended_s: float = 0.0
    is_refused: bool = False

    @property
    def work(self) -> float:
        """Its steps."""
        return self.prompt_tokens * PROMPT_STEPS + self.output_tokens


@dataclass
class Server:
    """Calls go in by `send` and come out of `advance`.

    Args:
        shape: what it can do now; may be replaced at any time.
        rng: of what is random.
        jitter_sigma: of a log-normal delay (median 50 ms) before each call's first token; 0 = none.
        cached: the share of calls whose prompt is known already, up to the last 32 tokens.
    """

    shape: Shape
    rng: random.Random
    jitter_sigma: float = 0.0
    cached: float = 0.0
    now_s: float = 0.0
    queue: deque[Job] = field(default_factory=deque)
    _done: float = 0.0
    _kv: int = 0
    _running: int = 0
    _marks: list[tuple[float, int, bool, Job]] = field(default_factory=list)
    _refused: list[tuple[float, int, Job]] = field(default_factory=list)
    _count: int = 0
    queued_s: float = 0.0
    """Call-seconds that were spent in the queue inside."""

    @property
    def in_flight(self) -> int:
        """Calls inside that were not refused."""
        return self._running + len(self.queue)

    def send(self, input_tokens: int, output_tokens: int) -> None:
        """A call arrives now."""
        self._count += 1
        is_cached = self.cached > 0 and self.rng.random() < self.cached
        prompt_tokens = min(32, input_tokens) if is_cached else input_tokens
        delay_s = 0.05 * self.rng.lognormvariate(0, self.jitter_sigma) if self.jitter_sigma else 0.0
        job = Job(self._count, self.now_s, input_tokens, output_tokens, prompt_tokens, delay_s)
        if self.shape.cap is not None and self.in_flight >= self.shape.cap:
            job.is_refused, job.ended_s = True, self.now_s + REFUSAL_S
            heapq.heappush(self._refused, (job.ended_s, job.number, job))
            return
        self.queue.append(job)
        self._admit()

    def advance(self, until_s: float) -> Job | None:
        """Let time pass until a call ends, or until then; the call that ended."""
        while True:
            refused_s = self._refused[0][0] if self._refused else float("inf")
            step_s = self.shape.step_s(self._running)
            mark_s = self.now_s + (self._marks[0][0] - self._done) * step_s if self._marks else float("inf")
            at_s = min(until_s, refused_s, mark_s)
            self.queued_s += len(self.queue) * (at_s - self.now_s)
            if self._running:
                self._done += (at_s - self.now_s) / step_s
            self.now_s = at_s
            if at_s == refused_s:
                return heapq.heappop(self._refused)[2]
            if at_s == mark_s:
                done, _, is_end, job = heapq.heappop(self._marks)
                self._done = max(self._done, done)
                if is_end:
                    return self._end(job)
                job.first_s = self.now_s + job.delay_s
                continue
            return None

    def _end(self, job: Job) -> Job:
        self._running -= 1
        self._kv -= job.input_tokens + job.output_tokens
        job.ended_s = self.now_s + job.delay_s
        self._admit()
        return job

    def _admit(self) -> None:
        while self.queue and self._running < self.shape.slots:
            job = self.queue[0]
            room = job.input_tokens + job.output_tokens
            if self._running and self._kv + room > self.shape.kv_tokens:
                return
            self.queue.popleft()
            job.begun_s = self.now_s
            self._running += 1
            self._kv += room
            first = self._done + job.prompt_tokens * PROMPT_STEPS + 1
            heapq.heappush(self._marks, (first, job.number, False, job))
            heapq.heappush(self._marks, (max(first, self._done + job.work), job.number + 1_000_000_000, True, job))

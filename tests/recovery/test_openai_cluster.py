"""OpenAI's SDK before a cluster: the API process that answers is not the one that calls the provider."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from openai import OpenAI
from tests.cluster import cluster
from tests.live import KEY, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster import Cluster, Member

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
HI: Any = [{"role": "user", "content": "Hi there"}]
WORDS = "one two three four five six seven eight nine ten"


@pytest.fixture(scope="module")
def it(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster"), apis=2, workers=2) as running:
        running.api.add_model("spoken", config={"text": WORDS, "chunks": 10, "tokens_per_s": 10})
        running.api.add_model("slow", config={"delay_ms": 4000, "text": WORDS}, max_workers=1)
        for api in running.apis:
            wait_until("it knows both", lambda api=api: len(api.call("GET", "/api/v1/models")["items"]) == 2)
        yield running


def sdk(api: Member) -> OpenAI:
    return OpenAI(base_url=f"http://127.0.0.1:{api.port}/v1", api_key=KEY, max_retries=0, timeout=120)


@pytest.mark.parametrize("number", [0, 1])
def test_a_stream_comes_word_by_word_from_another_process(it: Cluster, number: int) -> None:
    with sdk(it.apis[number]) as client:
        stream = client.chat.completions.create(model="spoken", messages=HI, stream=True)
        heard = [(time.monotonic(), chunk.choices[0].delta.content or "") for chunk in stream]

    words = [(at_s, text) for at_s, text in heard if text]
    assert "".join(text for _, text in words) == WORDS
    assert len(words) >= 5
    assert words[-1][0] - words[0][0] > 0.3, "it was kept until the end"


def test_a_worker_that_dies_costs_its_caller_time_and_no_answer(it: Cluster) -> None:
    answers: list[Any] = []

    def ask() -> None:
        with sdk(it.apis[1]) as client:
            answers.append(client.chat.completions.create(model="slow", messages=HI))

    waiting = threading.Thread(target=ask)
    waiting.start()
    [task] = wait_until("it runs", lambda: it.api.tasks("&model=slow&status=running"))
    host = it.api.call("GET", f"/api/v1/tasks/{task['id']}/attempts")["items"][0]["session_id"]
    sessions = it.api.call("GET", "/api/v1/workers")["items"]
    pid = next(one["pid"] for one in sessions if one["id"] == host)
    next(worker for worker in it.workers if worker.pid == pid).kill()
    waiting.join(120)

    [answer] = answers
    assert answer.choices[0].message.content == WORDS
    assert it.api.call("GET", f"/api/v1/tasks/{task['id']}")["attempt"] == 2

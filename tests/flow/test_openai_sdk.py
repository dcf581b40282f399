"""OpenAI's own SDK against a real server: whole answers, streams, tools, errors, waiting and hanging up."""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest
from openai import OpenAI
from tests.live import KEY, Server, server, wait_until
from tests.stubs import openai_wire
from tests.stubs.servers import StubServer, started

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
HI: Any = [{"role": "user", "content": "Hi there"}]
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


@pytest.fixture(scope="module")
def stub() -> Iterator[StubServer]:
    with started() as running:
        yield running


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, stub: StubServer) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("sdk")) as running:
        running.add_model("far", "openai", config={"base_url": stub.base_url, "api_key": "sk-of-the-operator"})
        running.add_model("quick", config={"text": "one two three", "chunks": 3})
        running.add_model("slow", config={"delay_ms": 60_000})
        running.add_model("single", config={"delay_ms": 60_000}, max_workers=1)
        running.add_model("broken", config={"errors": [{"code": "content_filtered"}]}, retry={"max_retries": 0})
        running.add_model("claude", "anthropic", config={"base_url": stub.origin, "api_key": "sk-ant"})
        yield running


@pytest.fixture
def client(live: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"http://127.0.0.1:{live.port}/v1", api_key=KEY, max_retries=0, timeout=60) as made:
        yield made


def behave(stub: StubServer, behaviour: str) -> None:
    asyncio.run(stub.post("behaviour", behaviour=behaviour))


def task_of(live: Server, answer_id: str) -> Any:
    return live.call("GET", f"/api/v1/tasks/{answer_id.removeprefix('chatcmpl-')}")


def test_a_whole_answer_is_a_task_like_any_other(live: Server, client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="far", messages=HI, max_tokens=3, metadata={"run": "seven"}, extra_body={"priority": "high"}
    )

    assert answer.object == "chat.completion"
    assert (answer.model, answer.choices[0].message.content) == ("far", "You said: Hi")
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (5, 3, 8)
    task = task_of(live, answer.id)
    assert (task["status"], task["priority"], task["metadata"]) == ("completed", 0, {"run": "seven"})
    assert task["usage"]["total_tokens"] == 8


def test_what_is_ours_does_not_reach_the_provider(stub: StubServer, client: OpenAI) -> None:
    client.chat.completions.create(
        model="far",
        messages=HI,
        temperature=0.5,
        metadata={"run": "eight"},
        extra_body={"priority": 3, "max_wait_s": 30, "deadline": "2100-01-01T00:00:00Z"},
    )

    sent = asyncio.run(stub.requests())[-1]
    assert sent["body"]["temperature"] == 0.5
    assert not sent["body"].keys() & {"priority", "max_wait_s", "deadline", "metadata"}
    assert sent["headers"]["authorization"] == "Bearer sk-of-the-operator"


@pytest.mark.parametrize("model", ["far", "quick", "claude"])
def test_a_stream_says_what_the_whole_answer_says(client: OpenAI, model: str) -> None:
    options: Any = {"include_usage": True}
    chunks = list(client.chat.completions.create(model=model, messages=HI, stream=True, stream_options=options))
    whole = client.chat.completions.create(model=model, messages=HI)

    said = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert said[0].role == "assistant"
    assert "".join(delta.content or "" for delta in said) == whole.choices[0].message.content
    ends = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert [end for end in ends if end] == [whole.choices[0].finish_reason] == ["stop"]
    assert len({chunk.id for chunk in chunks}) == 1
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    assert len(usages) == 1
    assert chunks[-1].choices == []
    assert whole.usage is not None
    assert usages[0].total_tokens == whole.usage.total_tokens


def test_a_stream_without_the_option_tells_no_usage(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="quick", messages=HI, stream=True))

    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    # What comes while the reader is busy comes in one piece.
    said = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
    assert "".join(said) == "one two three"
    assert len(said) <= 3


def test_the_end_of_a_stream_is_as_clients_expect_it(live: Server) -> None:
    body = {"model": "quick", "messages": HI, "stream": True}
    answer = live.http.post("/v1/chat/completions", json=body)

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")
    assert answer.headers["x-llms-task-id"].isdigit()


@pytest.mark.parametrize("is_streamed", [False, True])
def test_calls_of_tools_come_whole(client: OpenAI, stub: StubServer, is_streamed: bool) -> None:
    behave(stub, "tool")
    try:
        if is_streamed:
            with client.chat.completions.stream(model="far", messages=HI, tools=TOOLS) as stream:
                answer: Any = stream.get_final_completion()
        else:
            answer = client.chat.completions.create(model="far", messages=HI, tools=TOOLS)
    finally:
        behave(stub, "")

    calls = answer.choices[0].message.tool_calls
    assert [(call.id, call.function.name) for call in calls] == [("call_1", "weather"), ("call_2", "time")]
    assert calls[0].function.arguments == "".join(openai_wire.TOOL_ARGUMENTS)
    assert answer.choices[0].finish_reason == "tool_calls"


def test_several_choices_are_several(client: OpenAI) -> None:
    whole = client.chat.completions.create(model="far", messages=HI, n=3)
    chunks = list(client.chat.completions.create(model="far", messages=HI, n=2, stream=True))

    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in whole.choices}) == 1
    for index in (0, 1):
        said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices[0].index == index]
        assert "".join(said) == whole.choices[0].message.content


def test_models_are_listed_and_found(client: OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    model = client.models.retrieve("quick")

    assert names == sorted(names)
    assert {"far", "quick", "claude"} <= set(names)
    assert (model.id, model.object, model.owned_by) == ("quick", "model", "llm-scheduler")
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("gpt-none")
    assert refused.value.code == "model_not_found"


def test_errors_are_those_of_the_sdk(live: Server, client: OpenAI) -> None:
    create: Any = client.chat.completions.create
    stranger = OpenAI(base_url=client.base_url, api_key="wrong-key", max_retries=0)

    with pytest.raises(openai.AuthenticationError) as wrong_key:
        stranger.models.list()
    with pytest.raises(openai.NotFoundError) as no_model:
        create(model="gpt-none", messages=HI)
    with pytest.raises(openai.BadRequestError) as no_messages:
        create(model="quick", messages=[])
    with pytest.raises(openai.BadRequestError) as not_taken:
        create(model="claude", messages=HI, stop=["x"])
    with pytest.raises(openai.BadRequestError) as filtered:
        create(model="broken", messages=HI)
    with pytest.raises(openai.NotFoundError) as no_path:
        client.post("/completely/unknown", cast_to=object)

    assert wrong_key.value.code == "invalid_api_key"
    assert (no_model.value.code, no_model.value.param) == ("model_not_found", "model")
    assert (no_messages.value.type, no_messages.value.param) == ("invalid_request_error", "messages")
    assert (not_taken.value.code, not_taken.value.param) == ("unsupported_parameter", "stop")
    assert "stop_sequences" in not_taken.value.message
    assert filtered.value.code == "content_filter"
    assert filtered.value.response.headers["x-should-retry"] == "false"
    assert no_path.value.code == "unknown_url"
    stranger.close()


def test_a_stream_that_fails_before_its_first_word_has_a_status(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="broken", messages=HI, stream=True)


@pytest.mark.parametrize("is_streamed", [False, True])
def test_who_hangs_up_cancels_the_call(live: Server, client: OpenAI, is_streamed: bool) -> None:
    model = f"hung-up-{is_streamed}"
    live.add_model(model, config={"delay_ms": 60_000})
    hurried = client.with_options(timeout=1.5)

    def called() -> Any:
        return list(hurried.chat.completions.create(model=model, messages=HI, stream=is_streamed))

    with pytest.raises((openai.APITimeoutError, httpx2.TimeoutException)):
        called()

    [task] = live.tasks(f"&model={model}")
    live.wait_for(task["id"], "cancelled")


def test_who_has_an_idempotency_key_may_come_back(live: Server, client: OpenAI) -> None:
    model, key = "comes-back", {"Idempotency-Key": "the-same-call"}
    live.add_model(model, config={"delay_ms": 2500, "text": "at last"})
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=1).chat.completions.create(model=model, messages=HI, extra_headers=key)

    answer = client.chat.completions.create(model=model, messages=HI, extra_headers=key)

    assert answer.choices[0].message.content == "at last"
    assert len(live.tasks(f"&model={model}")) == 1


def test_who_waits_too_long_for_a_turn_is_told_and_nothing_stays(live: Server, client: OpenAI) -> None:
    first = live.call("POST", "/api/v1/tasks", {"model": "single", "input": "x"})
    live.wait_for(first["id"], "running")
    try:
        with pytest.raises(openai.RateLimitError) as late:
            client.chat.completions.create(model="single", messages=HI, extra_body={"max_wait_s": 0.5})
    finally:
        live.call("POST", f"/api/v1/tasks/{first['id']}/cancel")

    assert late.value.code == "queue_timeout"
    assert int(late.value.response.headers["retry-after"]) > 0
    task_id = int(late.value.response.headers["x-llms-task-id"])
    live.wait_for(task_id, "cancelled")


def test_a_patient_caller_is_kept_alive(live: Server) -> None:
    """Blanks come before the JSON, so that no proxy and no read timeout ends the call."""
    live.add_model("patient", config={"delay_ms": 6500, "text": "worth it"})
    body = {"model": "patient", "messages": HI, "max_wait_s": 60}
    with live.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        pieces = [piece for piece in answer.iter_raw() if piece]

    assert pieces[0] == b" "
    assert httpx2.Response(200, content=b"".join(pieces)).json()["choices"][0]["message"]["content"] == "worth it"


def test_streams_at_once_do_not_mix(client: OpenAI) -> None:
    def said(number: int) -> str:
        messages: Any = [{"role": "user", "content": f"caller {number} says"}]
        stream = client.chat.completions.create(model="far", messages=messages, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(said, range(24)))

    assert answers == [f"You said: caller {number} says" for number in range(24)]


def sdk_with_key(live: Server, account: Any, **fields: Any) -> OpenAI:
    key = live.call("POST", "/api/v1/api-keys", {"name": "k", "user": account["username"], **fields})["key"]
    return OpenAI(base_url=f"http://127.0.0.1:{live.port}/v1", api_key=key, max_retries=0)


def test_a_key_that_is_bound_to_models_and_one_that_sees_no_answers(live: Server) -> None:
    account = live.call("POST", "/api/v1/service-accounts", {"name": "program", "role": "developer"})
    bound = sdk_with_key(live, account, allowed_models=["quick"])
    blind = sdk_with_key(live, account, scopes=["tasks:submit", "models:read"])

    assert [model.id for model in bound.models.list()] == ["quick"]
    assert bound.chat.completions.create(model="quick", messages=HI).choices[0].message.content == "one two three"
    with pytest.raises((openai.NotFoundError, openai.PermissionDeniedError)):
        bound.chat.completions.create(model="far", messages=HI)
    with pytest.raises(openai.PermissionDeniedError):
        blind.chat.completions.create(model="quick", messages=HI)
    bound.close()
    blind.close()


def test_a_server_that_stops_does_not_leave_its_callers_hanging(tmp_path: Any) -> None:
    with server(tmp_path, grace_s="1") as running:
        running.add_model("slow", config={"delay_ms": 60_000})
        body = {"model": "slow", "messages": HI}
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(running.http.post, "/v1/chat/completions", json=body)
            wait_until("it runs", lambda: running.counts().get("running"))
            running.process.terminate()  # type: ignore[union-attr]
            answer = waiting.result(60)

    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "stopping"

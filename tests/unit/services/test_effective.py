"""The config that each way to a model ends up with, and which providers are opened for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.ids import DEFAULT_TENANT, ModelId, TaskId
from llm_scheduler.domain.model import Endpoint, Model
from llm_scheduler.ports.provider import Answer, Call
from llm_scheduler.providers.anthropic import AnthropicKind
from llm_scheduler.providers.openai import OpenAIKind
from llm_scheduler.services.effective import MOST_ENDPOINTS, checked
from llm_scheduler.services.equality import config_digest
from llm_scheduler.services.opened import OpenProviders

CALL = Call(TaskId(1), 1, "chat", {}, 1.0)


def model(config: dict[str, Any], *endpoints: Endpoint) -> Model:
    return Model(ModelId(1), DEFAULT_TENANT, "m", "openai", config, endpoints=endpoints)


class Slow:
    """A provider whose calls last until they are let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.is_closed = False

    async def call(self, call: Call, on_delta: Any = None) -> Answer:
        await self.go.wait()
        assert not self.is_closed
        return Answer("fine", {})

    async def close(self) -> None:
        self.is_closed = True


def test_an_endpoint_keeps_only_what_it_was_given_and_takes_the_rest_from_the_model() -> None:
    found = checked(OpenAIKind(), model({"model": "x"}, Endpoint("a", {"base_url": "http://a.test/v1/"})))

    assert found.endpoints[0].config == {"base_url": "http://a.test/v1"}
    assert found.config["model"] == "x"


@pytest.mark.parametrize(
    ("config", "own", "loc"),
    [
        ({}, {"base_url": "nowhere"}, ("endpoints", 0, "config", "base_url")),
        ({}, {"base_uri": "http://a.test"}, ("endpoints", 0, "config", "base_uri")),
        ({"timeout_s": -1}, {}, ("config", "timeout_s")),
        ({"timeout_s": -1}, {"timeout_s": -2}, ("endpoints", 0, "config", "timeout_s")),
    ],
)
def test_an_error_says_in_which_of_the_two_configs_it_stands(
    config: dict[str, Any], own: dict[str, Any], loc: tuple[object, ...]
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        checked(OpenAIKind(), model(config, Endpoint("a", own)))

    assert caught.value.loc == loc


def test_what_the_model_lacks_every_endpoint_must_have() -> None:
    class Keyed(AnthropicKind):
        def check(self, config: Any) -> dict[str, object]:
            if "api_key" not in config:
                raise InvalidInputError("'api_key' is needed.", "config", "api_key")
            return super().check(config)

    whole = checked(Keyed(), model({}, Endpoint("a", {"api_key": "k1"}), Endpoint("b", {"api_key": "k2"})))
    with pytest.raises(InvalidInputError) as caught:
        checked(Keyed(), model({}, Endpoint("a", {"api_key": "k1"}), Endpoint("b", {})))

    assert [one.config for one in whole.endpoints] == [{"api_key": "k1"}, {"api_key": "k2"}]
    assert caught.value.loc == ("endpoints", 1, "config", "api_key")


def test_names_are_unique_and_not_too_many() -> None:
    with pytest.raises(InvalidInputError, match="a name of its own"):
        checked(OpenAIKind(), model({}, Endpoint("a"), Endpoint("a")))
    with pytest.raises(InvalidInputError, match="At most 64"):
        checked(OpenAIKind(), model({}, *(Endpoint(f"e{number}") for number in range(MOST_ENDPOINTS + 1))))


def test_stored_answers_stay_when_an_endpoint_is_drained_and_not_when_it_goes_elsewhere() -> None:
    plain = model({"model": "x"})
    one = model({"model": "x"}, Endpoint("a", {"base_url": "http://a.test", "api_key": "1"}))
    drained = model({"model": "x"}, Endpoint("a", {"base_url": "http://a.test", "api_key": "2"}, is_drained=True))
    elsewhere = model({"model": "x"}, Endpoint("a", {"base_url": "http://b.test"}))

    digests = [config_digest(each, {"api_key"}) for each in (plain, one, drained, elsewhere)]

    assert digests[1] == digests[2]
    assert len(set(digests)) == 3


async def test_a_provider_stays_open_over_versions_that_do_not_change_its_config() -> None:
    opened, made = OpenProviders(), list[Slow]()

    def make(_config: object) -> Slow:
        made.append(Slow())
        return made[-1]

    way = (ModelId(1), "a")
    first = opened.renewed(way, 1, {"k": 1}, make)
    same = opened.renewed(way, 2, {"k": 1}, make)

    assert opened.current(way, 1) is None
    assert opened.current(way, 2) is same is first
    assert len(made) == 1


async def test_a_provider_that_is_replaced_lets_its_calls_end_first() -> None:
    """It closed at once: whoever changed a limit broke the calls that ran."""
    opened, made = OpenProviders(), list[Slow]()

    def make(_config: object) -> Slow:
        made.append(Slow())
        return made[-1]

    way = (ModelId(1), None)
    running = asyncio.create_task(opened.renewed(way, 1, {"k": 1}, make).call(CALL))
    await asyncio.sleep(0)
    opened.renewed(way, 2, {"k": 2}, make)
    opened.keep(set())
    await asyncio.sleep(0)

    assert [one.is_closed for one in made] == [False, True]
    made[0].go.set()
    assert (await running).text == "fine"
    assert made[0].is_closed

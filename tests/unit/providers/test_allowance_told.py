"""What is left of the limits comes with whatever the server answers."""

from __future__ import annotations

import pytest
from tests.stubs.servers import StubServer, running

from llm_scheduler.domain.ids import TaskId
from llm_scheduler.ports.broker import Unit
from llm_scheduler.ports.provider import Allowance, Call, ProviderError
from llm_scheduler.providers import KINDS

CALL = Call(TaskId(1), 1, "chat", {"messages": [{"role": "user", "content": "one two"}]}, 0.5)


async def told(kind: str, stub: StubServer, behaviour: str) -> Allowance:
    """Of one call, whether it went well or not."""
    opener = KINDS[kind]
    provider = opener.open("m", opener.check({"base_url": stub.base_url}))
    await stub.post("behaviour", behaviour=behaviour)
    try:
        return (await provider.call(CALL)).allowance
    except ProviderError as error:
        return error.allowance
    finally:
        await provider.close()


@pytest.mark.parametrize(("kind", "style"), [("openai", "openai"), ("anthropic", "anthropic")])
async def test_answers_and_errors_tell_what_is_left(kind: str, style: str) -> None:
    options = ("--rpm", "6", "--counting", "bucket", "--span-s", "60", "--headers", style)
    async with running("tests.stubs.openai_stub", *options) as stub:
        behaviours = ("", "plain", "error:500", "error:400", "cut", "hang_mid", "")
        heard = [await told(kind, stub, behaviour) for behaviour in behaviours]

    quotas = [allowance[Unit.REQUESTS] for allowance in heard]
    assert [quota.limit for quota in quotas] == [6] * 7
    assert [quota.remaining for quota in quotas] == [5, 4, 3, 2, 1, 0, 0]
    assert quotas[-1].reset_s == pytest.approx(60, abs=3)


async def test_a_server_that_says_nothing_tells_nothing(stub: StubServer) -> None:
    assert await told("openai", stub, "") == {}
    assert await told("openai", stub, "error:500") == {}

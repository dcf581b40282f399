"""An LLM job's work in the asynchronous Python peers: one call by aiohttp over kept connections."""

from __future__ import annotations

import aiohttp

from bench.peers import side


def session() -> aiohttp.ClientSession:
    """As lean as aiohttp has it; the queue alone limits how many calls run at once."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar())


async def call(by: aiohttp.ClientSession, prompt: str) -> str:
    """The provider's text."""
    async with by.post(side.CALL_URL, data=side.request(prompt), headers=side.JSON) as answer:
        answer.raise_for_status()
        return side.answered(await answer.read())

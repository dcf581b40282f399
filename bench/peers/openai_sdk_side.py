"""The openai SDK under a semaphore: what its guide and most scripts do. It retries by itself and heeds Retry-After.

    python -m bench.peers.openai_sdk_side BASE_URL TASKS_FILE AT_ONCE MAX_RETRIES

A line of the file is the body of a chat completion. Prints how many succeeded and failed.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI, OpenAIError


async def main() -> None:
    base_url, path, at_once, max_retries = sys.argv[1:]
    bodies = [json.loads(line) for line in Path(path).read_text().splitlines()]  # noqa: ASYNC240 - before anything runs
    gate = asyncio.Semaphore(int(at_once))
    async with AsyncOpenAI(api_key="sk-bench", base_url=base_url, max_retries=int(max_retries)) as client:

        async def one(body: dict[str, Any]) -> bool:
            async with gate:
                try:
                    await client.chat.completions.create(**body)
                except OpenAIError:
                    return False
                return True

        done = await asyncio.gather(*(one(body) for body in bodies))
    print(json.dumps({"done": sum(done), "failed": len(done) - sum(done)}))


if __name__ == "__main__":
    asyncio.run(main())

"""The samples of the page about OpenAI's clients are run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.live import KEY, ROOT, server

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
PAGE = (ROOT / "docs/openai.md").read_text()
SAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_samples_say_hello(tmp_path: Path) -> None:
    assert len(SAMPLES) == 2
    with server(tmp_path) as running:
        running.add_model("smollm2", config={"text": "Hello to all of you", "chunks": 5})
        base_url = f"http://127.0.0.1:{running.port}/v1"
        environ = os.environ | {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": KEY}
        for sample in SAMPLES:
            command = [sys.executable, "-c", sample]
            done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
            assert done.stdout == "Hello to all of you\n", done.stderr
        assert [task["priority"] for task in running.tasks()] == [5, 9]
        assert running.tasks()[1]["metadata"] == {"run": "nightly"}

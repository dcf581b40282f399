from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.api.scene import Scene, scene

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Scene]:
    """The API with one scripted model, `m`."""
    async with scene(tmp_path) as made:
        await made.add_model()
        yield made

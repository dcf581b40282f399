"""Settings as the API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.api.scene import scene

from llm_scheduler.api.parts import SettingState
from llm_scheduler.app.settings_shown import settings_shown
from llm_scheduler.settings import load

if TYPE_CHECKING:
    from pathlib import Path


async def test_settings_are_listed_with_value_source_and_meaning(tmp_path: Path) -> None:
    state = SettingState("port", "LLMS_PORT", 8000, "default", "Port to listen on.", False)
    async with scene(tmp_path, settings=lambda: [state], redact=lambda text: text.replace("hush", "***")) as api:
        items = (await api.http.get("/api/v1/system/settings")).json()["items"]
        unknown = await api.http.get("/api/v1/system/settings?name=port")

    assert items == [state._asdict()]
    assert unknown.status_code == 422


async def test_what_is_secret_in_a_value_is_masked_once_more(tmp_path: Path) -> None:
    state = SettingState("public_url", "LLMS_PUBLIC_URL", "https://hush@host", "default", "", False)
    async with scene(tmp_path, settings=lambda: [state], redact=lambda text: text.replace("hush", "***")) as api:
        answer = await api.http.get("/api/v1/system/settings")

    assert answer.json()["items"][0]["value"] == "https://***@host"


def test_every_setting_knows_where_it_comes_from_and_keeps_its_secret(tmp_path: Path) -> None:
    environ = {"LLMS_ADMIN_PASSWORD": "nobody knows this one", "LLMS_STRATEGY": "fifo"}
    settings, _ = load({"data_dir": tmp_path, "port": 8123}, environ)

    shown = {state.name: state for state in settings_shown(settings)}

    assert (shown["port"].value, shown["port"].source) == (8123, "command line")
    assert (shown["strategy"].value, shown["strategy"].source) == ("fifo", "LLMS_STRATEGY")
    assert (shown["host"].source, shown["host"].variable) == ("default", "LLMS_HOST")
    assert shown["admin_password"].is_secret
    assert "nobody knows" not in str(shown)
    assert all(state.meaning for state in shown.values())

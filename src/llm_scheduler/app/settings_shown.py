"""The settings in force, as administrators see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.api.parts import SettingState
from llm_scheduler.settings import PREFIX, SECRETS, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence


def settings_shown(settings: Settings) -> Sequence[SettingState]:
    """Every setting, secrets masked, with where it comes from and what it means."""
    fields = Settings.model_fields
    return [
        SettingState(
            name,
            PREFIX + name.upper(),
            value,
            settings.sources.get(name, "default"),
            fields[name].description or "",
            name in SECRETS,
        )
        for name, value in settings.shown().items()
    ]

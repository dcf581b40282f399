"""Where this program keeps its data. Standard library only: the command line reads it before anything heavy."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

API_KEY_FILE: Final = "api-key"
"""In the data folder: the admin key made on first start, read by the command line on the same machine."""

LOCK_FILE: Final = "serve.lock"
"""In the data folder: held by the server that uses it, and says its pid and address."""


def default_data_dir() -> Path:
    r"""The folder for data of this user, as the platform has it; not made yet, perhaps.

    `$XDG_DATA_HOME/llm-scheduler` or `~/.local/share/llm-scheduler`; on macOS
    `~/Library/Application Support/llm-scheduler`; on Windows `%LOCALAPPDATA%\llm-scheduler`.

    Source: XDG Base Directory Specification 0.8: a relative path in XDG_DATA_HOME is ignored.
    """
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "llm-scheduler"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "llm-scheduler"
    xdg = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (xdg if xdg.is_absolute() else Path.home() / ".local" / "share") / "llm-scheduler"


def default_config_dir() -> Path:
    r"""The folder for what this user's command line keeps, as the platform has it; not made yet, perhaps.

    `$XDG_CONFIG_HOME/llm-scheduler` or `~/.config/llm-scheduler`; on macOS
    `~/Library/Application Support/llm-scheduler`; on Windows `%APPDATA%\llm-scheduler`.
    """
    if sys.platform == "win32":
        roaming = os.environ.get("APPDATA")
        return (Path(roaming) if roaming else Path.home() / "AppData" / "Roaming") / "llm-scheduler"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "llm-scheduler"
    xdg = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    return (xdg if xdg.is_absolute() else Path.home() / ".config") / "llm-scheduler"

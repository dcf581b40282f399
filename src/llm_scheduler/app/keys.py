"""The installation's secrets: given, or made on first start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from llm_scheduler.domain.errors import StoreUnusableError
from llm_scheduler.domain.secrecy import LASTING
from llm_scheduler.security.keyfile import kept_secret
from llm_scheduler.security.vault import AesVault
from llm_scheduler.telemetry.redaction import Redactor

if TYPE_CHECKING:
    from llm_scheduler.settings import Settings


@dataclass(frozen=True, slots=True)
class Keys:
    """The installation's secrets, and what the first start should tell. `redactor` knows them, and all to come."""

    api_key: str
    is_new: bool
    vault: AesVault
    redactor: Redactor


def open_keys(settings: Settings, redactor: Redactor | None = None) -> Keys:
    """Take the secrets from the settings, else from the data folder, made on first start."""
    redactor = redactor or Redactor()
    learn(redactor, settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if settings.secret_key is not None:
        secret = settings.secret_key.get_secret_value()
    else:
        secret, _ = kept_secret(settings.data_dir / "secret-key")
    redactor.know(secret)
    try:
        vault = AesVault(secret, settings.old_secret_keys, lambda *noted: _note(redactor, *noted))
    except ValueError as error:
        raise StoreUnusableError(str(error)) from error
    if settings.bootstrap_api_key is not None:
        return Keys(settings.bootstrap_api_key.get_secret_value(), False, vault, redactor)
    api_key, is_new = kept_secret(settings.data_dir / "api-key", "llms_")
    redactor.know(api_key)
    return Keys(api_key, is_new, vault, redactor)


def _note(redactor: Redactor, secret: str, context: str) -> None:
    # What is sealed for a few minutes only would crowd out what lasts.
    if LASTING.match(context):
        redactor.know(secret)


def learn(redactor: Redactor, settings: Settings) -> None:
    """Have every secret of the settings kept out of what is written."""
    for secret in settings.secrets():
        redactor.know(secret)
        if "://" in secret:
            password = urlsplit(secret).password
            if password:
                redactor.know(password)
                redactor.know(unquote(password))
    for key in settings.old_secret_keys:
        redactor.know(key)

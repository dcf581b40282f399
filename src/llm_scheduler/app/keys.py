"""The installation's secrets: given, or made on first start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_scheduler.domain.errors import StoreUnusableError
from llm_scheduler.security.keyfile import kept_secret
from llm_scheduler.security.vault import AesVault

if TYPE_CHECKING:
    from llm_scheduler.settings import Settings


@dataclass(frozen=True, slots=True)
class Keys:
    """The installation's secrets, and what the first start should tell."""

    api_key: str
    is_new: bool
    vault: AesVault


def open_keys(settings: Settings) -> Keys:
    """Take the secrets from the settings, else from the data folder, made on first start."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if settings.secret_key is not None:
        secret = settings.secret_key.get_secret_value()
    else:
        secret, _ = kept_secret(settings.data_dir / "secret-key")
    try:
        vault = AesVault(secret)
    except ValueError as error:
        raise StoreUnusableError(str(error)) from error
    if settings.bootstrap_api_key is not None:
        return Keys(settings.bootstrap_api_key.get_secret_value(), False, vault)
    api_key, is_new = kept_secret(settings.data_dir / "api-key", "llms_")
    return Keys(api_key, is_new, vault)

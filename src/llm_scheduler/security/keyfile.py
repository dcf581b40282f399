"""Secrets that the first start makes and the data folder keeps, readable by their owner only."""

from __future__ import annotations

import hmac
import os
import secrets
from typing import TYPE_CHECKING

from llm_scheduler.domain.errors import StoreUnusableError

if TYPE_CHECKING:
    from pathlib import Path


def kept_secret(path: Path, prefix: str = "") -> tuple[str, bool]:
    """The secret in this file, made if there is none: (secret, whether it is new).

    Raises:
        StoreUnusableError: the file cannot be read or written, or is empty.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path), False
    except OSError as error:
        raise StoreUnusableError(f"{path} cannot be written: {error.strerror}") from error
    secret = prefix + secrets.token_urlsafe(32)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    return secret, True


def same_secret(given: str, expected: str) -> bool:
    """Whether they are equal, in constant time."""
    return hmac.compare_digest(given.encode(), expected.encode())


def _read(path: Path) -> str:
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreUnusableError(f"{path} cannot be read: {error}") from error
    if len(secret) < 16:
        raise StoreUnusableError(f"{path} holds no usable secret; delete it to have a new one made.")
    return secret

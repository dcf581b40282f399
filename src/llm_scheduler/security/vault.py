"""Sealing with AES-256-GCM. A sealed text is `v1.<key id>.<base64 of nonce and ciphertext>`."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from llm_scheduler.domain.errors import UnsealError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_VERSION: Final = "v1"
_NONCE_BYTES: Final = 12
_SHORTEST: Final = 16


class AesVault:
    """A ring of keys: the first seals, all of them open. A key is SHA-256 of a secret, so any long text will do.

    Args:
        secret_key: in force.
        old: those that it took the place of.
        note: is told every secret in plain that passes, with its context, so that it can be kept out of logs.

    Raises:
        ValueError: a secret is shorter than 16 characters.
    """

    def __init__(
        self,
        secret_key: str,
        old: Sequence[str] = (),
        note: Callable[[str, str], None] = lambda _secret, _context: None,
    ) -> None:
        if len(secret_key) < _SHORTEST:
            raise ValueError("LLMS_SECRET_KEY needs at least 16 characters")
        if any(len(one) < _SHORTEST for one in old):
            raise ValueError("each key of LLMS_SECRET_KEYS_OLD needs at least 16 characters")
        keys = [hashlib.sha256(secret.encode()).digest() for secret in (secret_key, *old)]
        self._ciphers = {hashlib.sha256(b"key id:" + key).hexdigest()[:8]: AESGCM(key) for key in keys}
        self._key_id = next(iter(self._ciphers))
        self._note = note

    @property
    def key_ids(self) -> Sequence[str]:
        """Ids of the keys that open, that of the one in force first."""
        return tuple(self._ciphers)

    def seal(self, secret: str, context: str) -> str:
        """Encrypt with the key in force; `context` must be the same at opening."""
        self._note(secret, context)
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._key_id].encrypt(nonce, secret.encode(), context.encode())
        return f"{_VERSION}.{self._key_id}.{base64.b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, context: str) -> str:
        """Decrypt.

        Raises:
            UnsealError: another key, another context, or a damaged text.
        """
        version, _, rest = sealed.partition(".")
        key_id, _, payload = rest.partition(".")
        if version != _VERSION:
            raise UnsealError("A stored secret has an unknown format; enter it again.")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise UnsealError(
                f"A stored secret was sealed with another key (id {key_id[:8]}); "
                "give that key in LLMS_SECRET_KEYS_OLD, or enter the secret again."
            )
        try:
            data = base64.b64decode(payload, validate=True)
            secret = cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], context.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise UnsealError("A stored secret is damaged; enter it again.") from error
        self._note(secret, context)
        return secret

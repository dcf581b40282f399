"""Sealing with AES-256-GCM. A sealed text is `v1.<key id>.<base64 of nonce and ciphertext>`."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from llm_scheduler.domain.errors import UnsealError

_VERSION: Final = "v1"
_NONCE_BYTES: Final = 12


class AesVault:
    """One key in force. The key is SHA-256 of the given secret, so any long text will do.

    Raises:
        ValueError: the secret is shorter than 16 characters.
    """

    def __init__(self, secret_key: str) -> None:
        if len(secret_key) < 16:
            raise ValueError("LLMS_SECRET_KEY needs at least 16 characters")
        key = hashlib.sha256(secret_key.encode()).digest()
        self._cipher = AESGCM(key)
        self._key_id = hashlib.sha256(b"key id:" + key).hexdigest()[:8]

    def seal(self, secret: str, context: str) -> str:
        """Encrypt; `context` must be the same at opening."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, secret.encode(), context.encode())
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
        if key_id != self._key_id:
            raise UnsealError(
                f"A stored secret was sealed with another key (id {key_id[:8]}); "
                "start with the LLMS_SECRET_KEY of then, or enter the secret again."
            )
        try:
            data = base64.b64decode(payload, validate=True)
            return self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], context.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise UnsealError("A stored secret is damaged; enter it again.") from error

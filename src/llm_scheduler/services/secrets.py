"""The secrets in models' configs: sealed at rest, masked in answers, plain only for the provider."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from llm_scheduler.domain.errors import UnsealError
from llm_scheduler.domain.secrecy import SEALED, SEALED_TEXT, endpoint_context, mask, model_context

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.model import Endpoint, Model
    from llm_scheduler.ports.vault import Vault
    from llm_scheduler.services.catalogue import Catalogue


class Secrets:
    """Which fields of a config are secret says the model's kind; a type that is not known has none.

    Every call takes a model and looks at its own config, or at that of one of its endpoints.
    """

    def __init__(self, vault: Vault, catalogue: Catalogue) -> None:
        self._vault, self._catalogue = vault, catalogue

    def fields(self, type_name: str) -> frozenset[str]:
        """Keys of the config that are secret."""
        kind = self._catalogue.kinds.get(type_name)
        return kind.secret_fields if kind else frozenset()

    def opens(self, text: str) -> bool:
        """Whether the keys of the ring are enough for every sealed text in it."""
        return {found[1] for found in SEALED_TEXT.finditer(text)} <= set(self._vault.key_ids)

    def sealed(self, model: Model, endpoint: Endpoint | None = None) -> dict[str, object]:
        """The config with its secrets sealed; what is sealed already stays."""
        sealed = _config(model, endpoint)
        for key in self.fields(model.type) & sealed.keys():
            value = sealed[key]
            if isinstance(value, str) and not value.startswith(SEALED):
                sealed[key] = SEALED + self._vault.seal(value, _context(model, endpoint, key))
        return sealed

    def plain(self, model: Model, endpoint: Endpoint | None = None) -> dict[str, object]:
        """What the provider is opened with, secrets plain: the endpoint's config over the model's.

        Raises:
            UnsealError: one of them cannot be read with the key in force.
        """
        own = {} if endpoint is None else self._plain(model, endpoint)
        shared = {key: value for key, value in model.config.items() if key not in own}
        return {**self._plain(replace(model, config=shared), None), **own}

    def opened(self, model: Model, endpoint: Endpoint | None = None) -> dict[str, object]:
        """The config with each secret opened where the key in force can; else it stays sealed, to be replaced."""
        opened = _config(model, endpoint)
        for key in self.fields(model.type) & opened.keys():
            with contextlib.suppress(UnsealError):
                opened[key] = self._open(model, endpoint, key, opened[key])
        return opened

    def masked(self, model: Model, endpoint: Endpoint | None = None) -> dict[str, object]:
        """The config as answers show it: secrets as `sk-…1234`."""
        shown = _config(model, endpoint)
        for key in self.fields(model.type) & shown.keys():
            if shown[key] is not None:
                try:
                    shown[key] = mask(str(self._open(model, endpoint, key, shown[key])))
                except UnsealError:
                    shown[key] = mask("")
        return shown

    def _plain(self, model: Model, endpoint: Endpoint | None) -> dict[str, object]:
        plain = _config(model, endpoint)
        for key in self.fields(model.type) & plain.keys():
            plain[key] = self._open(model, endpoint, key, plain[key])
        return plain

    def _open(self, model: Model, endpoint: Endpoint | None, key: str, value: object) -> object:
        if isinstance(value, str) and value.startswith(SEALED):
            return self._vault.open(value.removeprefix(SEALED), _context(model, endpoint, key))
        return value


def merged(before: Mapping[str, object], changes: Mapping[str, object], secrets: frozenset[str]) -> dict[str, object]:
    """A config with changes in it: a key set to None goes, a masked secret stays as it was."""
    found = dict(before)
    for key, value in changes.items():
        if value is None:
            found.pop(key, None)
        elif key in secrets and isinstance(value, str) and "…" in value:
            continue
        else:
            found[key] = value
    return found


def _config(model: Model, endpoint: Endpoint | None) -> dict[str, object]:
    return dict(model.config if endpoint is None else endpoint.config)


def _context(model: Model, endpoint: Endpoint | None, key: str) -> str:
    if endpoint is None:
        return model_context(model.tenant_id, model.name, key)
    return endpoint_context(model.tenant_id, model.name, endpoint.name, key)

"""The secrets in models' configs: sealed at rest, masked in answers, plain only for the provider."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from llm_scheduler.domain.errors import InvalidInputError, UnsealError
from llm_scheduler.domain.outbound import addresses_in
from llm_scheduler.domain.secrecy import SEALED, SEALED_TEXT, endpoint_context, mask, model_context

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from llm_scheduler.domain.model import Endpoint, Model
    from llm_scheduler.ports.vault import Vault
    from llm_scheduler.services.catalogue import Catalogue

Origin = tuple[str, str]
"""Scheme, and host with port."""


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


def given_in(configs: Iterable[Mapping[str, object]], secrets: frozenset[str]) -> set[str]:
    """The secrets that stand in changed configs in plain, those left out that are only masked or sealed."""
    values = [config[key] for config in configs for key in secrets & config.keys()]
    return {one.strip() for one in values if isinstance(one, str) and not one.startswith(SEALED) and "…" not in one}


def check_kept(before: Model, after: Model, secrets: frozenset[str], given: Container[object]) -> None:
    """Refuse to send a stored secret anywhere but where it goes already: only who has it may send it elsewhere.

    Else whoever may change a model could have its key sent to a server of their own.

    Args:
        before: the model as it is, its secrets plain.
        after: as it is to be, likewise.
        secrets: the secret fields of their kind.
        given: the secrets that came with the change.

    Raises:
        InvalidInputError: with `loc` ("config", field) or ("endpoints", i, "config", field).
    """
    known: dict[object, set[Origin]] = {}
    for _, config in _ways(before):
        for key in secrets & config.keys():
            known.setdefault(config[key], set()).update(_origins(config))
    for loc, config in _ways(after):
        for key in secrets & config.keys():
            value = config[key]
            if value is not None and value not in given and not _origins(config) <= known.get(value, set()):
                message = f"'{key}' was given for another address; send it again together with this one."
                raise InvalidInputError(message, *loc, key)


def _ways(model: Model) -> list[tuple[tuple[str | int, ...], Mapping[str, object]]]:
    """What calls are made with, and where it stands; also of the model alone, for its endpoints may go."""
    through = [
        (("endpoints", number, "config"), {**model.config, **one.config}) for number, one in enumerate(model.endpoints)
    ]
    return [(("config",), model.config), *through]


def _origins(config: Mapping[str, object]) -> set[Origin]:
    """The servers that a config names: what lies where on them is theirs to say."""
    found: set[Origin] = set()
    for value in addresses_in(config).values():
        parts = urlsplit(value if "//" in value else f"//{value}")
        found.add((parts.scheme, parts.netloc.lower()))
    return found


def _config(model: Model, endpoint: Endpoint | None) -> dict[str, object]:
    return dict(model.config if endpoint is None else endpoint.config)


def _context(model: Model, endpoint: Endpoint | None, key: str) -> str:
    if endpoint is None:
        return model_context(model.tenant_id, model.name, key)
    return endpoint_context(model.tenant_id, model.name, endpoint.name, key)

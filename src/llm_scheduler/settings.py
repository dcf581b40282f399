"""Every setting of the server, with unit, default and reason. Unknown names are refused.

Sources, later ones win: defaults, `llm-scheduler.toml` (in the data folder or the working
directory), environment `LLMS_*`, command line. A secret may lie in a file that
`LLMS_<NAME>_FILE` names.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from llm_scheduler.domain.errors import InvalidInputError, SchedulerError
from llm_scheduler.domain.tenant import StorePayloads
from llm_scheduler.paths import default_data_dir
from llm_scheduler.scheduling.strategies.registry import find
from llm_scheduler.settings_protection import ProtectionSettings
from llm_scheduler.settings_sign_in import SignInSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "LLMS_"
CLIENT_NAMES: Final = frozenset({"url", "api_key", "api_key_file", "tenant"})
FILE_NAME: Final = "llm-scheduler.toml"
FILE_SUFFIX: Final = "_file"
MYSQL: Final = ("mysql://", "mariadb://")
REDIS: Final = (
    "redis://",
    "rediss://",
    "redis+sentinel://",
    "redis+cluster://",
    "rediss+sentinel://",
    "rediss+cluster://",
)
_MASKED: Final = "********"
_PASSWORD: Final = re.compile(r"(://[^/@]*:)[^@]*@")
"""In a URL, from the colon of the user to the last @ before the host."""


class SettingsError(SchedulerError):
    """A setting is unknown or has a bad value; nothing was started."""

    code = "bad_settings"


class Settings(ProtectionSettings, SignInSettings):
    """What an installation may choose."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on. 0.0.0.0 opens it to the network.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    root_path: str = Field(
        "",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="Path prefix under which a proxy shows this server, such as /llm. Default: none.",
    )
    data_dir: Path = Field(default_factory=default_data_dir, description="Folder of database, keys and lock.")
    role: Literal["all", "api", "worker"] = Field(
        "all", description="What this process does: api answers requests, worker runs tasks, all does both."
    )
    models: tuple[str, ...] = Field(
        (), description="Names of the models that this worker serves, with commas between. Default: all."
    )
    database_url: SecretStr | None = Field(
        None,
        description="sqlite:///FILE or mysql://USER:PASSWORD@HOST[:PORT]/NAME. Default: a file in the data folder.",
    )
    database_read_url: SecretStr | None = Field(
        None, description="mysql://… of a read replica, for lists and figures; never for a decision."
    )
    database_pool: int = Field(8, ge=2, le=100, description="Most connections to MySQL of this process.")
    redis_url: SecretStr | None = Field(
        None,
        description="redis://, rediss://, redis+sentinel:// or redis+cluster://. Default: the index is in memory.",
    )
    redis_shards: int = Field(1, ge=1, le=64, description="Hash tags that the lanes are spread over.")
    redis_prefix: str = Field("ls", pattern=r"^[A-Za-z0-9_.-]{1,32}$", description="First part of every Redis key.")
    retention_days: float = Field(
        0, ge=0, description="Days that finished tasks are kept, two at least; 0 keeps them for ever."
    )
    archive: Literal["none", "ndjson"] = Field(
        "ndjson", description="What becomes of them: ndjson writes compressed files first, none drops them."
    )
    archive_dir: Path | None = Field(None, description="Folder of the archive. Default: archive in the data folder.")
    secret_key: SecretStr | None = Field(None, description="Seals secrets at rest. Default: made on first start.")
    secret_keys_old: SecretStr | None = Field(
        None, description="Keys that only open what they sealed, with commas between (docs/secrets.md)."
    )
    bootstrap_api_key: SecretStr | None = Field(
        None, description="Admin key for automation, at least 16 characters. Default: made on first start."
    )
    access_trusted_s: float = Field(
        60.0,
        ge=2,
        le=86_400,
        description="Seconds that users and keys are trusted in a cluster while the record cannot be asked; then 503.",
    )
    strategy: str = Field("fair", description="Order of tasks (docs/strategies.md); a model may have its own.")
    max_queue_length: int = Field(2_000_000, ge=1, description="Tasks that may wait in all; more get 429 queue_full.")
    max_input_bytes: int = Field(1024 * 1024, ge=256, description="Largest input of one task, bytes of JSON.")
    max_body_bytes: int = Field(10 * 1024 * 1024, ge=1024, description="Largest request body but bulk streams, bytes.")
    max_bulk_lines: int = Field(100_000, ge=1, description="Largest number of tasks in one bulk request.")
    max_running: int = Field(2_000, ge=1, description="Calls that this process runs at once, over all models.")
    store_payloads: StorePayloads = Field(
        StorePayloads.FULL, description="What is kept of inputs and outputs after a task is over: full or none."
    )
    payload_grace_s: float = Field(
        600, ge=1, le=86_400, description="With none: seconds that an output, or a failed task's input, is still kept."
    )
    grace_s: float = Field(30.0, ge=0, le=3600, description="Seconds that SIGTERM waits for running calls.")
    log_format: Literal["console", "json"] = Field("console", description="How log lines look.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity that is logged."
    )

    @field_validator("strategy")
    @classmethod
    def _strategy_is_known(cls, value: str) -> str:
        try:
            find(value)
        except InvalidInputError as error:
            # Asked for only now: looking for plugins takes longer than all the rest of the settings.
            from llm_scheduler.plugins import Kind, names

            if value not in names(Kind.STRATEGY):
                raise ValueError(str(error)) from error
        return value

    @field_validator("bootstrap_api_key")
    @classmethod
    def _key_is_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 16:
            raise ValueError("needs at least 16 characters")
        return value

    @field_validator("models", mode="before")
    @classmethod
    def _names_are_split(cls, value: object) -> object:
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _database_is_known(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _check_scheme(value, ("sqlite:///", *MYSQL))
        return value

    @field_validator("database_read_url")
    @classmethod
    def _replica_is_mysql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _check_scheme(value, MYSQL)
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis_is_known(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _check_scheme(value, REDIS)
        return value

    @model_validator(mode="after")
    def _shape_is_whole(self) -> Settings:
        """Several processes need a record and an index that they can share."""
        if self.role != "all" and not (self.is_mysql and self.redis_url is not None):
            raise ValueError(
                f"role {self.role} needs LLMS_DATABASE_URL=mysql://… and LLMS_REDIS_URL=redis://…, "
                "so that the processes share them"
            )
        if self.redis_url is not None and not self.is_mysql:
            raise ValueError("LLMS_REDIS_URL needs LLMS_DATABASE_URL=mysql://…: SQLite belongs to one process")
        if self.is_cluster and self.secret_key is None:
            raise ValueError(
                "several processes must share LLMS_SECRET_KEY, which seals the models' keys; "
                "make one with: openssl rand -hex 32"
            )
        if self.is_cluster and self.role != "worker" and self.bootstrap_api_key is None:
            raise ValueError(
                "several processes must share LLMS_BOOTSTRAP_API_KEY, the key that callers send; "
                "make one with: openssl rand -hex 24"
            )
        if self.database_read_url is not None and not self.is_mysql:
            raise ValueError("LLMS_DATABASE_READ_URL needs LLMS_DATABASE_URL=mysql://…")
        return self

    @property
    def is_mysql(self) -> bool:
        """Whether the record is MySQL or MariaDB."""
        return self.database_url is not None and self.database_url.get_secret_value().startswith(MYSQL)

    @property
    def is_cluster(self) -> bool:
        """Whether other processes may share record and index."""
        return self.redis_url is not None

    @property
    def database_path(self) -> Path:
        """The SQLite file; a relative one is inside the data folder."""
        url = "sqlite:///llm-scheduler.db" if self.database_url is None else self.database_url.get_secret_value()
        return self.data_dir / url.removeprefix("sqlite:///")

    @property
    def archive_path(self) -> Path:
        """Where the archive is."""
        return self.archive_dir or self.data_dir / "archive"

    @property
    def old_secret_keys(self) -> tuple[str, ...]:
        """Keys that only open."""
        text = "" if self.secret_keys_old is None else self.secret_keys_old.get_secret_value()
        return tuple(key for part in text.replace("\n", ",").split(",") if (key := part.strip()))

    def secrets(self) -> list[str]:
        """Every secret among the values, in plain."""
        values = (getattr(self, name) for name in SECRETS)
        return [value.get_secret_value() for value in values if value is not None]

    def shown(self) -> dict[str, object]:
        """Values as people may see them: secrets masked, in URLs only the password."""
        values = self.model_dump(mode="json")
        for name in SECRETS:
            secret: SecretStr | None = getattr(self, name)
            if secret is not None:
                text = secret.get_secret_value()
                values[name] = _PASSWORD.sub(rf"\g<1>{_MASKED}@", text) if "://" in text else _MASKED
        return values


SECRETS: Final = tuple(name for name, field in Settings.model_fields.items() if field.annotation == SecretStr | None)
"""Settings that nobody is to see. Each may be given as the path of a file: LLMS_<NAME>_FILE."""


def load(
    overrides: dict[str, Any] | None = None, environ: dict[str, str] | None = None
) -> tuple[Settings, dict[str, str]]:
    """Settings in force, and where each one that is not a default comes from.

    Args:
        overrides: from the command line; None values are ignored.
        environ: taken instead of the process's environment.

    Raises:
        SettingsError: an unknown name (with the nearest known one) or a bad value.
    """
    environment, files = _from_environment(dict(os.environ) if environ is None else environ)
    chosen = {key: value for key, value in (overrides or {}).items() if value is not None}
    data_dir = Path(chosen.get("data_dir") or environment.get("data_dir") or default_data_dir())
    file, values = _from_file([data_dir / FILE_NAME, Path(FILE_NAME)])
    sources = dict.fromkeys(values, str(file))
    sources |= {key: PREFIX + key.upper() for key in environment}
    sources |= {key: f"{PREFIX}{key.upper()}_FILE={path}" for key, path in files.items()}
    sources |= dict.fromkeys(chosen, "command line")
    values |= environment
    values |= chosen
    try:
        return Settings(**values).told(sources), sources
    except ValidationError as error:
        raise SettingsError(_explained(error, sources)) from error


def _from_environment(environ: dict[str, str]) -> tuple[dict[str, Any], dict[str, Path]]:
    """Values by name, and which of them were read from files."""
    found: dict[str, Any] = {}
    files: dict[str, Path] = {}
    for name, value in environ.items():
        if not name.startswith(PREFIX):
            continue
        key = name.removeprefix(PREFIX).lower()
        if key in CLIENT_NAMES:
            continue
        secret = key.removesuffix(FILE_SUFFIX)
        if secret != key and secret in SECRETS:
            files[secret] = Path(value)
            continue
        _check_name(key, name, PREFIX)
        found[key] = value
    for key, path in files.items():
        if key in found:
            name = PREFIX + key.upper()
            raise SettingsError(f"Both {name} and {name}_FILE are given; remove one of them.")
        found[key] = _secret_in(path, f"{PREFIX}{key.upper()}_FILE")
    return found, files


def _secret_in(path: Path, name: str) -> str:
    """What a file of a secret holds, without its line end."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"{name}: {path} cannot be read: {reason}") from None
    secret = text.rstrip("\r\n")
    if not secret.strip():
        raise SettingsError(f"{name}: {path} is empty; put the secret into it.")
    return secret


def open_files(sources: Mapping[str, str]) -> list[str]:
    """Of the files that secrets came from (see `load`), those that everybody on this machine may read."""
    paths = [source.partition("=")[2] for source in sources.values() if f"{FILE_SUFFIX.upper()}=" in source]
    return [path for path in paths if Path(path).stat().st_mode & stat.S_IROTH]


def _from_file(candidates: list[Path]) -> tuple[Path | None, dict[str, Any]]:
    for path in candidates:
        if path.is_file():
            try:
                values = tomllib.loads(path.read_text(encoding="utf-8"))
            except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
                raise SettingsError(f"{path} cannot be read: {error}") from error
            for key in values:
                _check_name(key, f"{path}: {key}", "")
            return path, values
    return None, {}


def _check_name(key: str, shown: str, prefix: str) -> None:
    known = Settings.model_fields
    if key in known:
        return
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    name = prefix + (near[0].upper() if prefix else near[0]) if near else ""
    hint = f" Did you mean {name}?" if near else f" Known: {', '.join(sorted(known))}."
    raise SettingsError(f"Unknown setting {shown}.{hint}")


def _check_scheme(url: SecretStr, known: tuple[str, ...]) -> None:
    if not url.get_secret_value().startswith(known):
        raise ValueError(f"begins with none of {', '.join(known)}")


def _explained(error: ValidationError, sources: dict[str, str]) -> str:
    lines: list[str] = []
    for item in error.errors():
        reason = item["msg"].removeprefix("Value error, ")
        if not item["loc"]:
            lines.append(reason)
            continue
        key = str(item["loc"][0])
        lines.append(f"{sources.get(key, key)}: {reason} (setting {key})")
    return "Bad settings. " + "; ".join(lines)

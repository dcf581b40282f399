"""API keys: what is asked for, and how they look. Their text is in one answer only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from llm_scheduler.api.answers import maybe_stamp, stamp
from llm_scheduler.api.fields import Body, Instant, Shown, millis
from llm_scheduler.api.schemas.money import BudgetShown
from llm_scheduler.domain.access import KeyLimits
from llm_scheduler.domain.ids import Millis
from llm_scheduler.domain.scopes import ALL, SCOPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.access import ApiKey

LONGEST_S: Final = 10 * 366 * 86_400
LONGEST_OVERLAP_S: Final = 30 * 86_400
DEFAULT_OVERLAP_S: Final = 86_400
_KEY: Final = {
    "name": "nightly evaluation",
    "scopes": ["submit"],
    "rpm": 600,
    "allowed_models": ["gpt-4o-mini"],
    "networks": ["10.0.0.0/8"],
    "expires_in_s": 90 * 86_400,
}
KeyName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
UserName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Scope = Annotated[str, Field(json_schema_extra={"enum": list(SCOPES)}, max_length=64)]
Scopes = Annotated[list[Scope], Field(min_length=1, max_length=40)]
Rpm = Annotated[int, Field(strict=True, ge=1, le=10_000_000)]
ModelNames = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=128)]], Field(min_length=1, max_length=200)
]
Networks = Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=64)]], Field(max_length=100)]
Life = Annotated[int, Field(strict=True, ge=1, le=LONGEST_S)]
StateName = Literal["active", "expired", "revoked"]


class _Ending(Body):
    """When a key ends by itself, said in one of two ways."""

    expires_at: Instant | None = None
    """Good until then; null: until it is revoked."""
    expires_in_s: Life | None = None
    """The same in seconds from now."""

    @model_validator(mode="after")
    def _one_of_them(self) -> _Ending:
        if self.expires_at is not None and self.expires_in_s is not None:
            raise ValueError("Give expires_at or expires_in_s, not both.")
        return self

    def ends_at(self, now: Millis) -> Millis | None:
        """Which moment that is."""
        return millis(self.expires_at) if self.expires_in_s is None else Millis(now + self.expires_in_s * 1000)

    @property
    def says_when(self) -> bool:
        """Whether either is given."""
        return bool({"expires_at", "expires_in_s"} & self.model_fields_set)


class ApiKeyBody(_Ending):
    """A key to make."""

    model_config = ConfigDict(json_schema_extra={"examples": [_KEY]})

    name: KeyName
    """What it is for."""
    user: UserName | None = None
    """Whose it is; null: your own. Owners make keys of service accounts."""
    scopes: Scopes = Field(default_factory=lambda: [ALL])
    """What it may do: bundles `read`, `submit`, `manage`, `all`, or permissions. Never more than you may now."""
    rpm: Rpm | None = None
    """Requests to this API a minute."""
    allowed_models: ModelNames | None = None
    """Names of the models that its tasks may go to; null: every one."""
    networks: Networks = Field(default_factory=list[str])
    """CIDRs or addresses that it may come from; empty: anywhere."""

    def limits(self) -> KeyLimits:
        """As the domain words them."""
        models = None if self.allowed_models is None else tuple(dict.fromkeys(self.allowed_models))
        return KeyLimits(self.rpm, models, tuple(self.networks))


class ApiKeyPatch(_Ending):
    """Changes of a key: only what is given."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "nightly evaluation", "rpm": 1200}]})

    name: KeyName | None = None
    scopes: Scopes | None = None
    rpm: Rpm | None = None
    allowed_models: ModelNames | None = None
    networks: Networks | None = None
    """An empty list: from anywhere."""

    @model_validator(mode="after")
    def _nulls_mean_something(self) -> ApiKeyPatch:
        for name in ("name", "scopes", "networks", "expires_in_s"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{name} cannot be null; leave it out to keep it as it is.")
        return self

    def changes(self, now: Millis) -> dict[str, Any]:
        """What is given, as the domain words it."""
        found: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("name", "scopes", "rpm", "allowed_models", "networks")
            if name in self.model_fields_set
        }
        for name in ("allowed_models", "networks"):
            if found.get(name) is not None:
                found[name] = tuple(dict.fromkeys(found[name]))
        return found | ({"expires_at": self.ends_at(now)} if self.says_when else {})


class RenewBody(_Ending):
    """How to renew a key."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlap_s": 3600}]})

    overlap_s: Annotated[int, Field(strict=True, ge=0, le=LONGEST_OVERLAP_S)] = DEFAULT_OVERLAP_S
    """So long the old key still works, at most; 0 ends it at once."""


class ApiKeyQuery(Body):
    """Whose keys, and which page."""

    all: bool = False
    """Those of everybody in the tenant, for owners."""
    user: UserName | None = None
    """Those of this user."""
    revoked: bool = False
    """Revoked ones, too."""
    limit: Annotated[int, Field(ge=1, le=500)] = 50
    """Keys on one page."""
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,16}$")] | None = None
    """`next_cursor` of the page before."""


class ApiKeyShown(Shown):
    """A key, without its text."""

    id: int
    name: str
    user: str
    prefix: str
    """How its text begins."""
    state: StateName
    scopes: list[str]
    """Permissions; `all`: everything that its user may."""
    rpm: int | None
    allowed_models: list[str] | None
    networks: list[str]
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None
    """To within some minutes."""


class ApiKeyDetails(ApiKeyShown):
    """A key with what its budgets say."""

    budgets: list[BudgetShown]
    """Those that count this key's tasks alone."""


class ApiKeyMade(ApiKeyShown):
    """A new key. This is the only time that it is shown."""

    key: str
    """The whole text. It is kept nowhere: what is not written down now is lost."""


class ApiKeyRenewed(ApiKeyMade):
    """A key in another's place."""

    replaces: ApiKeyShown
    """The old one; it works until its `expires_at`."""


class ApiKeyList(Shown):
    """A page of keys, newest first."""

    items: list[ApiKeyShown]
    next_cursor: str | None


def key_json(key: ApiKey, username: str, now: Millis) -> Mapping[str, object]:
    """A key as it is shown."""
    is_over = key.expires_at is not None and key.expires_at <= now
    state = "revoked" if key.revoked_at is not None else "expired" if is_over else "active"
    return {
        "id": key.id,
        "name": key.name,
        "user": username,
        "prefix": key.prefix,
        "state": state,
        "scopes": [ALL] if key.scopes is None else sorted(key.scopes),
        "rpm": key.limits.rpm,
        "allowed_models": None if key.limits.allowed_models is None else list(key.limits.allowed_models),
        "networks": list(key.limits.networks),
        "created_at": stamp(key.created_at),
        "expires_at": maybe_stamp(key.expires_at),
        "revoked_at": maybe_stamp(key.revoked_at),
        "last_used_at": maybe_stamp(key.last_used_at),
    }

"""The settings of sign-in: passwords, how long it holds, and the OpenID Connect provider.

`settings.Settings` takes them over.
"""

from __future__ import annotations

import json
from typing import Final, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class SignInSettings(BaseModel):
    """What an installation may choose of how people come in (docs/sign-in.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    public_url: str | None = Field(
        None, description="How browsers reach this server, https://HOST. Needed for sign-in at a provider."
    )
    admin_password: SecretStr | None = Field(
        None, description="Makes the user admin at a start without any user. Default: the start prints a link."
    )
    password_min_length: int = Field(10, ge=8, le=64, description="Characters that a password has at least.")
    access_token_minutes: float = Field(
        15, ge=1, le=60, description="How long an access token holds; it is renewed without asking anybody."
    )
    refresh_days: float = Field(14, gt=0, le=365, description="Days without a use that end a sign-in.")
    login_max_days: float = Field(90, gt=0, le=3650, description="Days after which to sign in again in any case.")
    oidc_issuer: str | None = Field(
        None,
        description="OpenID Connect provider to sign in at, https://…; needs the extra [oidc] and LLMS_PUBLIC_URL.",
    )
    oidc_client_id: str | None = Field(None, description="How the provider knows this installation.")
    oidc_client_secret: SecretStr | None = Field(None, description="Its secret; none for a public client.")
    oidc_scopes: str = Field("openid profile email", description="What to ask the provider for; openid among it.")
    oidc_groups_claim: str = Field("groups", description="The claim with a person's groups; dots lead into others.")
    oidc_role_map: dict[str, str] | None = Field(
        None, description='JSON, {"group": "admin"} or {"group": "tenant:role"}: sets roles at every sign-in.'
    )
    oidc_create_users: bool = Field(True, description="Whether who is new there gets an account here.")

    @field_validator("public_url")
    @classmethod
    def _public_url_is_plain(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value.rstrip("/"))
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or parts.username:
            raise ValueError("is not https://HOST[:PORT]")
        return value.rstrip("/")

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer_is_safe(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)
            if not parts.hostname or not (parts.scheme == "https" or parts.hostname in _LOOPBACK):
                raise ValueError("is not https://… (http only on this machine)")
        return value

    @field_validator("oidc_role_map", mode="before")
    @classmethod
    def _role_map_is_json(cls, value: object) -> object:
        try:
            found = json.loads(value) if isinstance(value, str) else value
        except ValueError as error:
            raise ValueError(f"is not JSON: {error}") from error
        for group, given in found.items() if isinstance(found, dict) else ():
            tenant, _, role = str(given).rpartition(":")
            if given != "admin" and not (tenant and role in ("owner", "developer", "viewer")):
                raise ValueError(f"{group}: use admin or TENANT:ROLE, ROLE being owner, developer or viewer")
        return found

    @model_validator(mode="after")
    def _provider_is_whole(self) -> Self:
        if self.oidc_issuer is not None and (self.oidc_client_id is None or self.public_url is None):
            raise ValueError("LLMS_OIDC_ISSUER needs LLMS_OIDC_CLIENT_ID and LLMS_PUBLIC_URL")
        return self

"""Users, members of a tenant, service accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from llm_scheduler.api.answers import maybe_stamp, stamp
from llm_scheduler.api.fields import Body, Shown
from llm_scheduler.api.paging import PageQuery
from llm_scheduler.domain.access import UserState
from llm_scheduler.domain.people import SERVICE_NAME, USERNAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.access import Membership, User
    from llm_scheduler.services.users import Member

Username = Annotated[str, StringConstraints(pattern=USERNAME)]
Address = Annotated[str, StringConstraints(min_length=3, max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")]
ShownName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Password = Annotated[str, StringConstraints(min_length=12, max_length=256)]
Flag = Annotated[bool, Field(strict=True)]
RoleName = Literal["owner", "developer", "viewer"]


class UsersQuery(PageQuery):
    """Which users."""

    q: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """Text in the name, the display name or the address."""


class UserBody(Body):
    """A user to add."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"username": "ann", "email": "ann@example.org"}]})

    username: Username
    """Lower case letters, digits and `._@-`, beginning with a letter or digit."""
    display_name: ShownName | None = None
    email: Address | None = None
    is_admin: Flag = False
    """Runs the installation."""
    password: Password | None = None
    """Without one a password is made, shown once, and changed at the first sign-in."""
    is_external: Flag = False
    """Signs in elsewhere (OpenID Connect): no password is made."""

    @model_validator(mode="after")
    def _one_way_in(self) -> UserBody:
        if self.is_external and self.password is not None:
            raise ValueError("'is_external' is for users without a password here.")
        return self


class UserPatch(Body):
    """Changes of a user: only what is given."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"state": "disabled"}]})

    username: Username | None = None
    display_name: ShownName | None = None
    email: Address | None = None
    is_admin: Flag | None = None
    state: Literal["active", "disabled"] | None = None

    @model_validator(mode="after")
    def _nulls_mean_something(self) -> UserPatch:
        for name in ("username", "is_admin", "state"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{name} cannot be null; leave it out to keep it as it is.")
        return self

    def changes(self) -> dict[str, Any]:
        """As the domain has them."""
        found: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set}
        if "state" in found:
            found["state"] = UserState(found["state"])
        return found


class MemberBody(Body):
    """What a user is in the tenant."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"role": "developer"}]})

    role: RoleName


class ServiceBody(Body):
    """An account for a program."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "ci", "role": "developer"}]})

    name: Annotated[str, StringConstraints(pattern=SERVICE_NAME)]
    """Lower case letters, digits and `._-`, beginning with a letter or digit."""
    role: RoleName = "developer"


class MembershipShown(Shown):
    """What a user is in a tenant."""

    tenant: str
    role: RoleName


class UserShown(Shown):
    """An account."""

    id: int
    username: str
    kind: Literal["person", "service"]
    display_name: str | None
    email: str | None
    is_admin: bool
    state: Literal["active", "disabled"]
    has_password: bool
    has_second_factor: bool
    must_change_password: bool
    memberships: list[MembershipShown]
    created_at: str
    updated_at: str
    last_seen_at: str | None


class UserMade(UserShown):
    """An account, and the password that was made for it: it is not shown again."""

    initial_password: str | None


class UserList(Shown):
    """Users, by name."""

    items: list[UserShown]
    next_cursor: str | None


class MemberShown(Shown):
    """Who belongs to the tenant."""

    username: str
    kind: Literal["person", "service"]
    display_name: str | None
    role: RoleName
    state: Literal["active", "disabled"]
    created_at: str


class MemberList(Shown):
    """Members, by name."""

    items: list[MemberShown]
    next_cursor: str | None


class ServiceShown(Shown):
    """A service account."""

    name: str
    username: str
    role: RoleName
    state: Literal["active", "disabled"]
    created_at: str


class ServiceList(Shown):
    """Service accounts, by name."""

    items: list[ServiceShown]
    next_cursor: str | None


def user_json(user: User, memberships: Sequence[tuple[str, Membership]]) -> dict[str, Any]:
    """A user for an answer; memberships with the tenants' names."""
    return {
        "id": user.id,
        "username": user.username,
        "kind": user.kind,
        "display_name": user.display_name,
        "email": user.email,
        "is_admin": user.is_admin,
        "state": user.state,
        "has_password": user.password_hash is not None,
        "has_second_factor": user.totp is not None,
        "must_change_password": user.must_change_password,
        "memberships": [{"tenant": name, "role": one.role} for name, one in memberships],
        "created_at": stamp(user.created_at),
        "updated_at": stamp(user.updated_at),
        "last_seen_at": maybe_stamp(user.last_seen_at),
    }


def member_json(member: Member) -> dict[str, Any]:
    """A member for an answer."""
    user = member.user
    return {
        "username": user.username,
        "kind": user.kind,
        "display_name": user.display_name,
        "role": member.membership.role,
        "state": user.state,
        "created_at": stamp(member.membership.created_at),
    }


def service_json(member: Member) -> dict[str, Any]:
    """A service account for an answer."""
    user = member.user
    return {
        "name": user.display_name,
        "username": user.username,
        "role": member.membership.role,
        "state": user.state,
        "created_at": stamp(user.created_at),
    }

"""Names of tenants and users, and who may give what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.access import PERMISSIONS, PrincipalKind, Role

if TYPE_CHECKING:
    from llm_scheduler.domain.access import Principal
    from llm_scheduler.domain.ids import TenantId

TENANT_NAME: Final = r"^[a-z0-9][a-z0-9._-]{0,62}$"
USERNAME: Final = r"^[a-z0-9][a-z0-9._@-]{0,99}$"
SERVICE_NAME: Final = r"^[a-z0-9][a-z0-9._-]{0,62}$"
MEMBER_ROLES: Final = (Role.OWNER, Role.DEVELOPER, Role.VIEWER)
"""Roles in a tenant; `admin` is of the installation."""
_SERVICE: Final = "svc."


def service_username(tenant_id: TenantId, name: str) -> str:
    """The username of a tenant's service account: whatever its owners call it, it takes nobody's name."""
    return f"{_SERVICE}{tenant_id}.{name}"


def is_service_username(username: str) -> bool:
    """Whether it is one that no person may have."""
    return username.startswith(_SERVICE)


def may_grant(principal: Principal, role: Role) -> bool:
    """Nobody gives more than they have, and an API key gives nothing: whoever finds one makes no accounts with it."""
    return principal.kind is not PrincipalKind.KEY and PERMISSIONS[role] <= principal.permissions

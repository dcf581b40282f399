"""What each route asks for: the one table. `DirectRoute` checks it before the route is called.

A route that is not in it is refused to everybody (and a test fails).
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from llm_scheduler.api.errors import Problem
from llm_scheduler.domain.access import PERMISSIONS, PrincipalKind, Role
from llm_scheduler.domain.access import Permission as P  # noqa: N817 - once a line in the table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.access import Permission, Principal


class Open(Enum):
    """Asks for nothing, not even a key."""

    TO_ALL = "open"


Need = P | Open

NEEDS: Final[Mapping[tuple[str, str], Need]] = {
    ("POST", "/api/v1/tasks/bulk"): P.TASKS_SUBMIT,
    ("POST", "/api/v1/tasks/actions"): P.TASKS_MANAGE,
    ("GET", "/api/v1/tasks/actions/{action_id}"): P.TASKS_READ,
    ("GET", "/api/v1/tasks/{task_id}/explain"): P.TASKS_READ,
    ("POST", "/api/v1/tasks"): P.TASKS_SUBMIT,
    ("GET", "/api/v1/tasks"): P.TASKS_READ,
    ("GET", "/api/v1/tasks/counts"): P.TASKS_READ,
    ("GET", "/api/v1/tasks/export"): P.TASKS_READ,
    ("GET", "/api/v1/tasks/{task_id}"): P.TASKS_READ,
    ("DELETE", "/api/v1/tasks/{task_id}"): P.TASKS_MANAGE,
    ("GET", "/api/v1/tasks/{task_id}/attempts"): P.TASKS_READ,
    ("GET", "/api/v1/tasks/{task_id}/logs"): P.PAYLOADS_READ,
    ("POST", "/api/v1/tasks/{task_id}/cancel"): P.TASKS_MANAGE,
    ("POST", "/api/v1/tasks/{task_id}/retry"): P.TASKS_MANAGE,
    ("GET", "/api/v1/tasks/{task_id}/events"): P.TASKS_READ,
    ("GET", "/api/v1/events"): P.TASKS_READ,
    ("GET", "/api/v1/dead-letters"): P.TASKS_READ,
    ("POST", "/api/v1/dead-letters/requeue"): P.TASKS_MANAGE,
    ("POST", "/api/v1/dead-letters/discard"): P.TASKS_MANAGE,
    ("GET", "/api/v1/models/{name:path}/predictions"): P.MODELS_READ,
    ("GET", "/api/v1/models/{name:path}/endpoints"): P.MODELS_READ,
    ("POST", "/api/v1/models/{name:path}/endpoints"): P.MODELS_MANAGE,
    ("PATCH", "/api/v1/models/{name:path}/endpoints/{endpoint}"): P.MODELS_MANAGE,
    ("DELETE", "/api/v1/models/{name:path}/endpoints/{endpoint}"): P.MODELS_MANAGE,
    ("POST", "/api/v1/models/{name:path}/endpoints/{endpoint}/drain"): P.MODELS_MANAGE,
    ("POST", "/api/v1/models/{name:path}/endpoints/{endpoint}/resume"): P.MODELS_MANAGE,
    ("POST", "/api/v1/models/{name:path}/endpoints/{endpoint}/test"): P.MODELS_MANAGE,
    ("POST", "/api/v1/models"): P.MODELS_MANAGE,
    ("GET", "/api/v1/models"): P.MODELS_READ,
    ("POST", "/api/v1/models/{name:path}/test"): P.MODELS_MANAGE,
    ("POST", "/api/v1/models/{name:path}/pause"): P.MODELS_MANAGE,
    ("POST", "/api/v1/models/{name:path}/resume"): P.MODELS_MANAGE,
    ("POST", "/api/v1/models/{name:path}/scale"): P.MODELS_MANAGE,
    ("GET", "/api/v1/models/{name:path}"): P.MODELS_READ,
    ("PATCH", "/api/v1/models/{name:path}"): P.MODELS_MANAGE,
    ("DELETE", "/api/v1/models/{name:path}"): P.MODELS_MANAGE,
    ("GET", "/api/v1/plugins"): P.WORKERS_READ,
    ("POST", "/api/v1/budgets"): P.BUDGETS_MANAGE,
    ("GET", "/api/v1/budgets"): P.BUDGETS_READ,
    ("GET", "/api/v1/budgets/{budget}"): P.BUDGETS_READ,
    ("PATCH", "/api/v1/budgets/{budget}"): P.BUDGETS_MANAGE,
    ("POST", "/api/v1/budgets/{budget}/top-up"): P.BUDGETS_MANAGE,
    ("DELETE", "/api/v1/budgets/{budget}"): P.BUDGETS_MANAGE,
    ("GET", "/api/v1/prices"): P.PRICES_READ,
    ("PUT", "/api/v1/prices"): P.PRICES_MANAGE,
    ("POST", "/api/v1/prices/import"): P.PRICES_MANAGE,
    ("DELETE", "/api/v1/prices/{price_id}"): P.PRICES_MANAGE,
    ("GET", "/api/v1/stats/overview"): P.STATS_READ,
    ("GET", "/api/v1/stats/daily"): P.SYSTEM_READ,
    ("GET", "/api/v1/stats/usage"): P.STATS_READ,
    ("GET", "/api/v1/stats/series"): P.STATS_READ,
    ("GET", "/api/v1/stats/errors"): P.STATS_READ,
    ("GET", "/api/v1/workers"): P.WORKERS_READ,
    ("GET", "/api/v1/stats/history"): P.SYSTEM_READ,
    ("GET", "/api/v1/tenant"): P.TENANT_READ,
    ("GET", "/api/v1/tenant/export"): P.TENANT_MANAGE,
    ("GET", "/api/v1/tenants"): P.TENANTS_MANAGE,
    ("POST", "/api/v1/tenants"): P.TENANTS_MANAGE,
    ("GET", "/api/v1/tenants/removals/{action_id}"): P.TENANTS_MANAGE,
    ("GET", "/api/v1/tenants/{tenant}"): P.TENANTS_MANAGE,
    ("PATCH", "/api/v1/tenants/{tenant}"): P.TENANTS_MANAGE,
    ("DELETE", "/api/v1/tenants/{tenant}"): P.TENANTS_MANAGE,
    ("POST", "/api/v1/tenants/{tenant}/suspend"): P.TENANTS_MANAGE,
    ("POST", "/api/v1/tenants/{tenant}/resume"): P.TENANTS_MANAGE,
    ("GET", "/api/v1/tenants/{tenant}/export"): P.TENANTS_MANAGE,
    ("GET", "/api/v1/users"): P.USERS_MANAGE,
    ("POST", "/api/v1/users"): P.USERS_MANAGE,
    ("GET", "/api/v1/users/{username}"): P.USERS_MANAGE,
    ("PATCH", "/api/v1/users/{username}"): P.USERS_MANAGE,
    ("DELETE", "/api/v1/users/{username}"): P.USERS_MANAGE,
    ("POST", "/api/v1/users/{username}/password"): P.USERS_MANAGE,
    ("GET", "/api/v1/members"): P.MEMBERS_READ,
    ("PUT", "/api/v1/members/{username}"): P.MEMBERS_MANAGE,
    ("DELETE", "/api/v1/members/{username}"): P.MEMBERS_MANAGE,
    ("GET", "/api/v1/service-accounts"): P.KEYS_MANAGE,
    ("POST", "/api/v1/service-accounts"): P.KEYS_MANAGE,
    ("DELETE", "/api/v1/service-accounts/{account}"): P.KEYS_MANAGE,
    # Own keys; whose else it takes `keys:manage` for is decided by `services.api_keys`.
    ("POST", "/api/v1/api-keys"): P.KEYS_OWN,
    ("GET", "/api/v1/api-keys"): P.KEYS_OWN,
    ("GET", "/api/v1/api-keys/{key_id}"): P.KEYS_OWN,
    ("PATCH", "/api/v1/api-keys/{key_id}"): P.KEYS_OWN,
    ("DELETE", "/api/v1/api-keys/{key_id}"): P.KEYS_OWN,
    ("POST", "/api/v1/api-keys/{key_id}/renew"): P.KEYS_OWN,
    ("GET", "/api/v1/system/network"): P.SYSTEM_READ,
    ("GET", "/api/v1/system/settings"): P.SYSTEM_READ,
    ("GET", "/api/v1/system/secrets"): P.SYSTEM_MANAGE,
    ("GET", "/api/v1/system/secrets/rotate"): P.SYSTEM_MANAGE,
    ("POST", "/api/v1/system/secrets/rotate"): P.SYSTEM_MANAGE,
    ("GET", "/api/v1/auth/providers"): Open.TO_ALL,
    ("POST", "/api/v1/auth/setup"): Open.TO_ALL,
    ("POST", "/api/v1/auth/login"): Open.TO_ALL,
    # By the refresh token.
    ("POST", "/api/v1/auth/refresh"): Open.TO_ALL,
    ("POST", "/api/v1/auth/logout"): Open.TO_ALL,
    ("POST", "/api/v1/auth/logout-everywhere"): P.SELF,
    ("GET", "/api/v1/auth/oidc/start"): Open.TO_ALL,
    ("GET", "/api/v1/auth/oidc/callback"): Open.TO_ALL,
    ("POST", "/api/v1/auth/signing-keys/rotate"): P.SYSTEM_MANAGE,
    ("GET", "/api/v1/me"): P.SELF,
    ("PATCH", "/api/v1/me"): P.SELF,
    ("POST", "/api/v1/me/password"): P.SELF,
    ("GET", "/api/v1/me/sessions"): P.SELF,
    ("DELETE", "/api/v1/me/sessions/{login_id}"): P.SELF,
    ("POST", "/api/v1/me/totp"): P.SELF,
    ("POST", "/api/v1/me/totp/confirm"): P.SELF,
    ("DELETE", "/api/v1/me/totp"): P.SELF,
    ("GET", "/api/v1/audit"): P.AUDIT_READ,
    ("GET", "/api/v1/audit/export"): P.AUDIT_READ,
    ("GET", "/api/v1/audit/verify"): P.SYSTEM_READ,
    # And `payloads:read`, for the answer.
    ("POST", "/v1/chat/completions"): P.TASKS_SUBMIT,
    ("GET", "/v1/models"): P.MODELS_READ,
    ("GET", "/v1/models/{name:path}"): P.MODELS_READ,
    ("GET", "/healthz"): Open.TO_ALL,
    ("GET", "/readyz"): Open.TO_ALL,
    # Open on loopback, see `Front`.
    ("GET", "/metrics"): P.SYSTEM_READ,
    ("GET", "/api/v1/openapi.json"): Open.TO_ALL,
    ("GET", "/docs"): Open.TO_ALL,
    ("GET", "/static/docs.css"): Open.TO_ALL,
    ("GET", "/static/docs.js"): Open.TO_ALL,
    ("GET", "/static/landing.css"): Open.TO_ALL,
    ("GET", "/static/landing.js"): Open.TO_ALL,
    ("GET", "/"): Open.TO_ALL,
}
OPEN_PATHS: Final = frozenset(path for (_, path), need in NEEDS.items() if isinstance(need, Open))
"""Where nobody is asked who they are."""


def check(principal: Principal, need: Need | None) -> None:
    """Let pass whoever may.

    Raises:
        Problem: 403, with what it takes.
    """
    if isinstance(need, Open) or (need is not None and principal.may(need)):
        return
    raise forbidden(principal, need if isinstance(need, P) else None)


def forbidden(principal: Principal, permission: Permission | None) -> Problem:
    """403: known, but not allowed."""
    if permission is None:
        return Problem(403, "forbidden", "This is closed to everybody.")
    if principal.kind is PrincipalKind.USER and principal.permissions == {P.SELF}:
        return Problem(403, "forbidden", "Choose a password of your own first: llms passwd, POST /api/v1/me/password.")
    who = f"The API key '{principal.key_name}'" if principal.key_id is not None else f"The role {principal.role}"
    granting = (
        "an owner of the tenant or an administrator" if permission in PERMISSIONS[Role.OWNER] else "an administrator"
    )
    detail = f"{who} does not include '{permission}'; {granting} can grant it."
    return Problem(403, "forbidden", detail, members={"permission": permission.value})

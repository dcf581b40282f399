"""What of the API goes to the audit log: the one table, beside `permissions.NEEDS`, and the one place that writes.

`DirectRoute` has an audited route called here. The route says what was before and after by `caller.audit`, with secrets
masked as its answers mask them; the entry is written after the change and before the answer is sent.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from starlette.requests import ClientDisconnect, Request

from llm_scheduler.api.errors import Problem, problem_of
from llm_scheduler.api.parts import caller_of
from llm_scheduler.domain.access import PrincipalKind
from llm_scheduler.domain.audit import AuditEntry, AuditOutcome
from llm_scheduler.domain.errors import SchedulerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.types import ASGIApp

    from llm_scheduler.api.parts import Caller


class Audited(NamedTuple):
    """How a route is written down.

    `target` names what it is about by the fields of the path; a route may say it better. `is_of_all`: it is about the
    installation, not about the tenant of whoever calls.
    """

    action: str
    target_kind: str
    target: str = ""
    is_of_all: bool = False


AUDITED: Final[Mapping[tuple[str, str], Audited]] = {
    ("POST", "/api/v1/tasks/actions"): Audited("tasks.act", "tasks"),
    ("DELETE", "/api/v1/tasks/{task_id}"): Audited("task.delete", "task", "{task_id}"),
    ("POST", "/api/v1/dead-letters/requeue"): Audited("dead_letters.requeue", "tasks"),
    ("POST", "/api/v1/dead-letters/discard"): Audited("dead_letters.discard", "tasks"),
    ("POST", "/api/v1/models/{name:path}/endpoints"): Audited("endpoint.add", "endpoint", "{name}"),
    ("PATCH", "/api/v1/models/{name:path}/endpoints/{endpoint}"): Audited(
        "endpoint.change", "endpoint", "{name}/{endpoint}"
    ),
    ("DELETE", "/api/v1/models/{name:path}/endpoints/{endpoint}"): Audited(
        "endpoint.remove", "endpoint", "{name}/{endpoint}"
    ),
    ("POST", "/api/v1/models/{name:path}/endpoints/{endpoint}/drain"): Audited(
        "endpoint.drain", "endpoint", "{name}/{endpoint}"
    ),
    ("POST", "/api/v1/models/{name:path}/endpoints/{endpoint}/resume"): Audited(
        "endpoint.resume", "endpoint", "{name}/{endpoint}"
    ),
    ("POST", "/api/v1/models/{name:path}/endpoints/{endpoint}/test"): Audited(
        "endpoint.test", "endpoint", "{name}/{endpoint}"
    ),
    ("POST", "/api/v1/models"): Audited("model.add", "model"),
    ("POST", "/api/v1/models/{name:path}/test"): Audited("model.test", "model", "{name}"),
    ("POST", "/api/v1/models/{name:path}/pause"): Audited("model.pause", "model", "{name}"),
    ("POST", "/api/v1/models/{name:path}/resume"): Audited("model.resume", "model", "{name}"),
    ("POST", "/api/v1/models/{name:path}/scale"): Audited("model.scale", "model", "{name}"),
    ("PATCH", "/api/v1/models/{name:path}"): Audited("model.change", "model", "{name}"),
    ("DELETE", "/api/v1/models/{name:path}"): Audited("model.remove", "model", "{name}"),
    ("POST", "/api/v1/budgets"): Audited("budget.add", "budget"),
    ("PATCH", "/api/v1/budgets/{budget}"): Audited("budget.change", "budget", "{budget}"),
    ("POST", "/api/v1/budgets/{budget}/top-up"): Audited("budget.top_up", "budget", "{budget}"),
    ("DELETE", "/api/v1/budgets/{budget}"): Audited("budget.remove", "budget", "{budget}"),
    ("PUT", "/api/v1/prices"): Audited("price.set", "price"),
    ("POST", "/api/v1/prices/import"): Audited("price.import", "price"),
    ("DELETE", "/api/v1/prices/{price_id}"): Audited("price.remove", "price", "{price_id}"),
    # A GET: the provider's page leads here.
    ("GET", "/api/v1/auth/oidc/callback"): Audited("login.open", "user"),
    ("POST", "/api/v1/auth/setup"): Audited("setup.done", "user"),
    ("POST", "/api/v1/auth/login"): Audited("login.open", "user"),
    ("POST", "/api/v1/auth/logout"): Audited("login.end", "user"),
    ("POST", "/api/v1/auth/logout-everywhere"): Audited("login.end_everywhere", "user", is_of_all=True),
    ("POST", "/api/v1/auth/signing-keys/rotate"): Audited("signing_key.rotate", "signing_key", is_of_all=True),
    ("PATCH", "/api/v1/me"): Audited("account.change", "user", is_of_all=True),
    ("POST", "/api/v1/me/password"): Audited("account.password", "user", is_of_all=True),
    ("DELETE", "/api/v1/me/sessions/{login_id}"): Audited("login.end", "login", "{login_id}", is_of_all=True),
    ("POST", "/api/v1/me/totp"): Audited("account.totp_begin", "user", is_of_all=True),
    ("POST", "/api/v1/me/totp/confirm"): Audited("account.totp_add", "user", is_of_all=True),
    ("DELETE", "/api/v1/me/totp"): Audited("account.totp_remove", "user", is_of_all=True),
    ("POST", "/api/v1/tenants"): Audited("tenant.add", "tenant", is_of_all=True),
    ("PATCH", "/api/v1/tenants/{tenant}"): Audited("tenant.change", "tenant", "{tenant}", is_of_all=True),
    ("DELETE", "/api/v1/tenants/{tenant}"): Audited("tenant.remove", "tenant", "{tenant}", is_of_all=True),
    ("POST", "/api/v1/tenants/{tenant}/suspend"): Audited("tenant.suspend", "tenant", "{tenant}", is_of_all=True),
    ("POST", "/api/v1/tenants/{tenant}/resume"): Audited("tenant.resume", "tenant", "{tenant}", is_of_all=True),
    ("POST", "/api/v1/users"): Audited("user.add", "user", is_of_all=True),
    ("PATCH", "/api/v1/users/{username}"): Audited("user.change", "user", "{username}", is_of_all=True),
    ("DELETE", "/api/v1/users/{username}"): Audited("user.remove", "user", "{username}", is_of_all=True),
    ("POST", "/api/v1/users/{username}/password"): Audited("user.password", "user", "{username}", is_of_all=True),
    ("PUT", "/api/v1/members/{username}"): Audited("member.set", "member", "{username}"),
    ("DELETE", "/api/v1/members/{username}"): Audited("member.remove", "member", "{username}"),
    ("POST", "/api/v1/service-accounts"): Audited("service_account.add", "service_account"),
    ("DELETE", "/api/v1/service-accounts/{account}"): Audited("service_account.remove", "service_account", "{account}"),
    ("POST", "/api/v1/api-keys"): Audited("api_key.make", "api_key"),
    ("PATCH", "/api/v1/api-keys/{key_id}"): Audited("api_key.change", "api_key", "{key_id}"),
    ("DELETE", "/api/v1/api-keys/{key_id}"): Audited("api_key.revoke", "api_key", "{key_id}"),
    ("POST", "/api/v1/api-keys/{key_id}/renew"): Audited("api_key.renew", "api_key", "{key_id}"),
    ("POST", "/api/v1/system/secrets/rotate"): Audited("secrets.rotate", "secrets", is_of_all=True),
    # Reading as a whole leaves a trace.
    ("GET", "/api/v1/tenant/export"): Audited("tenant.export", "tenant"),
    ("GET", "/api/v1/tenants/{tenant}/export"): Audited("tenant.export", "tenant", "{tenant}", is_of_all=True),
    ("GET", "/api/v1/audit/export"): Audited("audit.export", "audit"),
}
_READS: Final = "changes nothing"
NOT_AUDITED: Final[Mapping[tuple[str, str], str]] = {
    ("POST", "/api/v1/tasks"): "a task's own log has it",
    ("POST", "/api/v1/tasks/bulk"): "the tasks' own logs have it",
    ("POST", "/v1/chat/completions"): "a task's own log has it",
    ("POST", "/api/v1/tasks/{task_id}/cancel"): "a task's own log has it",
    ("POST", "/api/v1/tasks/{task_id}/retry"): "a task's own log has it",
    ("POST", "/api/v1/auth/refresh"): "goes on with what was opened; a token used twice is told of by `services`",
    ("GET", "/api/v1/tenants"): _READS,
    ("GET", "/api/v1/tenants/{tenant}"): _READS,
    ("GET", "/api/v1/tenants/removals/{action_id}"): _READS,
    ("GET", "/api/v1/users"): _READS,
    ("GET", "/api/v1/users/{username}"): _READS,
    ("GET", "/api/v1/service-accounts"): _READS,
    ("GET", "/api/v1/system/secrets"): _READS,
    ("GET", "/api/v1/system/secrets/rotate"): _READS,
}
"""Routes that change something, or are for who manages, and are left out, with the reason."""

FIGURES: Final = frozenset(
    {
        "created_at", "current_workers", "id", "queued", "reserved_microusd", "room_microusd", "spent_microusd",
        "success_requests", "told_percent", "total_requests", "updated_at", "version",
        "running", "calls", "failures", "wait_ms", "status_until", "period_start", "period_end",
    }
)  # fmt: skip
"""Fields of answers that nobody sets."""
_MOST_TEXT: Final = 16_384
"""Bytes of a before or an after."""


def audited(
    let_pass: Callable[[Any], None], spec: Audited, endpoint: Callable[[Request], Awaitable[ASGIApp]]
) -> ASGIApp:
    """The route as an ASGI application that leaves its trace, whatever comes of it."""

    async def direct(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive, send)
        caller = caller_of(request)
        try:
            let_pass(scope)
            answer = await endpoint(request)
        except ClientDisconnect:
            raise
        except Exception as error:
            await _note_attempt(request, caller, spec, error)
            raise
        status = getattr(answer, "status", 200)
        if status >= HTTPStatus.BAD_REQUEST:
            failed = _entry(request, caller, spec, AuditOutcome.FAILED, {"status": status})
            await caller.parts.access.audit.attempt(failed)
        elif not caller.trail.is_silent:
            done = _entry(request, caller, spec, AuditOutcome.DONE, caller.trail.after)
            await caller.parts.access.audit.write(done)
        await answer(scope, receive, send)

    return direct


async def _note_attempt(request: Request, caller: Caller, spec: Audited, error: Exception) -> None:
    """403 is refused, everything else failed; of the error only its code, for details may repeat what was sent."""
    if isinstance(error, SchedulerError):
        error = problem_of(error)
    status, code = (error.status, error.code) if isinstance(error, Problem) else (500, "internal_error")
    outcome = AuditOutcome.REFUSED if status == HTTPStatus.FORBIDDEN else AuditOutcome.FAILED
    told = {"status": int(status), "code": code}
    await caller.parts.access.audit.attempt(_entry(request, caller, spec, outcome, told))


def _entry(
    request: Request, caller: Caller, spec: Audited, outcome: AuditOutcome, after: Mapping[str, object] | None
) -> AuditEntry:
    trail, principal = caller.trail, caller.principal
    before = trail.before if outcome is AuditOutcome.DONE else None
    kind, actor_id, name = _actor(caller)
    if before is not None and after is not None:
        before, after = _changed(before, after)
    if outcome is AuditOutcome.DONE and trail.given:
        after = {**(after or {}), "given": sorted(trail.given)}
    is_nobodys = spec.is_of_all or principal.kind is PrincipalKind.NOBODY
    tenant_id = trail.tenant_id if trail.has_tenant else (None if is_nobodys else caller.tenant_id)
    target = trail.target if trail.target is not None else spec.target.format_map(request.path_params)
    return AuditEntry(
        at=caller.parts.clock.now(),
        tenant_id=tenant_id,
        actor_kind=kind,
        actor_id=actor_id,
        actor=name,
        action=spec.action,
        target_kind=spec.target_kind,
        target=target,
        outcome=outcome,
        address=caller.address,
        request_id=caller.request_id,
        before=_text(before),
        after=_text(after),
    )


def _actor(caller: Caller) -> tuple[str, int | None, str]:
    principal, user = caller.principal, caller.trail.actor
    if user is not None:
        return PrincipalKind.USER.value, user.id, user.username
    if principal.key_id is not None:
        return principal.kind.value, principal.key_id, f"{principal.username}/{principal.key_name}"
    return principal.kind.value, principal.user_id, principal.username


def _changed(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    """Only what differs."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return (
        {name: before[name] for name in names if name in before},
        {name: after[name] for name in names if name in after},
    )


def _text(values: Mapping[str, object] | None) -> str | None:
    """As JSON, without figures; what is very large is cut by its largest fields, which are named."""
    if values is None:
        return None
    kept = {name: value for name, value in values.items() if name not in FIGURES}
    text = orjson.dumps(kept, default=str)
    while len(text) > _MOST_TEXT:
        sizes = {name: len(orjson.dumps(value, default=str)) for name, value in kept.items()}
        largest = max(sizes, key=lambda name: sizes[name])
        if sizes[largest] < len("(left out: 1000000 bytes)"):
            return orjson.dumps({"left_out_bytes": len(text)}).decode()
        kept[largest] = f"(left out: {sizes[largest]} bytes)"
        text = orjson.dumps(kept, default=str)
    return text.decode()

"""What can go wrong about who may do what: callers, tenants, users, keys, limits on requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.domain.errors import ConflictError, NotFoundError, SchedulerError

if TYPE_CHECKING:
    from collections.abc import Sequence


class ApiKeyNotFoundError(NotFoundError):
    """No such API key, or it is somebody else's."""

    code = "api_key_not_found"

    def __init__(self, key_id: int) -> None:
        super().__init__(
            f"There is no API key {key_id} that you may see. List them: llms keys list, GET /api/v1/api-keys."
        )


class ApiKeyRevokedError(ConflictError):
    """A revoked API key stays revoked."""

    code = "api_key_revoked"

    def __init__(self, key_id: int) -> None:
        super().__init__(f"API key {key_id} is revoked; make another one: llms keys create, POST /api/v1/api-keys.")


class TooManyApiKeysError(ConflictError):
    """The user has as many API keys as one may have."""

    code = "too_many_api_keys"

    def __init__(self, username: str, limit: int) -> None:
        super().__init__(f"'{username}' has {limit} API keys, the most there may be; revoke some that are not used.")


class KeyNotEverywhereError(ConflictError):
    """A process that runs has another secret key in force."""

    code = "secret_key_not_everywhere"

    def __init__(self, processes: Sequence[str]) -> None:
        named = ", ".join(processes[:5]) + (f" and {len(processes) - 5} more" if len(processes) > 5 else "")
        super().__init__(
            f"Not every process has this secret key in force: {named}. Restart those with it as LLMS_SECRET_KEY and "
            "the former one in LLMS_SECRET_KEYS_OLD; a process that was killed counts for ten more seconds."
        )
        self.processes = tuple(processes)


class UnauthorizedError(SchedulerError):
    """No key, or a wrong one."""

    code = "unauthorized"


class ForbiddenError(SchedulerError):
    """Known, but not allowed to do this."""

    code = "forbidden"


class AddressNotAllowedError(ForbiddenError):
    """Not from the address that this comes from."""

    code = "address_not_allowed"

    def __init__(self, what: str, address: str) -> None:
        super().__init__(f"{what} is not allowed from {address[:64] or 'an unknown address'} (as this server sees it).")
        self.address = address


class RateLimitedError(SchedulerError):
    """More requests in a minute than are allowed."""

    code = "rate_limited"

    def __init__(self, what: str, per_minute: int, wait_s: float, reset_s: float, limit: str) -> None:
        super().__init__(f"More than {per_minute} {what}; wait for as long as Retry-After says.")
        self.limit, self.per_minute, self.reset_s = limit, per_minute, reset_s
        self.retry_after_s = wait_s


class TenantNotFoundError(NotFoundError):
    """There is no such tenant, or the caller does not belong to it."""

    code = "tenant_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no tenant '{name[:100]}', or you do not belong to it.")


class TenantNameTakenError(ConflictError):
    """Another tenant has that name."""

    code = "tenant_name_taken"

    def __init__(self, name: str) -> None:
        super().__init__(f"A tenant named '{name}' exists already; choose another name.")


class TenantInUseError(ConflictError):
    """The tenant is not in a state in which it may be deleted, resumed or suspended."""

    code = "tenant_in_use"


class UserNotFoundError(NotFoundError):
    """No such user, or none that the caller may see."""

    code = "user_not_found"

    def __init__(self, username: str) -> None:
        super().__init__(f"There is no user '{username[:100]}'.")


class MemberNotFoundError(NotFoundError):
    """The user does not belong to the tenant."""

    code = "member_not_found"

    def __init__(self, username: str) -> None:
        super().__init__(f"'{username[:100]}' does not belong to this tenant.")


class UsernameTakenError(ConflictError):
    """Another user has that name."""

    code = "username_taken"

    def __init__(self, username: str) -> None:
        super().__init__(f"A user named '{username}' exists already; choose another name.")


class LastAdminError(ConflictError):
    """Nobody would be left who runs the installation."""

    code = "last_admin"

    def __init__(self, username: str) -> None:
        super().__init__(f"'{username}' is the last administrator; make somebody else one first.")


class SharedModelError(ForbiddenError):
    """The model is the installation's: it may be called, not changed."""

    code = "shared_model"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Model '{name}' is the installation's; only an administrator changes it. A model of your own may have "
            "the same name, and goes first then."
        )


class ServerModelError(ForbiddenError):
    """The model would reach into the server: that is for administrators, in the installation's own tenant."""

    code = "server_model"

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"A model of type '{kind[:50]}' with this config runs inside the server or names files on it; only an "
            "administrator makes one, in the installation's own tenant, which shares it with all."
        )


class ImposedBudgetError(ForbiddenError):
    """An administrator set the budget: only one may change it."""

    code = "imposed_budget"

    def __init__(self, name: str) -> None:
        super().__init__(f"Budget '{name}' was set by an administrator; only an administrator changes it.")

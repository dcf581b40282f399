"""What can go wrong when somebody signs in, stays signed in, or changes how."""

from __future__ import annotations

from llm_scheduler.domain.access_errors import ForbiddenError, UnauthorizedError
from llm_scheduler.domain.errors import ConflictError, InvalidInputError, NotFoundError, SchedulerError


class WrongCredentialsError(UnauthorizedError):
    """No such user, a wrong password, or an account that is disabled: which of them is not told."""

    code = "wrong_credentials"

    def __init__(
        self, said: str = "That username and password do not belong together, or the account is disabled."
    ) -> None:
        super().__init__(said)


class TotpRequiredError(UnauthorizedError):
    """The password is right; the account has a second factor, too."""

    code = "totp_required"

    def __init__(self) -> None:
        super().__init__("This account has a second factor: send its six digits, or a recovery code, as 'totp'.")


class WrongTotpError(UnauthorizedError):
    """The second factor's code does not hold."""

    code = "wrong_totp"

    def __init__(self) -> None:
        super().__init__("That code does not hold, or was used already; wait for the next one.")


class TooManyAttemptsError(SchedulerError):
    """Too many failed attempts to sign in; the next one has to wait."""

    code = "too_many_attempts"

    def __init__(self, wait_s: float) -> None:
        self.retry_after_s = max(1, round(wait_s + 0.499))
        super().__init__(f"Too many attempts that failed; try again in {self.retry_after_s} s.")


class SignInBusyError(SchedulerError):
    """More passwords are waiting to be checked than the process takes."""

    code = "sign_in_busy"

    def __init__(self) -> None:
        super().__init__("Too many sign-ins at once; try again in a moment.")
        self.retry_after_s = 2


class WeakPasswordError(InvalidInputError):
    """The password is too short, too long, or one of the first that are tried."""

    code = "weak_password"


class SessionOverError(UnauthorizedError):
    """The sign-in was ended, or was not used for too long."""

    code = "session_over"

    def __init__(self) -> None:
        super().__init__("This sign-in is over; sign in again.")


class RefreshReusedError(UnauthorizedError):
    """A refresh token came that was used before: somebody has a copy, so the sign-in was ended."""

    code = "refresh_reused"

    def __init__(self) -> None:
        super().__init__("This refresh token was used before. The sign-in was ended to be safe; sign in again.")


class RefreshedElsewhereError(ConflictError):
    """Another tab or process renewed this sign-in a moment ago."""

    code = "refreshed_elsewhere"

    def __init__(self) -> None:
        super().__init__("This sign-in was renewed elsewhere a moment ago; use the token of that answer.")


class SetupClosedError(ConflictError):
    """There is a user already."""

    code = "setup_closed"

    def __init__(self) -> None:
        super().__init__("This installation has a user already; sign in, or ask an administrator for an account.")


class WrongSetupTokenError(UnauthorizedError):
    """The one-time token of the first start does not hold."""

    code = "wrong_setup_token"

    def __init__(self) -> None:
        super().__init__("That setup token does not hold; a start of the server prints a new one.")


class NoTenantError(ForbiddenError):
    """The user belongs to no tenant that is active."""

    code = "no_tenant"

    def __init__(self) -> None:
        super().__init__("You belong to no tenant that is active; ask an owner or an administrator to add you.")


class SignInNeededError(ForbiddenError):
    """Only a signed-in person may do this, no key."""

    code = "sign_in_needed"

    def __init__(self) -> None:
        super().__init__("Only a signed-in person can do this, for their own account; API keys cannot.")


class SessionNotFoundError(NotFoundError):
    """No such sign-in of this user."""

    code = "session_not_found"

    def __init__(self, login_id: int) -> None:
        super().__init__(f"You have no sign-in {login_id}. List them: llms sessions list, GET /api/v1/me/sessions.")


class OtherSignInError(ConflictError):
    """The account signs in at a provider; this has to be changed there."""

    code = "signs_in_elsewhere"

    def __init__(self) -> None:
        super().__init__("This account has no password here: it signs in at your organisation's provider.")


class ProviderRefusedError(UnauthorizedError):
    """The sign-in at the OpenID Connect provider did not come to a good end."""

    code = "oidc_refused"


class ProviderUnavailableError(SchedulerError):
    """The OpenID Connect provider does not answer as it should."""

    code = "oidc_unavailable"

    def __init__(self, why: str) -> None:
        super().__init__(f"The provider for sign-in is not available: {why}")
        self.retry_after_s = 5

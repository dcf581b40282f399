"""Nobody gives more than they have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.domain.access import PrincipalKind
from llm_scheduler.domain.access_errors import ForbiddenError
from llm_scheduler.domain.people import may_grant

if TYPE_CHECKING:
    from llm_scheduler.api.parts import Caller
    from llm_scheduler.domain.access import Role


def check_grant(caller: Caller, role: Role) -> None:
    """Let pass whoever may make, change or remove somebody of that role.

    Raises:
        ForbiddenError: an API key may not, nor who is less.
    """
    principal = caller.principal
    if may_grant(principal, role):
        return
    if principal.kind is PrincipalKind.KEY:
        raise ForbiddenError("An API key changes nobody's access; sign in, or use the installation's own key.")
    raise ForbiddenError(f"The role {principal.role} cannot give the role {role}.")

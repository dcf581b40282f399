"""Signing in at an OpenID Connect provider: who they are here, and what their groups allow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson
import structlog

from llm_scheduler.domain.access import Role, User, UserState
from llm_scheduler.domain.errors import SchedulerError, UnsealError
from llm_scheduler.domain.ids import UserId
from llm_scheduler.domain.people import is_service_username
from llm_scheduler.domain.sign_in_errors import ProviderRefusedError
from llm_scheduler.ports.identity_provider import Errand
from llm_scheduler.services.happenings import Happening

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.ids import TenantId
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.identity_provider import Identity, IdentityProvider
    from llm_scheduler.ports.store import Store
    from llm_scheduler.ports.vault import Vault
    from llm_scheduler.services.catalogue import Catalogue
    from llm_scheduler.services.directory import Directory
    from llm_scheduler.services.happenings import Device
    from llm_scheduler.services.sign_in import SignedIn, SignIn

ERRAND_S: Final = 600
_CONTEXT: Final = "oidc-errand"
_ODD: Final = re.compile(r"[^a-z0-9._@-]+")
_LONGEST_NAME: Final = 90
_LONGEST_SUBJECT: Final = 512
_RANK: Final = (Role.VIEWER, Role.DEVELOPER, Role.OWNER)
_log = structlog.get_logger(__name__)


class GroupRule(NamedTuple):
    """What a group of the provider's gives: a role in a tenant, or (`tenant` None) the installation."""

    tenant: str | None
    role: Role


class ProviderRules(NamedTuple):
    """`groups` None: memberships are given here and not touched. `creates_users`: who is new gets an account."""

    groups: Mapping[str, GroupRule] | None = None
    creates_users: bool = True


class Departure(NamedTuple):
    """Where to send a browser, and the text it must bring back in a cookie."""

    url: str
    kept: str


class ProviderSignIn:
    """Begins and ends the errand. Accounts are found by the provider's subject, never by name or address."""

    def __init__(  # noqa: PLR0913 - the parts of a sign-in elsewhere
        self,
        provider: IdentityProvider,
        rules: ProviderRules,
        store: Store,
        directory: Directory,
        catalogue: Catalogue,
        sign_in: SignIn,
        vault: Vault,
        clock: Clock,
    ) -> None:
        self._provider, self._rules, self._store, self._directory = provider, rules, store, directory
        self._catalogue, self._sign_in, self._vault, self._clock = catalogue, sign_in, vault, clock

    async def close(self) -> None:
        """Let the connections go."""
        await self._provider.close()

    async def begin(self, redirect_uri: str, tenant: str | None, target: str) -> Departure:
        """Send somebody to the provider; `target` is the path where they go afterwards."""
        errand = await self._provider.begin(redirect_uri)
        until = self._clock.now() + ERRAND_S * 1000
        fields = {"errand": [*errand], "tenant": tenant, "target": target, "until": until}
        return Departure(errand.url, self._vault.seal(orjson.dumps(fields).decode(), _CONTEXT))

    async def finish(
        self, kept: str | None, redirect_uri: str, returned: Mapping[str, str], device: Device
    ) -> tuple[SignedIn, str]:
        """Let in who came back; with the path where they wanted to go.

        Raises:
            ProviderRefusedError: not this browser, too late, or the provider's answer does not hold.
            ProviderUnavailableError: the provider does not answer.
            NoTenantError, TenantNotFoundError, ForbiddenError: they may not be anywhere.
        """
        try:
            errand, tenant, target = self._opened(kept)
            identity = await self._provider.finish(errand, redirect_uri, returned)
            user = await self._user_of(identity)
            if self._rules.groups is not None:
                user = await self._with_groups(user, identity.groups or (), self._rules.groups)
            return await self._sign_in.open(user, tenant, device), target
        except SchedulerError as error:
            self._sign_in.tell(Happening("login.opened", False, device, facts={"code": error.code, "by": "oidc"}))
            raise

    def _opened(self, kept: str | None) -> tuple[Errand, str | None, str]:
        try:
            fields = orjson.loads(self._vault.open(kept or "", _CONTEXT))
        except (UnsealError, ValueError) as error:
            raise ProviderRefusedError("This sign-in was not begun in this browser; begin again.") from error
        if fields["until"] < self._clock.now():
            raise ProviderRefusedError("This sign-in took too long; begin again.")
        return Errand(*fields["errand"]), fields["tenant"], fields["target"]

    async def _user_of(self, identity: Identity) -> User:
        if len(identity.subject) > _LONGEST_SUBJECT:
            raise ProviderRefusedError("The provider's subject is too long to be kept.")
        await self._directory.refresh()
        user = self._directory.user_of_subject(identity.subject)
        if user is None:
            if not self._rules.creates_users:
                raise ProviderRefusedError("You have no account here; ask an administrator for one.")
            user = await self._store.sign_up(_new_user(identity))
            await self._directory.load()
        if user.state is not UserState.ACTIVE:
            raise ProviderRefusedError("Your account here is disabled; ask an administrator.")
        return user

    async def _with_groups(self, user: User, groups: tuple[str, ...], rules: Mapping[str, GroupRule]) -> User:
        """Make memberships what the groups say, at every sign-in: who left a group has lost what it gave."""
        roles: dict[TenantId, Role] = {}
        is_admin = False
        for group in groups:
            rule = rules.get(group)
            if rule is None:
                continue
            if rule.tenant is None:
                is_admin = True
                continue
            tenant = self._catalogue.tenant_named(rule.tenant)
            if tenant is None:
                _log.warning("oidc_group_without_tenant", tenant=rule.tenant)
                continue
            roles[tenant.id] = max(roles.get(tenant.id, Role.VIEWER), rule.role, key=_RANK.index)
        if await self._store.follow_groups(user.id, roles, is_admin=is_admin):
            await self._directory.load()
        return await self._store.account(user.id) or user


def _new_user(identity: Identity) -> User:
    # As `domain.people.USERNAME` wants it, with room for a number behind it.
    name = _ODD.sub("-", identity.username.strip().lower()).strip("-._@")[:_LONGEST_NAME] or "person"
    if is_service_username(name):
        raise ProviderRefusedError("Usernames that begin with 'svc.' are kept for service accounts.")
    email = identity.email[:254] if identity.email else None
    shown = identity.display_name[:100] if identity.display_name else None
    return User(UserId(0), name, email=email, display_name=shown, subject=identity.subject)

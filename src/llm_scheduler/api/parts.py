"""What the routes are handed, and who is calling."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from llm_scheduler.api.protection import Protection
from llm_scheduler.domain.access import Permission
from llm_scheduler.domain.errors import SchedulerError
from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.ports.redactor import as_it_is
from llm_scheduler.services.submit import Limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
    from importlib.resources.abc import Traversable

    from starlette.requests import Request

    from llm_scheduler.api.origin import Origin
    from llm_scheduler.domain.access import Principal, User
    from llm_scheduler.domain.ids import TenantId
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.feed import Feed
    from llm_scheduler.ports.meter import Meter
    from llm_scheduler.ports.passwords import Passwords
    from llm_scheduler.ports.store import Store, TaskFilter
    from llm_scheduler.ports.tokens import Tokens
    from llm_scheduler.services.actions import Actions
    from llm_scheduler.services.api_keys import ApiKeys
    from llm_scheduler.services.audit import Audit
    from llm_scheduler.services.budgets import Budgets
    from llm_scheduler.services.catalogue import Catalogue
    from llm_scheduler.services.directory import Directory
    from llm_scheduler.services.door import Door, Knock
    from llm_scheduler.services.endpoints import Endpoints
    from llm_scheduler.services.explain import Explaining
    from llm_scheduler.services.extensions import PluginState
    from llm_scheduler.services.first_user import FirstUser
    from llm_scheduler.services.forecast import Forecasts
    from llm_scheduler.services.late_news import LateNews
    from llm_scheduler.services.learning import Learning
    from llm_scheduler.services.models import Models
    from llm_scheduler.services.own_account import OwnAccount
    from llm_scheduler.services.presence import Presence
    from llm_scheduler.services.prices import Prices
    from llm_scheduler.services.provider_sign_in import ProviderSignIn
    from llm_scheduler.services.rotation import Rotation
    from llm_scheduler.services.series import Series
    from llm_scheduler.services.sign_in import SignIn
    from llm_scheduler.services.stats import Stats
    from llm_scheduler.services.submit import Submissions
    from llm_scheduler.services.tasks import Tasks
    from llm_scheduler.services.tenants import Tenants
    from llm_scheduler.services.users import Users

MAX_BODY_BYTES: Final = 10 * 1024 * 1024
MAX_BULK_LINES: Final = 100_000
_CALLER: Final = "llm_scheduler.caller"


class Readiness(NamedTuple):
    """Whether this process may get traffic, and for each part "ok" or what is wrong with it.

    A part may be degraded without stopping the traffic: submits need no index.
    """

    is_ready: bool
    parts: Mapping[str, str]


class SettingState(NamedTuple):
    """A setting of this process. A secret's value is masked already.

    `variable` sets it in the environment, `source` says what set it.
    """

    name: str
    variable: str
    value: object
    source: str
    meaning: str
    is_secret: bool


@dataclass(frozen=True, slots=True)
class SignInParts:
    """How people come in and look after their accounts.

    `provider` is where they sign in elsewhere, None = nowhere. `public_url` is how browsers reach this installation,
    None = as they say themselves.
    """

    sign_in: SignIn
    own_account: OwnAccount
    first_user: FirstUser
    tokens: Tokens
    passwords: Passwords
    presence: Presence
    late_news: LateNews
    provider: ProviderSignIn | None = None
    public_url: str | None = None


@dataclass(frozen=True, slots=True)
class AccessParts:
    """Who may do what. `door` says who a caller is, `directory` holds what it goes by.

    `protection` is what holds for everybody: networks, HTTPS, other sites, limits. `rotation` seals secrets anew,
    `audit` holds what was done.
    `signing` None: nobody signs in here, only keys hold.
    """

    door: Door
    directory: Directory
    tenants: Tenants
    users: Users
    api_keys: ApiKeys
    audit: Audit
    rotation: Rotation
    protection: Protection = field(default_factory=Protection)
    signing: SignInParts | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that the routes use; `app.py` puts it together.

    `readiness` looks at record, index and claim loop. `metrics` gives the Prometheus text.
    `parse_filter` reads a stored filter (see `api.filters.filter_parser`). `max_body_bytes` bounds
    one JSON body, one line of a bulk stream and a bulk array. `stopping` is set when the server is about to
    end: long polls answer at once, streams close.
    """

    store: Store
    submissions: Submissions
    tasks: Tasks
    models: Models
    endpoints: Endpoints
    actions: Actions
    stats: Stats
    series: Series
    catalogue: Catalogue
    feed: Feed
    meter: Meter
    learning: Learning
    clock: Clock
    budgets: Budgets
    prices: Prices
    forecasts: Forecasts
    explaining: Explaining
    version: str
    access: AccessParts
    readiness: Callable[[], Awaitable[Readiness]]
    metrics: Callable[[], bytes]
    parse_filter: Callable[[str], TaskFilter]
    limits: Limits = field(default_factory=Limits)
    max_body_bytes: int = MAX_BODY_BYTES
    max_bulk_lines: int = MAX_BULK_LINES
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    dashboard: Traversable | None = None
    """The folder of its built files."""
    root_path: str = ""
    """The prefix under which callers see this server, without a slash at its end."""
    redact: Callable[[str], str] = as_it_is
    """Masks secrets in what others have said: errors of databases, providers and plugins."""
    plugins: Callable[[], Sequence[PluginState]] = tuple
    """Those of this process, and how they fare."""
    settings: Callable[[], Sequence[SettingState]] = tuple
    """Those in force in this process."""


@dataclass(slots=True)
class Trail:
    """What a request leaves in the audit log, as far as its route says it."""

    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None
    target: str | None = None
    actor: User | None = None
    given: Iterable[str] = ()
    tenant_id: TenantId | None = None
    has_tenant: bool = False
    is_silent: bool = False
    """Nothing was done: it is a repetition that gets the first answer."""


class Caller:
    """One request's sender, known to be allowed, and the parts that serve it."""

    __slots__ = ("_knock", "_trail", "address", "origin", "parts", "principal", "request_id", "tenant_id")

    def __init__(
        self, parts: Parts, principal: Principal, request_id: str, origin: Origin, knock: Knock | None = None
    ) -> None:
        self.parts, self.principal, self.request_id, self.origin = parts, principal, request_id, origin
        self.address, self._knock = origin.address, knock
        self.tenant_id: TenantId = principal.tenant_id
        self._trail: Trail | None = None

    @property
    def trail(self) -> Trail:
        """What the audit log will say."""
        if self._trail is None:
            self._trail = Trail()
        return self._trail

    def audit(
        self,
        *,
        before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
        target: str | None = None,
        actor: User | None = None,
        given: Iterable[str] = (),
    ) -> None:
        """Say what the audit log is to say; may be called several times, each adds to it.

        Args:
            before: what was, as an answer shows it: secrets masked.
            after: what is now, likewise. Of both only what differs is kept.
            target: the name of what it is about; without it, the fields of the path.
            actor: who it was, where the request itself does not tell, as at signing in.
            given: names of what was sent, for a change of a secret may not show in its mask.
        """
        trail = self.trail
        trail.before = trail.before if before is None else before
        trail.after = trail.after if after is None else after
        trail.target = trail.target if target is None else target
        trail.actor = trail.actor if actor is None else actor
        trail.given = given or trail.given

    def audit_tenant(self, tenant_id: TenantId | None) -> None:
        """Say whose data it is about, if not the caller's tenant's; None: the installation's."""
        self.trail.tenant_id, self.trail.has_tenant = tenant_id, True

    @property
    def sees_all(self) -> bool:
        """Whether figures are shown of the whole installation: to administrators, in its own tenant."""
        return self.tenant_id == DEFAULT_TENANT and self.principal.may(Permission.SYSTEM_READ)

    def is_still_in(self) -> bool:
        """Whether the door would let them in now, for no less than then: for answers that go on for long."""
        if self._knock is None:
            return True
        try:
            now = self.parts.access.door.admit(self._knock)
        except SchedulerError:
            return False
        return now.permissions >= self.principal.permissions

    def attach(self, scope: MutableMapping[str, Any]) -> None:
        """Make this the caller of the request with that scope."""
        scope[_CALLER] = self


def caller_in(scope: MutableMapping[str, Any]) -> Caller:
    """Who sent the request with that scope."""
    return cast("Caller", scope[_CALLER])


def check_model(scope: MutableMapping[str, Any]) -> None:
    """Let pass whoever may use the model that the path names.

    Raises:
        ModelNotFoundError: the caller's key is for other models; to it there is none of that name.
    """
    caller = cast("Caller", scope[_CALLER])
    allowed, name = caller.principal.allowed_models, scope["path_params"]["name"]
    if allowed is not None and name not in allowed:
        raise caller.parts.catalogue.not_found(name, caller.tenant_id, allowed)


def caller_of(request: Request) -> Caller:
    """Who sent this request."""
    return cast("Caller", request.scope[_CALLER])

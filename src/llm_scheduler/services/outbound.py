"""Where the models of each tenant may call; checked when a model is saved, and again by providers when they connect.

And which of them may name files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.domain.outbound import Outbound, Reach, addresses_in, files_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llm_scheduler.domain.ids import TenantId
    from llm_scheduler.domain.model import Model
    from llm_scheduler.ports.resolver import Resolver

_T = TypeVar("_T")
_WHY: Final[Mapping[Reach, str]] = {
    Reach.OPEN: "it is a link-local address or a cloud's metadata service.",
    Reach.PUBLIC: "it is not a public address.",
    Reach.ALLOWLIST: "it is not listed.",
}


class OutboundRules:
    """The installation's rule.

    Args:
        resolver: says what names stand for.
        reach: of the models of the installation's own tenant. Where they may go anywhere, those of other tenants may
            call public addresses: their owners do not run this machine.
        allow: beside that.
    """

    def __init__(self, resolver: Resolver, reach: Reach = Reach.OPEN, allow: Sequence[str] = ()) -> None:
        allowed = tuple(entry.lower() for entry in allow)
        self._resolver = resolver
        self._own = Outbound(reach, allowed)
        self._theirs = Outbound(Reach.PUBLIC if reach is Reach.OPEN else reach, allowed)

    def of(self, tenant_id: TenantId) -> Outbound:
        """The rule for a tenant's models."""
        return self._own if tenant_id == DEFAULT_TENANT else self._theirs

    async def check(self, model: Model, before: Model | None = None) -> None:
        """Refuse addresses that the model must not call; those that `before` has already are not looked at again.

        A name that means nothing now passes: it is looked at again by every connection.

        Raises:
            InvalidInputError: with `loc` ("config", field) or ("endpoints", i, "config", field).
        """
        self.check_files(model, before)
        rule = self.of(model.tenant_id)
        known = set() if before is None else {value for _, value in _found(before, addresses_in)}
        for loc, value in _found(model, addresses_in):
            if value not in known:
                await self._check(rule, value, loc)

    def check_files(self, model: Model, before: Model | None = None) -> None:
        """Refuse files of this machine in a model of a tenant that is not the installation's own.

        Asked before a provider's kind looks at the config: whether a file is there is nobody's business, either.

        Raises:
            InvalidInputError: with `loc`, as `check`.
        """
        if model.tenant_id == DEFAULT_TENANT:
            return
        known = [] if before is None else [value for _, value in _found(before, files_in)]
        for loc, value in _found(model, files_in):
            if value not in known:
                message = "Only models of the installation's own tenant may name files of this machine; leave it out."
                raise InvalidInputError(message, *loc)

    async def _check(self, rule: Outbound, value: str, loc: tuple[str | int, ...]) -> None:
        try:
            host = urlsplit(value if "//" in value else f"//{value}").hostname
        except ValueError:
            host = None
        if host is None:
            return  # the provider's kind says what is wrong with it
        addresses = await self._resolver.addresses(host)
        is_unknown = rule.reach is Reach.ALLOWLIST and not addresses and not rule.lists(host)
        if is_unknown or any(rule.refuses(host, address) for address in addresses):
            # Not which address: what names mean in an inner network is nobody's business.
            message = f"Models must not call {host[:253]} here: {_WHY[rule.reach]}"
            raise InvalidInputError(message + " An administrator can list it in LLMS_OUTBOUND_ALLOW.", *loc)


def _found(
    model: Model, look: Callable[[Mapping[str, object]], Mapping[str, _T]]
) -> list[tuple[tuple[str | int, ...], _T]]:
    """What `look` finds in the model's config and in those of its endpoints, with where it stands."""
    found: list[tuple[tuple[str | int, ...], _T]] = [
        (("config", name), value) for name, value in look(model.config).items()
    ]
    for number, endpoint in enumerate(model.endpoints):
        found += [(("endpoints", number, "config", name), value) for name, value in look(endpoint.config).items()]
    return found

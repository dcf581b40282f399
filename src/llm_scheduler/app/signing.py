"""Puts together how people sign in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.api.parts import SignInParts
from llm_scheduler.domain.access import Role
from llm_scheduler.domain.errors import StoreUnusableError
from llm_scheduler.security.passwords import ArgonPasswords
from llm_scheduler.security.tokens import JwtTokens
from llm_scheduler.security.totp import PyotpCodes
from llm_scheduler.services.first_user import FirstUser
from llm_scheduler.services.late_news import LateNews
from llm_scheduler.services.own_account import OwnAccount
from llm_scheduler.services.presence import Presence
from llm_scheduler.services.provider_sign_in import GroupRule, ProviderRules, ProviderSignIn
from llm_scheduler.services.second_factor import SecondFactor
from llm_scheduler.services.sign_in import Lifetimes, SignIn
from llm_scheduler.services.throttle import Throttle

if TYPE_CHECKING:
    from llm_scheduler.app.adapters import Adapters
    from llm_scheduler.app.keys import Keys
    from llm_scheduler.services.directory import Directory


def make_signing(of: Adapters, directory: Directory, keys: Keys) -> SignInParts:
    """Everything of it; loads nothing yet."""
    store, catalogue, clock, settings = of.store, of.catalogue, of.clock, of.settings
    tokens = JwtTokens(store, keys.vault, clock, settings.access_token_minutes * 60)
    directory.also.append(tokens.load)
    passwords = ArgonPasswords(settings.password_min_length)
    factor = SecondFactor(store, keys.vault, PyotpCodes(), clock)
    lifetimes = Lifetimes(settings.refresh_days, settings.login_max_days)
    throttle = Throttle(store, clock)
    sign_in = SignIn(store, directory, catalogue, clock, passwords, tokens, throttle, factor, lifetimes)
    return SignInParts(
        sign_in=sign_in,
        own_account=OwnAccount(store, directory, passwords, sign_in, factor),
        first_user=FirstUser(store, passwords, sign_in, clock, is_shared=settings.is_cluster),
        tokens=tokens,
        passwords=passwords,
        presence=Presence(store),
        late_news=LateNews(directory, tokens),
        provider=_make_provider(of, directory, sign_in, keys),
        public_url=settings.public_url,
    )


def group_rules(role_map: dict[str, str] | None) -> dict[str, GroupRule] | None:
    """The map of the settings as rules: `admin` or `tenant:role`; a tenant's name may hold colons."""
    if role_map is None:
        return None
    parts = {group: given.rpartition(":") for group, given in role_map.items()}
    return {group: GroupRule(tenant or None, Role(role)) for group, (tenant, _, role) in parts.items()}


def _make_provider(of: Adapters, directory: Directory, sign_in: SignIn, keys: Keys) -> ProviderSignIn | None:
    store, catalogue, clock, settings = of.store, of.catalogue, of.clock, of.settings
    if settings.oidc_issuer is None:
        return None
    try:
        from llm_scheduler.security.oidc import OidcProvider, Registration
    except ImportError as error:
        raise StoreUnusableError(
            f"LLMS_OIDC_ISSUER needs the extra [oidc] ({error.name} is missing): "
            "pip install 'llm-scheduler-server[oidc]'"
        ) from error
    secret = settings.oidc_client_secret
    registration = Registration(
        settings.oidc_issuer,
        settings.oidc_client_id or "",
        None if secret is None else secret.get_secret_value(),
        settings.oidc_scopes,
        settings.oidc_groups_claim,
    )
    rules = ProviderRules(group_rules(settings.oidc_role_map), settings.oidc_create_users)
    provider = OidcProvider(registration, clock)
    return ProviderSignIn(provider, rules, store, directory, catalogue, sign_in, keys.vault, clock)

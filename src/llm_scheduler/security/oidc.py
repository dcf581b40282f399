"""OpenID Connect: discovery, code flow with PKCE, checked identity tokens. Needs the extra `[oidc]`.

Authlib and joserfc check claims and signatures; the HTTP is our own, with time and size limits and no redirects.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from llm_scheduler.domain.sign_in_errors import ProviderRefusedError, ProviderUnavailableError
from llm_scheduler.ports.identity_provider import Errand, Identity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.ports.clock import Clock

_ASYMMETRIC: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""With a shared secret a client could sign its own identity."""
_NEEDED: Final = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_KEPT_S: Final = 3_600.0
_LOOK_AGAIN_S: Final = 10.0
_TIMEOUT_S: Final = 10.0
_MOST_BYTES: Final = 1024 * 1024
_LEEWAY_S: Final = 60
_LONGEST: Final = 100


class Registration(NamedTuple):
    """How this installation is known to the provider."""

    issuer: str
    client_id: str
    client_secret: str | None = None
    scopes: str = "openid profile email"
    groups_claim: str = "groups"


class OidcProvider:
    """`ports.identity_provider.IdentityProvider`."""

    def __init__(self, registration: Registration, clock: Clock) -> None:
        self._as, self._clock = registration, clock
        self._session: aiohttp.ClientSession | None = None
        self._metadata: dict[str, Any] = {}
        self._keys: KeySet | None = None
        self._metadata_s = self._keys_s = float("-inf")
        self._looking = asyncio.Lock()

    async def close(self) -> None:
        """Let the connections go."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def begin(self, redirect_uri: str) -> Errand:
        """Where to send somebody."""
        metadata = await self._discovered()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        asked = {
            "response_type": "code",
            "client_id": self._as.client_id,
            "redirect_uri": redirect_uri,
            "scope": self._as.scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        url = metadata["authorization_endpoint"]
        return Errand(f"{url}{'&' if '?' in url else '?'}{urlencode(asked)}", state, nonce, verifier)

    async def finish(self, errand: Errand, redirect_uri: str, returned: Mapping[str, str]) -> Identity:
        """Who came back."""
        metadata = await self._discovered()
        if not hmac.compare_digest(returned.get("state", "").encode(), errand.state.encode()):
            raise ProviderRefusedError("This sign-in was begun elsewhere; begin again.")
        if "error" in returned:
            raise ProviderRefusedError(f"The provider refused: {_shown(returned['error'])}.")
        # RFC 9207: the answer of another provider must not be taken to this one.
        if returned.get("iss", metadata["issuer"]) != metadata["issuer"] or not returned.get("code"):
            raise ProviderRefusedError("The provider's answer is not for this sign-in; begin again.")
        tokens = await self._exchanged(errand, redirect_uri, returned["code"])
        claims = await self._checked(tokens, errand.nonce)
        return self._identity(await self._with_groups(claims, tokens))

    async def _exchanged(self, errand: Errand, redirect_uri: str, code: str) -> dict[str, Any]:
        metadata = await self._discovered()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": errand.verifier,
        }
        known = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        headers: dict[str, str] = {}
        secret = self._as.client_secret
        if secret is not None and "client_secret_basic" in known:
            # RFC 6749, 2.3.1: both are form-encoded first.
            headers["Authorization"] = aiohttp.encode_basic_auth(
                quote(self._as.client_id, safe=""), quote(secret, safe="")
            )
        else:
            form["client_id"] = self._as.client_id
            if secret is not None:
                form["client_secret"] = secret
        return await self._json("POST", metadata["token_endpoint"], form, headers)

    async def _checked(self, tokens: dict[str, Any], nonce: str) -> dict[str, Any]:
        text = tokens.get("id_token")
        if not isinstance(text, str):
            raise ProviderRefusedError("The provider gave no identity token.")
        metadata = await self._discovered()
        offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        algorithms = [name for name in _ASYMMETRIC if name in offered]
        try:
            token = await self._decoded(text, algorithms)
            claims = CodeIDToken(
                token.claims,
                token.header,
                options={
                    "iss": {"essential": True, "value": metadata["issuer"]},
                    "aud": {"essential": True, "value": self._as.client_id},
                },
                params={
                    "nonce": nonce,
                    "client_id": self._as.client_id,
                    "access_token": tokens.get("access_token"),
                },
            )
            claims.validate(self._clock.now() // 1000, _LEEWAY_S)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise ProviderRefusedError(f"The provider's identity token does not hold ({_shown(error)}).") from error
        return dict(claims)

    async def _decoded(self, text: str, algorithms: list[str]) -> jwt.Token:
        keys = await self._key_set()
        try:
            return jwt.decode(text, keys, algorithms=algorithms)
        except (JoseError, ValueError):
            # The provider may sign with a key that is newer than what is kept here.
            if self._clock.monotonic_s() - self._keys_s < _LOOK_AGAIN_S:
                raise
            self._keys = None
            return jwt.decode(text, await self._key_set(), algorithms=algorithms)

    async def _with_groups(self, claims: dict[str, Any], tokens: dict[str, Any]) -> dict[str, Any]:
        """The claims; with those that only the userinfo endpoint tells, where groups are not among them."""
        url = (await self._discovered()).get("userinfo_endpoint")
        bearer = tokens.get("access_token")
        if _found(claims, self._as.groups_claim) is not None or not isinstance(bearer, str) or not url:
            return claims
        told = await self._json("GET", url, None, {"Authorization": f"Bearer {bearer}"})
        if told.get("sub") != claims["sub"]:
            raise ProviderRefusedError("The provider tells of another person than its token does.")
        return {**told, **claims}

    def _identity(self, claims: dict[str, Any]) -> Identity:
        groups = _found(claims, self._as.groups_claim)
        if isinstance(groups, str):
            groups = [groups]
        subject = str(claims["sub"])
        email = claims.get("email") if isinstance(claims.get("email"), str) else None
        names = (claims.get("preferred_username"), (email or "").partition("@")[0], subject)
        username = next(name for name in names if isinstance(name, str) and name)
        shown = claims.get("name")
        return Identity(
            f"{claims['iss']}|{subject}",
            username,
            email,
            shown if isinstance(shown, str) else None,
            tuple(str(group) for group in groups) if isinstance(groups, list) else None,
        )

    async def _discovered(self) -> dict[str, Any]:
        async with self._looking:
            if self._metadata and self._clock.monotonic_s() - self._metadata_s < _KEPT_S:
                return self._metadata
            issuer = self._as.issuer
            found = await self._json("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration", None, {})
            missing = [name for name in _NEEDED if not isinstance(found.get(name), str)]
            if missing:
                raise ProviderUnavailableError(f"its configuration lacks {', '.join(missing)}")
            if found["issuer"].rstrip("/") != issuer.rstrip("/"):
                raise ProviderUnavailableError(f"it calls itself {_shown(found['issuer'])}, not {issuer}")
            for name in (*_NEEDED, "userinfo_endpoint"):
                if name in found and not is_safe(found[name]):
                    raise ProviderUnavailableError(f"its {name} is not https")
            self._metadata, self._metadata_s = found, self._clock.monotonic_s()
            return found

    async def _key_set(self) -> KeySet:
        metadata = await self._discovered()
        async with self._looking:
            if self._keys is None or self._clock.monotonic_s() - self._keys_s >= _KEPT_S:
                found = await self._json("GET", metadata["jwks_uri"], None, {})
                try:
                    self._keys = KeySet.import_key_set(found)  # pyright: ignore[reportArgumentType] - foreign JSON, refused below if it is none
                except (JoseError, ValueError, TypeError, KeyError) as error:
                    raise ProviderUnavailableError("its keys cannot be read") from error
                self._keys_s = self._clock.monotonic_s()
            return self._keys

    async def _json(
        self, method: str, url: str, form: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S), cookie_jar=aiohttp.DummyCookieJar()
            )
        try:
            async with self._session.request(
                method, url, data=form, headers={"Accept": "application/json", **headers}, allow_redirects=False
            ) as answer:
                status, body = answer.status, b""
                async for piece in answer.content.iter_chunked(65_536):
                    body += piece
                    if len(body) > _MOST_BYTES:
                        raise ProviderUnavailableError(f"{urlsplit(url).hostname} answers with too much")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ProviderUnavailableError(
                f"{urlsplit(url).hostname} does not answer ({type(error).__name__})"
            ) from error
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        if status in (400, 401, 403) and method == "POST":
            reason = found.get("error") if isinstance(found, dict) else None
            raise ProviderRefusedError(f"The provider did not take the code back ({_shown(reason or status)}).")
        if status != 200 or not isinstance(found, dict):
            raise ProviderUnavailableError(f"{urlsplit(url).hostname} answers {status}, without what was asked for")
        return found


def is_safe(url: str) -> bool:
    """Whether what goes there cannot be read on the way: https, or this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


def _found(claims: Mapping[str, Any], path: str) -> Any:
    """A claim by its name, or by names with dots between for one inside others (`realm_access.roles`)."""
    if path in claims:
        return claims[path]
    part: Any = claims
    for name in path.split("."):
        part = part.get(name) if isinstance(part, dict) else None
    return part


def _shown(value: object) -> str:
    """A foreign text, short and on one line."""
    return "".join(one for one in str(value) if one.isprintable())[:_LONGEST]

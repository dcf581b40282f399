"""Access tokens: what is signed comes back, and nothing else holds."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.unit.api.signing_scene import MovedClock

from llm_scheduler.domain.access import Role
from llm_scheduler.domain.ids import LoginId, Millis, TenantId, UserId
from llm_scheduler.ports.logins import SigningKey
from llm_scheduler.ports.tokens import Claims, Shown
from llm_scheduler.security.tokens import AUDIENCE, ISSUER, JwtTokens, context_of
from llm_scheduler.security.vault import AesVault

if TYPE_CHECKING:
    from collections.abc import Sequence

VAULT = AesVault("a secret of the tests")
CLAIMS = Claims(UserId(5), TenantId(7), LoginId(11), 3)
SHOWN = Shown("ann", Role.DEVELOPER, "work")


class KeyTable:
    """Signing keys as the record keeps them."""

    def __init__(self, clock: MovedClock) -> None:
        self._clock, self.keys, self.reads = clock, list[SigningKey](), 0

    async def signing_keys(self) -> Sequence[SigningKey]:
        self.reads += 1
        return list(self.keys)

    async def add_signing_key(self, key: SigningKey, *, is_first: bool = False) -> None:
        if is_first and any(one.retired_at is None for one in self.keys):
            return
        now = self._clock.now()
        self.keys = [one if one.retired_at else one._replace(retired_at=now) for one in self.keys]
        self.keys.append(key._replace(created_at=now))

    async def drop_signing_keys(self, retired_before: Millis) -> int:
        left = [one for one in self.keys if one.retired_at is None or one.retired_at > retired_before]
        dropped, self.keys = len(self.keys) - len(left), left
        return dropped


class Bench:
    """One process' tokens, and what an attacker needs to make their own."""

    def __init__(self) -> None:
        self.clock = MovedClock()
        self.table = KeyTable(self.clock)
        self.tokens = self.process()

    def process(self) -> JwtTokens:
        return JwtTokens(self.table, VAULT, self.clock, 900)  # type: ignore[arg-type]

    @property
    def secret(self) -> str:
        kept = self.table.keys[-1]
        return VAULT.open(kept.secret, context_of(kept.kid))

    @property
    def kid(self) -> str:
        return self.table.keys[-1].kid

    async def payload(self) -> dict[str, Any]:
        text = (await self.tokens.issue(CLAIMS, SHOWN)).text
        return jwt.decode(text, options={"verify_signature": False})

    async def forged(self, *, key: Any = None, algorithm: str = "HS256", kid: str | None = None, **changes: Any) -> str:
        payload = {**await self.payload(), **changes}
        payload = {name: value for name, value in payload.items() if value is not None}
        return jwt.encode(payload, key or self.secret, algorithm=algorithm, headers={"kid": kid or self.kid})


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.fixture
async def bench() -> Bench:
    made = Bench()
    await made.tokens.load()
    return made


async def test_what_is_signed_comes_back(bench: Bench) -> None:
    token = await bench.tokens.issue(CLAIMS, SHOWN)

    assert bench.tokens.read(token.text) == CLAIMS
    payload = await bench.payload()
    assert (payload["user_id"], payload["username"], payload["role"], payload["tenant"]) == (
        5,
        "ann",
        "developer",
        "work",
    )
    assert 899_000 <= token.expires_at - bench.clock.now() <= 900_000


async def test_a_token_of_no_algorithm_does_not_hold(bench: Bench) -> None:
    payload = await bench.payload()

    for name in ("none", "None", "NONE", "nOnE", ""):
        head = part({"alg": name, "typ": "JWT", "kid": bench.kid})
        for signature in ("", "x", part("x")):
            assert bench.tokens.read(f"{head}.{part(payload)}.{signature}") is None


async def test_no_other_algorithm_is_taken_whatever_the_header_says(bench: Bench) -> None:
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = rsa_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

    for algorithm, key in (
        ("HS384", bench.secret if bench.table.keys else "x" * 48),
        ("HS512", "x" * 64),
        ("RS256", pem),
    ):
        await bench.payload()
        forged = await bench.forged(key=key if algorithm != "HS384" else bench.secret, algorithm=algorithm)
        assert bench.tokens.read(forged) is None


async def test_a_header_that_says_rs256_over_our_own_signature_does_not_hold(bench: Bench) -> None:
    """And the other way round: a public key taken for a shared secret."""
    good = (await bench.tokens.issue(CLAIMS, SHOWN)).text
    _, payload, signature = good.split(".")

    assert bench.tokens.read(f"{part({'alg': 'RS256', 'kid': bench.kid})}.{payload}.{signature}") is None


async def test_a_payload_that_was_changed_does_not_hold(bench: Bench) -> None:
    good = (await bench.tokens.issue(CLAIMS, SHOWN)).text
    head, _, signature = good.split(".")
    payload = await bench.payload()

    for changes in ({"user_id": 1}, {"role": "admin"}, {"tid": 1}, {"exp": payload["exp"] + 10**6}, {"epoch": 0}):
        assert bench.tokens.read(f"{head}.{part({**payload, **changes})}.{signature}") is None


async def test_a_foreign_key_and_an_unknown_one_sign_nothing(bench: Bench) -> None:
    await bench.payload()

    assert bench.tokens.read(await bench.forged(key="another secret of forty characters ......")) is None
    assert bench.tokens.read(await bench.forged(kid="0123456789abcdef")) is None
    for kid in ("../../etc/passwd", "' OR 1=1 --", "", 7, None, ["x"]):
        head = part({"alg": "HS256", "kid": kid})
        assert bench.tokens.read(f"{head}.{part(await bench.payload())}.{part('x')}") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "somebody"},
        {"aud": "another-api"},
        {"exp": None},
        {"iat": None},
        {"nbf": None},
        {"iss": None},
        {"aud": None},
        {"sub": None},
        {"epoch": None},
        {"sid": None},
        {"user_id": "5"},
        {"user_id": 5.0},
        {"exp": "9999999999"},
        {"exp": True},
        {"exp": 1},
        {"nbf": 9_999_999_999},
        {"iat": 9_999_999_999},
    ],
    ids=str,
)
async def test_a_claim_that_is_wrong_or_missing_makes_it_hold_no_more(bench: Bench, changes: dict[str, Any]) -> None:
    await bench.payload()
    assert bench.tokens.read(await bench.forged()) == CLAIMS

    assert bench.tokens.read(await bench.forged(**changes)) is None


async def test_it_is_over_when_its_time_is_also_if_it_was_looked_at_before(bench: Bench) -> None:
    token = (await bench.tokens.issue(CLAIMS, SHOWN)).text
    assert bench.tokens.read(token) == CLAIMS
    bench.clock.pass_s(898)
    assert bench.tokens.read(token) == CLAIMS

    bench.clock.pass_s(3)

    assert bench.tokens.read(token) is None
    assert bench.process().read(token) is None


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "é.é.é", "\ud800.x.y", "x" * 5000 + ".y.z", "\0.\0.\0"])
async def test_what_is_no_token_is_none(bench: Bench, text: str) -> None:
    await bench.payload()

    assert bench.tokens.read(text) is None
    assert await bench.tokens.learn(text) is False


async def test_a_new_key_signs_only_when_all_had_the_time_to_hear_of_it(bench: Bench) -> None:
    first = (await bench.tokens.issue(CLAIMS, SHOWN)).text
    await bench.tokens.rotate()
    at_once = (await bench.tokens.issue(CLAIMS, SHOWN)).text
    bench.clock.pass_s(6)
    later = (await bench.tokens.issue(CLAIMS, SHOWN)).text

    kids = [jwt.get_unverified_header(one)["kid"] for one in (first, at_once, later)]
    assert kids[0] == kids[1] != kids[2] == bench.kid
    assert all(bench.tokens.read(one) == CLAIMS for one in (first, at_once, later))


async def test_an_old_key_checks_until_the_last_of_its_tokens_is_over_and_then_goes(bench: Bench) -> None:
    await bench.payload()
    old_kid, old_secret = bench.kid, bench.secret
    await bench.tokens.rotate()
    bench.clock.pass_s(890)
    still = await bench.forged(key=old_secret, kid=old_kid)
    assert bench.tokens.read(still) == CLAIMS

    bench.clock.pass_s(16)

    assert bench.tokens.read(still) is None
    await bench.tokens.rotate()
    assert len(bench.table.keys) == 3
    bench.clock.pass_s(2000)
    await bench.tokens.rotate()
    assert len(bench.table.keys) == 2


async def test_another_process_learns_of_a_key_at_most_once_a_second(bench: Bench) -> None:
    other = bench.process()
    await other.load()
    token = (await bench.tokens.issue(CLAIMS, SHOWN)).text
    before = bench.table.reads
    bench.clock.pass_s(2)

    assert await other.learn(await bench.forged(kid="made-up-0")) is False
    for number in range(50):
        assert await other.learn(await bench.forged(kid=f"made-up-{number}")) is False

    assert bench.table.reads == before + 1
    assert await other.learn(token) is True


async def test_keys_that_cannot_be_opened_check_nothing_and_a_new_one_is_made(bench: Bench) -> None:
    token = (await bench.tokens.issue(CLAIMS, SHOWN)).text
    other = JwtTokens(bench.table, AesVault("another secret of the tests"), bench.clock)  # type: ignore[arg-type]
    await other.load()

    assert other.read(token) is None
    assert other.read((await other.issue(CLAIMS, SHOWN)).text) == CLAIMS


async def test_the_secret_is_not_kept_as_it_is(bench: Bench) -> None:
    await bench.payload()

    assert bench.secret not in bench.table.keys[0].secret
    assert len(bench.secret) >= 43


async def test_what_is_remembered_is_bounded_and_reading_it_again_costs_next_to_nothing(bench: Bench) -> None:
    """By CPU time, against the same number of checks of signatures."""
    tokens = [(await bench.tokens.issue(CLAIMS._replace(epoch=number), SHOWN)).text for number in range(300)]

    began = time.process_time()
    for token in tokens:
        assert bench.tokens.read(token) is not None
    cold_s = time.process_time() - began
    began = time.process_time()
    for token in tokens:
        assert bench.tokens.read(token) is not None
    warm_s = time.process_time() - began

    assert warm_s < cold_s / 4


async def test_what_is_remembered_has_a_bound(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_scheduler.security.tokens._MOST_CACHED", 5)
    tokens = [(await bench.tokens.issue(CLAIMS._replace(epoch=number), SHOWN)).text for number in range(9)]

    for token in tokens:
        assert bench.tokens.read(token) is not None

    assert len(bench.tokens._checked) == 5
    assert all(bench.tokens.read(token) is not None for token in tokens)


def test_names_are_what_they_are() -> None:
    """Tokens that are out there hold them."""
    assert (ISSUER, AUDIENCE) == ("llm-scheduler", "llm-scheduler-api")

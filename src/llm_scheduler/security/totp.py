"""One-time codes of six digits by pyotp, which is alive (2.12 of November 2026) and does RFC 4226 and 6238 whole."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

from pyotp import random_base32
from pyotp.totp import TOTP

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import Millis

STEP_S: Final = 30
ISSUER: Final = "LLM Scheduler"
_AROUND: Final = (0, -1, 1)
"""Clocks of telephones may be half a minute off."""
_CODE_CHARS: Final = 6


class PyotpCodes:
    """`ports.second_factor.OneTimeCodes`."""

    def new_secret(self) -> str:
        """160 bits in base 32, as RFC 4226 asks for."""
        return random_base32(32)

    def uri(self, secret: str, username: str) -> str:
        """`otpauth://totp/…`."""
        return TOTP(secret, interval=STEP_S).provisioning_uri(name=username, issuer_name=ISSUER)

    def step(self, secret: str, code: str, now: Millis) -> int | None:
        """Which step of time the code belongs to. All that may fit are looked at, whichever does."""
        totp = TOTP(secret, interval=STEP_S)
        present = now // (STEP_S * 1000)
        is_code = len(code) == _CODE_CHARS and code.isascii() and code.isdigit()
        given = code.encode() if is_code else b"??????"
        found: int | None = None
        for around in _AROUND:
            step = present + around
            if hmac.compare_digest(totp.generate_otp(step).encode(), given):
                found = step
        return found

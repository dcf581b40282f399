"""One-time codes against the published examples."""

import pytest

from llm_scheduler.domain.ids import Millis
from llm_scheduler.security.totp import PyotpCodes

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # RFC 6238, appendix B
CODES = PyotpCodes()


@pytest.mark.parametrize(
    ("at_s", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037")],
)
def test_codes_are_those_of_the_standard(at_s: int, code: str) -> None:
    assert CODES.step(SECRET, code, Millis(at_s * 1000)) == at_s // 30


@pytest.mark.parametrize(("late_s", "is_taken"), [(0, True), (30, True), (-30, True), (60, False), (-60, False)])
def test_clocks_may_differ_by_a_step(late_s: int, is_taken: bool) -> None:
    found = CODES.step(SECRET, "050471", Millis((1111111111 + late_s) * 1000))

    assert (found == 1111111111 // 30) == is_taken


@pytest.mark.parametrize("code", ["", "50471", "0504710", "05047x", "٠٥٠٤٧١", "      ", "??????"])
def test_what_is_no_code_is_wrong(code: str) -> None:
    assert CODES.step(SECRET, code, Millis(1111111111000)) is None


def test_secrets_are_long_and_new() -> None:
    one, other = CODES.new_secret(), CODES.new_secret()

    assert one != other
    assert len(one) == 32
    assert "issuer=LLM%20Scheduler" in CODES.uri(one, "ann@example")

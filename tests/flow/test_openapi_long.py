"""The OpenAPI document holds against many requests made up from it. Collected only when it is asked for: the requests
are made up as the tests are collected, and that takes each worker half a minute (`tests/conftest.py`)."""

from __future__ import annotations

import pytest
import schemathesis
from tests.flow.made_up import DOCUMENT, LONG, SIGNING, check, served
from tests.unit.api.scene import KEY

__all__ = ["served"]


@pytest.mark.nightly
@pytest.mark.timeout(300)
@DOCUMENT.parametrize()
@LONG
def test_many_made_up_requests_find_no_fault(case: schemathesis.Case, served: tuple[str, str]) -> None:
    check(case, served[0], KEY)


@pytest.mark.nightly
@pytest.mark.timeout(600)
@SIGNING.parametrize()
@LONG
def test_many_made_up_requests_of_a_person_find_no_fault(case: schemathesis.Case, served: tuple[str, str]) -> None:
    check(case, *served)

"""The OpenAPI document is the contract: it is kept, complete, and holds against requests made up from it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import schemathesis
from hypothesis import settings
from tests.flow.made_up import CHECKS, DOCUMENT, KEPT, SIGNING, USUAL, check, served
from tests.unit.api.scene import KEY

from llm_scheduler.api.document import printed

__all__ = ["served"]
OPERATIONS = [
    (path, method, operation) for path, methods in KEPT["paths"].items() for method, operation in methods.items()
]
NAMES = [f"{method.upper()} {path}" for path, method, _ in OPERATIONS]


def test_the_kept_document_is_the_one_that_the_code_makes() -> None:
    """After a change run: python -m llm_scheduler.api.document > docs/openapi.json."""
    assert json.loads(printed()) == KEPT


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=NAMES)
def test_every_operation_is_described(path: str, method: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"]
    assert operation["tags"][0] in {tag["name"] for tag in KEPT["tags"]}
    assert "security" in operation
    assert re.findall(r"{(\w+)}", path) == [
        each["name"] for each in operation.get("parameters", []) if each["in"] == "path"
    ]
    for status, answer in operation["responses"].items():
        if int(status) >= 400:
            # OpenAI's clients read errors in OpenAI's words.
            media = "application/json" if path.startswith("/v1/") else "application/problem+json"
            assert list(answer["content"]) == [media], status
    if operation["security"]:
        assert "401" in operation["responses"]
    for schema in operation.get("requestBody", {}).get("content", {}).values():
        assert "example" in schema or _has_example(schema["schema"])


def _has_example(schema: dict[str, Any]) -> bool:
    target = schema.get("items", schema)
    named = KEPT["components"]["schemas"][target["$ref"].rpartition("/")[2]]
    return "examples" in named or any("examples" in field for field in named["properties"].values())


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for _, _, operation in OPERATIONS]

    assert len(set(ids)) == len(ids)


def test_every_reference_leads_somewhere() -> None:
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(KEPT)))

    assert names == set(KEPT["components"]["schemas"])


@DOCUMENT.parametrize()
@USUAL
def test_made_up_requests_find_no_fault(case: schemathesis.Case, served: tuple[str, str]) -> None:
    """No 5xx, and every answer has a status, a media type and a body that the document names."""
    check(case, served[0], KEY)


@SIGNING.parametrize()
@USUAL
def test_made_up_requests_of_a_person_find_no_fault(case: schemathesis.Case, served: tuple[str, str]) -> None:
    """What asks for a person, no key: own account and sign-in."""
    check(case, *served)


OPEN = {path for path, _, operation in OPERATIONS if not operation["security"]}


@DOCUMENT.parametrize()
@settings(USUAL, max_examples=1)
def test_made_up_requests_without_a_key_get_nothing(case: schemathesis.Case, served: tuple[str, str]) -> None:
    """Every operation that is not open answers 401, as documented, whatever else is wrong with the request."""
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        answer = case.call(base_url=served[0], headers=headers, timeout=10)

        case.validate_response(answer, checks=CHECKS)
        # Metrics are open on loopback to who shows no key at all.
        is_open = case.path in OPEN or (case.path == "/metrics" and not headers)
        if not is_open:
            assert answer.status_code == 401, (case.method, case.path, headers, answer.status_code)

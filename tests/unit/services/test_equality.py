"""When tasks are equal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llm_scheduler.domain.ids import DEFAULT_TENANT, ModelId, TenantId
from llm_scheduler.domain.model import Model, ModelStatus
from llm_scheduler.services.equality import cache_key, config_digest

CONFIG = {"base_url": "https://a/v1", "model": "gpt", "api_key": "sealed:1"}
MODEL = Model(ModelId(3), DEFAULT_TENANT, "m", "openai", CONFIG)
SECRETS = frozenset({"api_key"})
BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "é"}], "temperature": 0.5}
DIGEST = config_digest(MODEL, SECRETS)
KEY = cache_key(DEFAULT_TENANT, DIGEST, "chat", BODY)


def test_a_key_begins_with_the_configs_digest_and_fits_its_column() -> None:
    assert (len(DIGEST), len(KEY)) == (16, 64)
    assert KEY.startswith(DIGEST)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": ModelStatus.PAUSED},
        {"max_workers": 99},
        {"rpm": 7},
        {"version": 12},
        {"name": "renamed"},
        {"config": {**CONFIG, "api_key": "sealed:2"}},
        {"config": dict(reversed(CONFIG.items()))},
    ],
)
def test_what_changes_no_answer_changes_no_digest(changes: dict[str, Any]) -> None:
    assert config_digest(replace(MODEL, **changes), SECRETS) == DIGEST


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ModelId(4)},
        {"type": "anthropic"},
        {"config": {**CONFIG, "base_url": "https://b/v1"}},
        {"config": {**CONFIG, "model": "gpt-2"}},
        {"config": {**CONFIG, "new": None}},
    ],
)
def test_where_calls_go_and_what_they_ask_for_changes_the_digest(changes: dict[str, Any]) -> None:
    assert config_digest(replace(MODEL, **changes), SECRETS) != DIGEST


def test_the_order_of_fields_changes_nothing() -> None:
    turned = {"temperature": 0.5, "messages": [{"content": "é", "role": "user"}]}
    assert cache_key(DEFAULT_TENANT, DIGEST, "chat", turned) == KEY


@pytest.mark.parametrize(
    ("tenant_id", "digest", "kind", "body"),
    [
        (TenantId(2), DIGEST, "chat", BODY),
        (DEFAULT_TENANT, "0" * 16, "chat", BODY),
        (DEFAULT_TENANT, DIGEST, "completion", BODY),
        (DEFAULT_TENANT, DIGEST, "chat", {**BODY, "temperature": 0.6}),
        (DEFAULT_TENANT, DIGEST, "chat", {**BODY, "seed": None}),
        (DEFAULT_TENANT, DIGEST, "chat", {**BODY, "messages": [{"role": "user", "content": "e"}]}),
        (DEFAULT_TENANT, DIGEST, "chat", {**BODY, "messages": [*BODY["messages"], *BODY["messages"]]}),
    ],
)
def test_everything_else_changes_the_key(tenant_id: TenantId, digest: str, kind: str, body: dict[str, Any]) -> None:
    assert cache_key(tenant_id, digest, kind, body)[16:] != KEY[16:]

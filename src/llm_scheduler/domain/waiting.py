"""Why a task waits."""

from __future__ import annotations

from enum import StrEnum


class WaitReason(StrEnum):
    """One thing that keeps a task from its start; the dashboard has words for each in every language."""

    DEPENDENCY = "dependency"
    RUN_AT = "run_at"
    RETRY = "retry"
    BUDGET = "budget"
    PAUSED = "paused"
    NO_WORKER = "no_worker"
    CONCURRENCY = "concurrency"
    REQUESTS = "requests"
    TOKENS = "tokens"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    THROTTLED = "throttled"
    """The shared pause after a 429."""
    CIRCUIT = "circuit"
    """Too many failures."""
    DRAINED = "drained"
    TENANT_LIMIT = "tenant_limit"
    TENANT_SUSPENDED = "tenant_suspended"
    PRIORITY = "priority"
    ORDER = "order"
    TENANT_SHARE = "tenant_share"
    INDEX_AWAY = "index_away"

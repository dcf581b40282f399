"""For authors of plugins: one call in one test finds what the server would hold against theirs.

from llm_scheduler.testkit import check_strategy

def test_my_strategy_keeps_to_the_contract() -> None:
    check_strategy(MyStrategy())

Each check raises AssertionError with the first thing that is wrong. See docs/plugins.md.
"""

from llm_scheduler.testkit.provider_kinds import check_provider_kind
from llm_scheduler.testkit.strategies import check_strategy
from llm_scheduler.testkit.task_types import check_task_type

__all__ = ["check_provider_kind", "check_strategy", "check_task_type"]

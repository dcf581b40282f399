"""Talking to models: one module per kind, `KINDS` to choose by name."""

from __future__ import annotations

from llm_scheduler.providers.kinds import KINDS

__all__ = ["KINDS"]

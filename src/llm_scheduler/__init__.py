"""LLM Scheduler: a durable scheduler for LLM work."""

__version__ = "0.1.0"

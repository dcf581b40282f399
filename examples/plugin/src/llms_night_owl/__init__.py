"""A strategy and a task type for LLM Scheduler."""

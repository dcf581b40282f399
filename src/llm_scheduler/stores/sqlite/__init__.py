"""The record in one SQLite file: one writer thread with group commit, a few readers beside it."""

from llm_scheduler.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]

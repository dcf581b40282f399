"""The record in MySQL 8 or MariaDB 10.6 and later: group commit per process, a pool of readers."""

from llm_scheduler.stores.mysql.clock import DatabaseClock
from llm_scheduler.stores.mysql.store import MysqlStore

__all__ = ["DatabaseClock", "MysqlStore"]

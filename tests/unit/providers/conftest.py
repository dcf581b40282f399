"""The stub server for all tests of this folder."""

from __future__ import annotations

from tests.stubs.servers import stub, stub_process

__all__ = ["stub", "stub_process"]

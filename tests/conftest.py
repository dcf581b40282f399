"""What holds for every test."""

from __future__ import annotations

from tests.live import Server

# Benchmarks and tools, which use the same rig, measure real starts.
Server.is_forked = True

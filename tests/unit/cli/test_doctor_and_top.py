"""`llms doctor` and `llms top`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.unit.cli.fake_server import NOW, FakeServer, answer_json, failed, invoke, problem

from llm_scheduler import paths


def overview() -> dict[str, Any]:
    return {
        "at": "2026-01-31T09:01:00Z",
        "counts": {"queued": 12, "running": 3, "completed": 4000, "failed": 2},
        "queue_length": 12,
        "running": 3,
        "window_s": 300,
        "completed": 90,
        "failed": 10,
        "throughput_per_minute": 20.0,
        "latency_ms": {"p50": 840, "p95": 2100, "p99": 3000},
        "wait_ms": {"p50": 15, "p95": None, "p99": None},
        "usage": {"prompt_tokens": 0, "completion_tokens": 600, "total_tokens": 600},
        "cost_microusd": 4200,
        "queues": [{"model": "toy", "waiting": 12, "running": 3, "by_priority": {}, "oldest_queued_at": NOW}],
        "workers": [
            {"host": "box", "pid": 7, "role": "worker", "running": 3, "cpu_percent": 41.0, "rss_bytes": 2**27},
            {"host": "front", "pid": 8, "role": "api", "running": 0, "cpu_percent": 9.0, "rss_bytes": 2**26},
        ],
    }


def watched() -> FakeServer:
    server = FakeServer()
    invoke(server, "submit", "toy", "Hi")
    server.outcomes = lambda task: failed()
    server.work()
    server.planned = [lambda request: answer_json(overview())]
    return server


def test_top_once_shows_counts_rates_models_and_dead_letters() -> None:
    result = invoke(watched(), "top", "--once")

    assert result.exit_code == 0
    assert "queued 12" in result.stdout
    assert "20.0 tasks/min (10.0 % failed) · 2.0 tokens/s · run p50 840 ms p95 2.1 s" in result.stdout
    assert "processes: box:7 (worker) runs 3, 41 % CPU, 128 MiB; front:8 (api) 9 % CPU, 64 MiB" in result.stdout
    assert "1 m 00 s" in result.stdout
    assert "overloaded: Too much." in result.stdout


def test_top_gives_a_snapshot_to_programs() -> None:
    snapshot = json.loads(invoke(watched(), "top", "--json").stdout)

    assert snapshot["overview"]["queue_length"] == 12
    assert len(snapshot["models"]) == 2


def test_doctor_of_a_healthy_installation_is_content() -> None:
    result = invoke(FakeServer(), "doctor")

    assert result.exit_code == 0
    assert "✗" not in result.stdout
    assert "claim_loop" in result.stdout


def test_doctor_without_a_server_says_how_to_start_one() -> None:
    server = FakeServer()

    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused", request=request)

    server.planned = [refuse]
    result = invoke(server, "doctor")

    assert result.exit_code == 1
    assert "✗ server" in result.stdout
    assert "llms serve" in result.stdout


def test_doctor_names_the_broken_part_and_the_wrong_key() -> None:
    server = FakeServer()
    server.key = "other-key"
    parts = {"store": "ok", "claim_loop": "has not turned for 40 s"}
    server.planned = [lambda request: None, lambda request: problem(503, "not_ready", "Not ready.", parts=parts)]

    result = invoke(server, "doctor", "--json")

    checks = {check["name"].strip(): check for check in json.loads(result.stdout)["checks"]}
    assert result.exit_code == 1
    assert checks["store"]["is_ok"]
    assert checks["claim_loop"]["found"] == "has not turned for 40 s"
    assert not checks["key"]["is_ok"]


def test_doctor_reports_bad_settings() -> None:
    result = invoke(FakeServer(), "doctor", env={"LLMS_PROT": "1"})

    assert result.exit_code == 1
    assert "LLMS_PORT" in result.stdout


def test_the_data_folder_follows_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(paths.sys, "platform", "linux")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert paths.default_data_dir() == tmp_path / ".local" / "share" / "llm-scheduler"

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert paths.default_data_dir() == tmp_path / "xdg" / "llm-scheduler"

    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert paths.default_data_dir() == tmp_path / ".local" / "share" / "llm-scheduler"

    monkeypatch.setattr(paths.sys, "platform", "darwin")
    assert paths.default_data_dir() == tmp_path / "Library" / "Application Support" / "llm-scheduler"

    monkeypatch.setattr(paths.sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert paths.default_data_dir() == tmp_path / "local" / "llm-scheduler"

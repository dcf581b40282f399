"""Plugins are found by their entry points; what cannot be used is told and hurts nobody."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from tests.rig.package import write_package

from llm_scheduler.plugins import GROUPS, Kind, Plugin, load, names
from llm_scheduler.settings import SettingsError
from llm_scheduler.settings import load as load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GOOD = """
from llm_scheduler.domain.placement import Placement, ShareRule

class Mine:
    name = "mine"
    share_rule = ShareRule.HEAD_ORDER

    def place(self, task, context):
        return Placement(0, task.tenant_id, context.weight, 1, task.queued_at)

made = Mine()
"""
STRATEGIES = GROUPS[Kind.STRATEGY]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path, for packages; what is imported from it is forgotten."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    known = set(sys.modules)
    yield folder
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


def only(kind: Kind = Kind.STRATEGY, *built_in: str) -> Plugin:
    [plugin] = [plugin for plugin in load({kind: built_in}) if plugin.kind is kind]
    return plugin


@pytest.mark.parametrize("attribute", ["Mine", "made"])
def test_a_class_and_an_object_are_loaded_alike(site: Path, attribute: str) -> None:
    write_package(site, "good_one", GOOD, {STRATEGIES: {"mine": attribute}})

    plugin = only()

    assert (plugin.problem, plugin.package, plugin.version) == (None, "good_one", "1.0")
    assert plugin.value.name == "mine"
    assert plugin.label == "strategy:mine"


def test_names_are_told_without_importing_anything(site: Path) -> None:
    write_package(site, "never_imported", "raise AssertionError", {STRATEGIES: {"mine": "Mine"}})

    assert names(Kind.STRATEGY) == {"mine"}
    assert "never_imported" not in sys.modules


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import a_package_that_is_not_there", "ModuleNotFoundError: No module named 'a_package_that_is_not_there'"),
        ("raise SystemExit('no licence')", "SystemExit: no licence"),
        ("1 / 0", "ZeroDivisionError"),
        ("this is no Python", "SyntaxError"),
        ("", "AttributeError"),
        (GOOD.replace('"mine"', '"other"'), "'name' is 'other', its entry point 'mine'"),
        (GOOD.replace("def place", "def put"), "no method 'place'"),
        (GOOD.replace("def place", "async def place"), "'place' must not be async"),
        (GOOD.replace("ShareRule.HEAD_ORDER", "'head_order'"), "'share_rule' is not a ShareRule"),
        (GOOD.replace("ShareRule.HEAD_ORDER", "ShareRule.HEAD_ORDER\n    options = {'beta': 1}"), "'options' does not"),
        (GOOD.replace("    name =", "    def __init__(self, needed): pass\n    name ="), "TypeError"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_reason(site: Path, source: str, problem: str) -> None:
    write_package(site, "bad_one", source, {STRATEGIES: {"mine": "Mine"}})

    plugin = only()

    assert plugin.value is None
    assert not plugin.is_refused
    assert problem in (plugin.problem or "")


def test_the_name_of_something_built_in_is_refused_before_any_import(site: Path) -> None:
    write_package(site, "usurper", "raise AssertionError", {STRATEGIES: {"fair": "Fair"}})

    plugin = only(Kind.STRATEGY, "fair")

    assert plugin.is_refused
    assert plugin.problem == "The name is taken: 'fair' is built in."
    assert "usurper" not in sys.modules


def test_the_second_package_of_a_name_is_refused(site: Path) -> None:
    for package in ("second_one", "first_one"):
        write_package(site, package, GOOD, {STRATEGIES: {"mine": "Mine"}})

    first, second = load({})

    assert (first.package, first.problem) == ("first_one", None)
    assert (second.package, second.problem) == ("second_one", "The name is taken: 'mine' comes from first_one.")


def test_a_name_that_would_not_fit_into_a_metric_is_refused(site: Path) -> None:
    write_package(site, "odd_one", GOOD, {STRATEGIES: {"Mine!": "Mine"}})

    assert only().is_refused


@pytest.mark.parametrize(
    ("kind", "source", "problem"),
    [
        (Kind.TASK_TYPE, "class Mine:\n    name = 'mine'\n    def check(self, value): pass", "no method 'estimate'"),
        (Kind.PROVIDER, "class Mine:\n    name = 'mine'\n    check = open = print", "'task_types' is not a frozenset"),
    ],
)
def test_task_types_and_providers_are_looked_at_too(site: Path, kind: Kind, source: str, problem: str) -> None:
    write_package(site, "other_kind", source, {GROUPS[kind]: {"mine": "Mine"}})

    assert problem in (only(kind).problem or "")


def test_the_installations_strategy_may_be_a_plugins(site: Path, tmp_path: Path) -> None:
    write_package(site, "good_two", GOOD, {STRATEGIES: {"mine": "Mine"}})

    assert load_settings({"data_dir": tmp_path, "strategy": "mine"}, {})[0].strategy == "mine"
    with pytest.raises(SettingsError, match="There is no strategy 'yours'"):
        load_settings({"data_dir": tmp_path, "strategy": "yours"}, {})

"""What is loaded on first use is there, is what type checkers see, and is loaded before a task begins."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest

from featurebase_provider import late, operators, rotation
from featurebase_provider.operators import base
from tests.unit.test_imports import SOURCE, modules_below
from tests.world.one_task import OneTask

OPERATORS = [name for name in modules_below(SOURCE) if name.startswith("featurebase_provider.operators.")]
OUTCOME = """
import json, sys
from types import SimpleNamespace
from featurebase_provider.operators.outcome import RotationOutcomeOperator

ti = SimpleNamespace(xcom_pull=lambda task_ids, **_: {"outcome": "rotated"})
RotationOutcomeOperator(task_id="outcome", webhook_id="5" * 24, report_task_id="report").execute({"ti": ti})
print(json.dumps([name.split(".")[-1] for name in sys.modules if name.startswith("featurebase_provider.rotation.")]))
"""
PACKAGES = ["audit", "operators", "rotation"]
MODULES = ["config", "dag_factory", "stores.base"]


def for_type_checkers(module: Any) -> set[str]:
    """The names that a module imports for type checkers only."""
    blocks = [node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.If)]
    checking = next(block for block in blocks if ast.unparse(block.test) == "TYPE_CHECKING")
    return {alias.name for node in checking.body if isinstance(node, ast.ImportFrom) for alias in node.names}


@pytest.mark.parametrize("name", PACKAGES)
def test_a_packages_modules_are_its_attributes(name: str) -> None:
    package = import_module(f"featurebase_provider.{name}")
    assert for_type_checkers(package) == set(package.__all__)
    for module in package.__all__:
        assert getattr(package, module) is sys.modules[f"{package.__name__}.{module}"]


@pytest.mark.parametrize("name", MODULES)
def test_a_modules_names_are_those_of_where_they_are_defined(name: str) -> None:
    module = import_module(f"featurebase_provider.{name}")
    for public in module.__all__:
        assert getattr(module, public) is not None
    assert for_type_checkers(module) & set(module.__all__)


@pytest.mark.parametrize("name", [*PACKAGES, *MODULES])
def test_other_names_are_missing_as_in_any_module(name: str) -> None:
    module = import_module(f"featurebase_provider.{name}")
    assert not hasattr(module, "nothing_of_this_name")
    with pytest.raises(AttributeError, match=rf"module '{module.__name__}' has no attribute 'nothing_of_this_name'"):
        _ = module.nothing_of_this_name


@pytest.mark.parametrize("loads_first", [True, False])
def test_everything_is_loaded_before_a_task_that_changes_a_webhook(
    monkeypatch: pytest.MonkeyPatch, loads_first: bool
) -> None:
    """Between the refresh and the writes there is no time for it. Other tasks load what they use."""
    steps: list[Any] = []

    class Working(base.FeaturebaseOperator):
        def run(self, context: Any) -> None:
            steps.append("run")

    Working.loads_first = loads_first
    monkeypatch.setattr(base, "load_all", lambda *packages: steps.append(packages))
    Working(task_id="work", webhook_id="5" * 24).execute(OneTask({}).context)
    assert steps == [*([(operators, rotation)] if loads_first else []), "run"]


def test_which_tasks_change_a_webhook() -> None:
    """Of all that call ``update_webhook`` or the refresh; the others only read."""
    found = {
        name
        for public in OPERATORS
        for name, kind in vars(import_module(public)).items()
        if isinstance(kind, type) and issubclass(kind, base.FeaturebaseOperator) and kind.loads_first
    }
    assert found == {
        "RotateWebhookSecretOperator",
        "RotatePairOperator",
        "EmergencyRotateOperator",
        "ActivateStandbyOperator",
        "CutOverOperator",
        "SettleWebhookOperator",
    }


def test_a_small_task_loads_little() -> None:
    """Each task is a process of its own, so each run pays for what each of its tasks loads."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", OUTCOME], check=True, capture_output=True, text=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "advice" in loaded, "the task has not done its work"
    assert not loaded & {"probe", "history", "report", "rotate", "check", "pair", "cut_over", "activate"}


def test_what_stands_for_a_module_loads_it_when_it_is_used() -> None:
    name = "featurebase_provider.sandbox.config_cache"
    sys.modules.pop(name, None)
    stands = late.LateModule(name)
    assert name not in sys.modules
    assert stands.ConfigCache is sys.modules[name].ConfigCache


def test_to_load_all_is_to_ask_for_each_module() -> None:
    asked: list[str] = []

    class Package:
        __all__ = ("one", "two")

        def __getattr__(self, name: str) -> None:
            asked.append(name)

    late.load_all(Package())  # type: ignore[arg-type]
    assert asked == ["one", "two"]

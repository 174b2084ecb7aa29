"""No method that Airflow calls lets an error of ours out with our frames: each operator and sensor is tried."""

from __future__ import annotations

import importlib
import logging
import pkgutil
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import BaseOperator

import featurebase_provider
from featurebase_provider.airflow_compat import AirflowFailException
from featurebase_provider.featurebase.errors import FeaturebaseError
from featurebase_provider.rotation.errors import PlanRefused, StoreUnreachable

log = logging.getLogger(__name__)
OURS = Path(featurebase_provider.__file__).parent
FOLDERS = ("operators", "sensors")
RESUMED_BY = re.compile(r'method_name="(\w+)"')


def modules() -> Iterator[str]:
    for folder in FOLDERS:
        for module in pkgutil.iter_modules([str(OURS / folder)], f"{OURS.name}.{folder}."):
            yield module.name


def entries() -> list[tuple[type[BaseOperator], str]]:
    """Each of our tasks' classes with each method that Airflow calls: the first one, and those after a deferral."""
    sources = "".join(path.read_text() for folder in FOLDERS for path in (OURS / folder).glob("*.py"))
    methods = ["execute", *sorted(set(RESUMED_BY.findall(sources)) | {"execute_complete"})]
    found = {
        thing
        for module in modules()
        for thing in vars(importlib.import_module(module)).values()
        if isinstance(thing, type) and issubclass(thing, BaseOperator) and thing.__module__.startswith(OURS.name)
    }
    return [
        (task, method)
        for task in sorted(found, key=lambda one: one.__name__)
        for method in methods
        if callable(getattr(task, method, None))
    ]


def failing_at_once(task: type[BaseOperator], error: Exception) -> Any:
    """A task that meets the error at the first thing that it looks at."""

    def look(self: Any, name: str) -> Any:
        if name in ("allow_nested_operators", "log") or name.startswith("__"):  # Airflow's own questions
            return object.__getattribute__(self, name)
        raise error

    return object.__new__(type(f"Failing{task.__name__}", (task,), {"__getattribute__": look, "log": log}))


class Nothing(dict[str, Any]):
    """A context in which every look meets the error."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def __getitem__(self, key: str) -> Any:
        raise self.error


def test_all_tasks_are_tried() -> None:
    tried = {(task.__name__, method) for task, method in entries()}
    assert {
        ("PreflightRotationOperator", "execute"),
        ("AuditFindingsOperator", "execute"),
        ("ApproveRotationOperator", "execute_complete"),
        ("CutOverOperator", "execute_complete"),
        ("PairDeliveryHealthSensor", "execute_complete"),
    } <= tried
    assert len(tried) > 30


@pytest.mark.parametrize(
    "error", [PlanRefused("5", "no"), StoreUnreachable("file", "no answer"), AirflowFailException("no")], ids=repr
)
@pytest.mark.parametrize(("task", "method"), entries(), ids=lambda one: getattr(one, "__name__", one))
def test_an_error_whose_message_says_it_all_has_no_frames_of_ours(
    task: type[BaseOperator], method: str, error: Exception
) -> None:
    """Airflow logs an exception with its frames and its causes. One frame is that which took the others away."""
    call = getattr(task, method)
    with pytest.raises((AirflowFailException, FeaturebaseError)) as caught:
        call(failing_at_once(task, error), Nothing(error))
    assert str(caught.value) == str(error)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    ours = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__) if str(OURS) in frame.filename]
    assert ours == ["call"]

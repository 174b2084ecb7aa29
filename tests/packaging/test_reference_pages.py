"""The pages name every argument and extra that the code has, and no other."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import BaseOperator

from dev.docs import configuration
from featurebase_provider.featurebase import settings
from featurebase_provider.get_provider_info import get_provider_info
from featurebase_provider.operators.base import FeaturebaseOperator
from featurebase_provider.operators.pair_task import PairTask

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "provider" / "featurebase_provider"
INFO = get_provider_info()


def page(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text()


def chapter(text: str, heading: str) -> str:
    """What stands under a heading, up to the next of any level."""
    (found,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, flags=re.MULTILINE | re.DOTALL)
    return str(found)


def rows(text: str) -> dict[str, str]:
    """The rows of tables: what is in code in the first cell, and the rest."""
    return dict(re.findall(r"^\| `([^`]+)` \|(.+)\|$", text, flags=re.MULTILINE))


def operators() -> Iterator[type[BaseOperator]]:
    """Every operator and sensor that Airflow is told of."""
    for kind in ("operators", "sensors"):
        for module in INFO[kind][0]["python-modules"]:
            for found in vars(importlib.import_module(module)).values():
                if inspect.isclass(found) and issubclass(found, BaseOperator) and found.__module__ == module:
                    yield found


OPERATORS = sorted(operators(), key=lambda one: one.__name__)


def own_arguments(operator: type[BaseOperator]) -> set[str]:
    """What an operator takes beside what its base takes; those of a pair have what they share from a class between."""
    made: Any = vars(operator).get("__init__")
    if made is None:
        return set()
    if operator.__bases__ == (PairTask,):
        return own_arguments(PairTask) | _keywords(made)
    return _keywords(made)


def _keywords(made: Any) -> set[str]:
    taken = inspect.signature(inspect.unwrap(made)).parameters.values()
    return {one.name for one in taken if one.kind is one.KEYWORD_ONLY}


def named(operator: type[BaseOperator]) -> dict[str, str]:
    """The arguments that the operator's chapter names, each with what is said of it."""
    text = chapter(page("operators"), f"`{operator.__name__}`")
    return rows(text) or {name: rest for name, rest in re.findall(r"`(\w+)`([^`]*)", text) if name.islower()}


def test_the_api_reference_has_every_operator_and_sensor() -> None:
    shown = "".join(path.read_text() for path in (ROOT / "docs" / "api").glob("*.md"))
    named = set(re.findall(r"autoclass:: ([\w.]+)", shown))
    assert {f"{one.__module__}.{one.__name__}" for one in OPERATORS} <= named


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda one: one.__name__)
def test_page_has_every_argument_of_an_operator(operator: type[BaseOperator]) -> None:
    assert own_arguments(operator) <= named(operator).keys()
    if rows(chapter(page("operators"), f"`{operator.__name__}`")):
        assert named(operator).keys() == own_arguments(operator)


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda one: one.__name__)
def test_page_tells_which_arguments_are_templated(operator: type[BaseOperator]) -> None:
    said = {name for name, rest in named(operator).items() if "(templated)" in rest}
    assert said == named(operator).keys() & set(operator.template_fields)


def test_page_has_what_all_operators_take() -> None:
    taken = rows(chapter(page("operators"), "What all operators take"))
    assert taken.keys() == own_arguments(FeaturebaseOperator)
    assert {name for name, rest in taken.items() if "(templated)" in rest} == set(FeaturebaseOperator.template_fields)


def test_page_has_every_call_of_the_client() -> None:
    from featurebase_provider.featurebase.client import Client

    calls = {name for name, _ in inspect.getmembers(Client, inspect.isfunction) if name.endswith(("webhook", "secret"))}
    calls |= {"list_webhooks"}
    assert {re.sub(r"client\.(\w+).*", r"\1", call) for call in rows(chapter(page("operators"), "The hook"))} == calls


def test_page_has_every_extra_of_the_connection_with_its_default() -> None:
    shown = rows(chapter(page("connection"), "Extras"))
    defaults = {
        "api_version": settings.DEFAULT_API_VERSION,
        "timeout": f"{settings.DEFAULT_TIMEOUT:g}",
        "max_retries": str(settings.DEFAULT_MAX_RETRIES),
    }
    assert {name: rest.split("`")[1] for name, rest in shown.items()} == defaults
    assert shown.keys() == INFO["connection-types"][0]["conn-fields"].keys()
    read = re.findall(r'extra\.get\("(\w+)"', (PACKAGE / "hooks" / "featurebase.py").read_text())
    assert shown.keys() == set(read)


def test_page_of_all_fields_is_what_the_models_say() -> None:
    """`make schema` writes it."""
    assert configuration.PAGE.read_text() == configuration.page()


def test_every_page_can_be_reached_from_the_readme() -> None:
    """By links, and by the site's lists of pages."""
    seen: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        here = ahead.pop()
        seen.add(here)
        links = re.findall(r"\]\(([^)#]+\.md)", here.read_text())
        for listed in re.findall(r"```\{toctree\}\n(.*?)```", here.read_text(), flags=re.DOTALL):
            links += [f"{name}.md" for name in listed.split() if not name.startswith(":")]
        ahead += [path for link in links if (path := (here.parent / link).resolve()) not in seen and path.exists()]
    assert set((ROOT / "docs").rglob("*.md")) <= seen

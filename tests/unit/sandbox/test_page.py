"""docs/sandbox.md names what there is, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from fastapi.routing import APIRoute

from featurebase_provider.sandbox.behaviour import Behaviour
from featurebase_provider.sandbox.cli import main
from featurebase_provider.sandbox.control_routes import CONTROL_PREFIX, ForceInput
from featurebase_provider.sandbox.faults import FaultInput, FaultKind

PAGE = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text(encoding="utf-8")


def rows_of(chapter: str) -> dict[str, str]:
    """The first table of a chapter: what is in code in each row's first cell, and the rest of the row."""
    text = PAGE.split(f"\n## {chapter}\n")[1].split("\n## ")[0]
    return {name: rest for name, rest in re.findall(r"^\| `([^`]+)` \|(.+)\|$", text, re.MULTILINE)}


def test_page_has_every_control_call(app):
    there_are = {
        f"{method} {route.path}"
        for route in app.routes
        if isinstance(route, APIRoute) and route.path.startswith(CONTROL_PREFIX)
        for method in route.methods
    }
    assert set(rows_of("Control")) == there_are


def test_page_has_what_can_be_forced():
    row = rows_of("Control")["POST /_sandbox/webhooks/{webhook_id}"]
    assert {name for name in re.findall(r"`(\w+)`", row) if name != "suspended"} == set(ForceInput.model_fields)


def test_page_has_every_switch_with_its_values():
    rows = rows_of("Switches")
    assert set(rows) == set(Behaviour.model_fields)
    for name, field in Behaviour.model_fields.items():
        choices = [one for one in get_args(field.annotation) if isinstance(one, str)]
        values = rows[name].split(" | ")[0]
        assert re.findall(r"`(\w+)`", values) == (choices if name != "retry_signing" else ["current", "first"])


def test_page_has_every_kind_of_fault_with_its_fields():
    assert set(rows_of("Faults")) == set(get_args(FaultKind))
    chapter = PAGE.split("\n## Faults\n")[1].split("\n## ")[0]
    for name in FaultInput.model_fields:
        assert re.search(rf'[`"]{name}[`":]', chapter), name


@pytest.mark.parametrize("command", ["serve", "receiver"])
def test_page_has_every_option(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help", "--host"}
    switches = {f"--{name.replace('_', '-')}" for name in Behaviour.model_fields}
    assert options - (switches if command == "serve" else set()) <= set(re.findall(r"--[a-z-]+", PAGE))

"""The figures that docs/metrics.md lists, and what Prometheus and Grafana make of them."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers.local_server import program

ROOT = Path(__file__).parents[2]
PROVIDER = ROOT / "provider" / "featurebase_provider"
PAGE = ROOT / "docs" / "metrics.md"
FOLDER = ROOT / "docs" / "monitoring"
MAPPINGS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "statsd_exporter.yaml").read_text())["mappings"]
DASHBOARD = json.loads((FOLDER / "grafana.json").read_text())
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
UNITS = dict(re.findall(r"^\| `(featurebase\.[^`]+)` \|([^|]+\|[^|]+)\|", PAGE.read_text(), flags=re.MULTILINE))
ROWS = re.findall(r"^\| `(featurebase\.[^`]+)` \|[^|]+\|[^|]+\| `(\w+)` \|", PAGE.read_text(), flags=re.MULTILINE)


@pytest.fixture(scope="session")
def promtool() -> str:
    """Prometheus's own checker."""
    return program("promtool", "Debian's package prometheus brings it")


def check(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def rule_for(name: str) -> dict[str, Any]:
    """The mapping's rule for a figure: each ``*`` stands for one part of the name, and the first match counts."""
    parts = name.split(".")
    return next(
        rule
        for rule in MAPPINGS
        if len(wanted := rule["match"].split(".")) == len(parts)
        and all(fnmatchcase(part, one) for part, one in zip(parts, wanted, strict=True))
    )


def names_in_code() -> set[str]:
    """Every figure that the provider's code names; ``<>`` stands for what a name says at run time."""
    found = set()
    for path in PROVIDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.AnnAssign | ast.Assign) and isinstance(node.value, ast.Constant):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                if isinstance(target, ast.Name) and target.id == "stat" and node.value.value != "task":
                    found.add(f"featurebase.{node.value.value}")
            if isinstance(node, ast.Call) and node.args:
                called = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if called in ("count", "gauge", "time_milliseconds", "time"):
                    found.add(("featurebase." if called == "time" else "") + shown(node.args[0]))
    return {name for name in found if name.startswith("featurebase.") and name != "featurebase.<>"}


def shown(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "<>" for part in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else ""


def test_the_page_lists_every_figure_of_the_code() -> None:
    assert {re.sub(r"<\w+>", "<>", name) for name, _ in ROWS} == names_in_code()


@pytest.mark.parametrize("name", [name for name, made in ROWS if made.endswith(("_tries_total", "_seconds"))])
def test_each_figure_has_its_unit_and_tags(name: str) -> None:
    unit, tags = (part.strip() for part in UNITS[name].split("|"))
    if "exposure" in name or "write" in name:
        assert (unit, tags[:9]) == ("milliseconds", "`webhook`")
    else:
        assert (unit, tags) == ("tries", "`webhook`, `result`")


@pytest.mark.parametrize(("name", "prometheus"), ROWS)
def test_each_figure_becomes_what_the_page_says(name: str, prometheus: str) -> None:
    """What the name says of the figure becomes a label."""
    said = re.search(r"<(\w+)>", name)
    rule = rule_for(f"airflow.{name}")
    assert rule["name"] == prometheus
    labels = rule.get("labels", {})
    if said:
        assert labels == {said[1]: "$1"}
    else:
        assert labels in ({}, {"task": "$1"})


def test_expressions_use_only_what_the_mapping_makes() -> None:
    made = {rule["name"] for rule in MAPPINGS}
    rules = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"][0]["rules"]
    for expression in (*EXPRESSIONS, *(rule["expr"] for rule in rules)):
        used = {name.removesuffix("_bucket") for name in re.findall(r"featurebase_\w+", expression)}
        assert used
        assert used <= made, expression


def test_the_dashboard_asks_the_source_that_its_reader_chooses() -> None:
    (variable,) = DASHBOARD["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    for panel in DASHBOARD["panels"]:
        for part in (panel, *panel["targets"]):
            assert part["datasource"]["uid"] == f"${{{variable['name']}}}"
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_prometheus_takes_the_alert_rules(promtool: str) -> None:
    check(promtool, "check", "rules", FOLDER / "alerts.yaml")


def test_each_alert_fires_when_it_should_and_not_before(promtool: str, tmp_path: Path) -> None:
    text = Path(__file__).with_name("monitoring_test.yaml").read_text()
    path = tmp_path / "test.yaml"
    path.write_text(text.replace("RULES", str(FOLDER / "alerts.yaml")))
    check(promtool, "test", "rules", path)


def test_prometheus_takes_the_dashboards_expressions(promtool: str, tmp_path: Path) -> None:
    """With the intervals that Grafana fills in."""
    filled = [re.sub(r"\$__\w*interval", "5m", expression) for expression in EXPRESSIONS]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(filled)]
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    check(promtool, "check", "rules", path)

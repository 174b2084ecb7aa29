from __future__ import annotations

import subprocess
import sys
import warnings

import pytest

from featurebase_provider.cli import console, definition
from featurebase_provider.rotation.pairing import FIRST_TOPIC


def test_every_airflow_command_imports_the_definition_alone() -> None:
    """Airflow imports it to build its parser: no pydantic, no httpx, nothing else of ours."""
    probe = (
        "import sys\n"
        "import featurebase_provider.cli.definition\n"
        "print(*(name for name in sys.modules if name.startswith(('featurebase_provider', 'pydantic', 'httpx', 'rich',"
        " 'airflow'))))"
    )
    done = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) == {
        "featurebase_provider",
        "featurebase_provider.cli",
        "featurebase_provider.cli.definition",
    }


def test_airflow_offers_the_command() -> None:
    """Airflow's own parser, with our group added, understands the command and finds its function."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from airflow.cli.cli_parser import get_parser

    arguments = get_parser().parse_args(["featurebase", "check-stores", "-w", "a", "--webhook", "b", "-o", "json"])
    assert (arguments.webhook, arguments.output) == (["a", "b"], "json")
    assert arguments.func.__name__ == "run"
    assert get_parser().parse_args(["featurebase", "validate", "a.yaml", "b.yaml"]).files == ["a.yaml", "b.yaml"]
    copying = get_parser().parse_args(["featurebase", "example-dags", "dags", "--force"])
    assert (copying.path, copying.force) == ("dags", True)
    pairing = get_parser().parse_args(["featurebase", "pair-webhook", "production"])
    assert (pairing.name, pairing.apply, pairing.topic) == ("production", False, None)
    telling = get_parser().parse_args(["featurebase", "history", "-w", "production"])
    assert (telling.webhook, telling.output) == (["production"], "csv")


def test_both_ways_to_call_it_take_the_same_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """The console script reads the same definition and calls the same function."""
    called = []
    monkeypatch.setattr("featurebase_provider.cli.check_stores.run", called.append)
    console.main(["check-stores", "--webhook", "a"])
    console.main(["check-stores"])
    assert [(one.webhook, one.output) for one in called] == [(["a"], "table"), (None, "table")]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["check"],
        ["check-stores", "-o", "xml"],
        ["check-stores", "production"],
        ["validate", "-o", "table"],
        ["example-dags"],
        ["pair-webhook"],
        ["pair-webhook", "a", "--topic"],
    ],
)
def test_wrong_use_ends_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        console.main(words)
    assert ended.value.code == 2
    assert "usage: featurebase" in capsys.readouterr().err


def test_help_tells_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        console.main(["check-stores", "--help"])
    shown = capsys.readouterr().out
    assert "1 if there are findings" in shown
    assert definition.CHECK_STORES.description in shown


def test_help_tells_the_topic_that_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    """The definition imports nothing, so it repeats it."""
    with pytest.raises(SystemExit):
        console.main(["pair-webhook", "--help"])
    assert FIRST_TOPIC in capsys.readouterr().out

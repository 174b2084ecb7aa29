"""The whole command against the sandbox: what it says, its exit status, and that it can be killed."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from featurebase_provider.cli import console
from featurebase_provider.config import load_rotation_config
from tests.world.featurebase import HEADER_VALUE, KEY, FeaturebaseWorld

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Configure = Any
Output = pytest.CaptureFixture[str]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FeaturebaseWorld]:
    with FeaturebaseWorld(tmp_path / "world") as world:
        connection = {"conn_type": "featurebase", "host": world.url, "password": world.api_key}
        monkeypatch.setenv(f"AIRFLOW_CONN_{world.conn_id.upper()}", json.dumps(connection))
        yield world


@pytest.fixture
def configure(world: FeaturebaseWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write the rotation file with the webhook's entry, and name it in Airflow's configuration."""

    def write(**changes: Any) -> Path:
        path = tmp_path / "rotation.yaml"
        fields = {"stores": [world.file_store(previous_key=f"{KEY}_PREVIOUS")], "probe": True, **changes}
        entry = {name: value for name, value in world.entry(**fields).items() if value is not None}
        path.write_text(yaml.safe_dump({"webhooks": [entry]}, sort_keys=False))
        monkeypatch.setenv("AIRFLOW__FEATUREBASE__ROTATION_CONFIG", str(path))
        return path

    return write


def ended(*words: str) -> int:
    """The command's exit status."""
    status: Any = 0
    try:
        console.main(["pair-webhook", *words])
    except SystemExit as exc:
        status = exc.code
    return int(status)


def others(world: FeaturebaseWorld) -> list[dict[str, Any]]:
    return [webhook for webhook in world.api("GET", "/v2/webhooks")["data"] if webhook["id"] != world.webhook_id]


def writes(world: FeaturebaseWorld) -> int:
    return world.calls() - world.calls("GET")


def assert_tells_no_secret(world: FeaturebaseWorld, output: str) -> None:
    assert not [name for name, value in world.secrets.items() if value in output]
    assert "whsec_" not in output


def test_without_apply_it_only_tells(world: FeaturebaseWorld, configure: Configure, capsys: Output) -> None:
    configure()
    before = writes(world)
    assert ended(world.name) == 0
    shown = capsys.readouterr().out
    assert writes(world) == before
    for words in ("nothing was changed now", "conversation_part.redacted", "accepts two secrets", "X-Receiver-Key"):
        assert words in shown
    assert "can still be made: 9 of the 10" in shown
    assert "does not subscribe to that topic" in shown
    assert_tells_no_secret(world, shown)


def test_with_apply_the_lines_for_the_rotation_file_are_right(
    world: FeaturebaseWorld, configure: Configure, capsys: Output
) -> None:
    """What is printed makes the entry a pair, as the message says it: in place of the fields that it names."""
    path = configure(probe=None, allow_inactive=True)
    assert ended(world.name, "--apply") == 0
    shown = capsys.readouterr().out
    (second,) = others(world)
    assert (second["status"], second["topics"]) == ("paused", ["post.created"])
    assert "in place of webhook_id, allow_inactive:" in shown
    lines = "\n".join(line.strip() for line in shown.splitlines() if line.startswith("    ") and ":" in line)
    (entry,) = yaml.safe_load(path.read_text())["webhooks"]
    del entry["webhook_id"]
    path.write_text(yaml.safe_dump({"webhooks": [{**entry, **yaml.safe_load(lines)}]}))
    (config,) = load_rotation_config(path).webhooks
    assert (config.strategy, config.webhook_ids) == ("overlap", (world.webhook_id, second["id"]))
    assert re.search("mode=dry_run.*To go back", shown, re.DOTALL)
    assert_tells_no_secret(world, shown)
    assert ended(world.name) == 1
    assert "names a pair already" in capsys.readouterr().err


def test_a_second_call_makes_nothing(world: FeaturebaseWorld, configure: Configure, capsys: Output) -> None:
    """It prints the lines again, with --apply and without."""
    configure()
    assert ended(world.name, "--apply") == 0
    before, first = writes(world), capsys.readouterr().out
    assert ended(world.name, "--apply") == 0
    again = capsys.readouterr().out
    assert ended(world.name) == 0
    assert again == capsys.readouterr().out
    assert again in first
    assert writes(world) == before


def test_it_is_found_by_name_too(world: FeaturebaseWorld, configure: Configure, capsys: Output) -> None:
    configure(webhook_id=None, webhook_name="Production")
    assert ended(world.name, "--apply") == 0
    assert "in place of webhook_name:" in capsys.readouterr().out
    assert ended(world.name) == 0


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_call_that_was_killed_is_finished_by_the_next_one(
    world: FeaturebaseWorld, configure: Configure, capsys: Output, method: str
) -> None:
    """SIGKILL while it waits for the answer to its POST, which took effect, or to its PATCH, which did not."""
    configure()
    how = {"method": method, "path": "/v2/webhooks*", "commit": method == "POST"}
    world.control("POST", "/faults", kind="hang", seconds=60, **how)
    code = f"from featurebase_provider.cli.console import main; main(['pair-webhook', '{world.name}', '--apply'])"
    killed = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    ends = time.monotonic() + 60
    while not others(world) or world.sandbox.state.faults.waiting():
        assert time.monotonic() < ends
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait(30) == -signal.SIGKILL
    world.control("DELETE", "/faults")
    assert [webhook["topics"] for webhook in others(world)] == [["conversation_part.redacted"]]
    assert ended(world.name) == 0
    assert "left unfinished" in capsys.readouterr().out
    world.control("POST", "/faults", kind="drop_response", method="PATCH", path="/v2/webhooks/*")
    assert ended(world.name, "--apply") == 0
    (second,) = others(world)
    assert (second["status"], second["topics"]) == ("paused", ["post.created"])


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"stores": [{"type": "airflow_variable", "name": "a_secret"}]}, "stores[0]: keeps one secret"),
    (
        {"stores": [{"type": "github_actions", "repository": "acme/feedback", "adopt": True}]},
        "stores[0]: can't be read back",
    ),
    ({"probe": {"successes": 4}}, "probe.successes: must be at least 30"),
    ({"webhook_id": "f" * 24}, "404"),
    ({"webhook_id": None, "webhook_name": "Nobody"}, "no webhook has the name 'Nobody'"),
    ({"featurebase_conn_id": "missing"}, "missing"),
]


@pytest.mark.parametrize(("changes", "words"), REFUSED)
def test_what_can_t_be_paired_ends_with_1(
    world: FeaturebaseWorld, configure: Configure, capsys: Output, changes: dict[str, Any], words: str
) -> None:
    configure(**changes)
    before = writes(world)
    for apply in ([], ["--apply"]):
        assert ended(world.name, *apply) == 1
        said = capsys.readouterr()
        assert words in said.err
        assert_tells_no_secret(world, said.out + said.err)
    assert writes(world) == before


def test_a_full_workspace_ends_with_1(world: FeaturebaseWorld, configure: Configure, capsys: Output) -> None:
    """Featurebase is asked with --apply: its limit may have been raised."""
    configure()
    for number in range(9):
        world.create_webhook(f"Filler {number}", f"{world.receiver.url}/{number}")
    assert ended(world.name) == 1
    assert "can still be made: 0 of the 10" in capsys.readouterr().err
    assert ended(world.name, "--apply") == 1
    said = capsys.readouterr().err
    assert "The workspace already has 10 webhooks, its limit" in said
    assert HEADER_VALUE not in said
    assert len(others(world)) == 9


def test_wrong_use_ends_with_2(world: FeaturebaseWorld, configure: Configure, capsys: Output) -> None:
    path = configure()
    assert ended() == 2
    assert ended("nobody") == 2
    assert "has no webhook 'nobody'" in capsys.readouterr().err
    path.write_text("webhooks: []")
    assert ended(world.name) == 2
    assert "webhooks: must be a list" in capsys.readouterr().err


def test_another_topic(world: FeaturebaseWorld, configure: Configure, capsys: Output) -> None:
    """One that Featurebase does not know is refused by Featurebase, in its words."""
    configure()
    assert ended(world.name, "--topic", "post.created") == 0
    assert "sends it as well" in capsys.readouterr().out
    assert ended(world.name, "--topic", "no.topic", "--apply") == 1
    assert "topic" in capsys.readouterr().err
    assert others(world) == []

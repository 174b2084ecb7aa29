"""The recipes of docs/notify.md in whole runs, with the real notifiers, against stand-ins of the services."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.airflow.test_audit import AUDIT, load
from tests.servers.team import ChatService, MailServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow

PAGE = Path(__file__).parents[2] / "docs" / "notify.md"
EVENTS = ["failure", "success", "finding", "due"]


def recipes() -> list[dict[str, Any]]:
    """Every entry that the page shows, told of all events."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    entries = [entry for block in blocks for entry in yaml.safe_load(block)["defaults"].get("notify", [])]
    return [{**entry, "events": EVENTS} for entry in entries]


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture
def chat() -> Iterator[ChatService]:
    with ChatService() as server:
        yield server


@pytest.fixture(autouse=True)
def _connections(monkeypatch: pytest.MonkeyPatch, mail: MailServer, chat: ChatService) -> None:
    """As the page says to make them, to the stand-ins."""
    connections = {
        "smtp_default": {
            "conn_type": "smtp",
            "host": "127.0.0.1",
            "port": mail.port,
            "extra": {"disable_ssl": True, "disable_tls": True},
        },
        "slack_on_call": {"conn_type": "slackwebhook", "host": f"http://127.0.0.1:{chat.port}", "password": "T0/B0/x"},
        "apprise_on_call": {
            "conn_type": "apprise",
            "extra": {"config": {"path": f"json://127.0.0.1:{chat.port}/apprise", "tag": "on-call"}},
        },
    }
    for conn_id, connection in connections.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what Apprise imports
def test_every_recipe_tells_of_a_success_a_failure_and_an_audit(
    airflow: InProcessAirflow, world: FeaturebaseWorld, mail: MailServer, chat: ChatService, tmp_path: Path
) -> None:
    entry = world.entry(probe=None, notify=recipes(), max_age="P2D")
    dags = load(airflow, tmp_path, [entry])
    rotation = dags[f"featurebase_rotate__{world.name}"]

    def heard() -> list[tuple[str, str]]:
        """Headline and text as each service got them, in the order of the recipes; then they are forgotten."""
        mails = [(str(one["Subject"]), text) for one, text in zip(mail.mails, mail.texts, strict=True)]
        slack = [one["text"].split("\n", 1) for path, one in chat.posts if path == "/T0/B0/x"]
        apprise = [(one["title"], one["message"]) for path, one in chat.posts if path == "/apprise"]
        mail.mails.clear()
        chat.posts.clear()
        return [*mails, *((headline.strip("*"), text) for headline, text in slack), *apprise]

    run = airflow.start(rotation, {"mode": "rotate", "reason": "a test"})
    assert run.state == "success", run.errors
    told = heard()
    assert [headline for headline, _ in told] == [f"Webhook {world.name}: rotated"] * 3
    for _, text in told:
        assert run.report["after"] in text
        assert "Reason of the run: a test" in text

    due = airflow.start(dags[AUDIT])
    assert due.state == "success", due.errors
    told = heard()
    assert [headline for headline, _ in told] == ["1 secret reaches max_age soon"] * 3
    assert all("in 2.0 days" in text for _, text in told)

    world.secret_file.unlink()
    failed = airflow.start(rotation, {"mode": "rotate"})
    assert failed.state == "failed"
    told = heard()
    assert [headline for headline, _ in told] == [f"Webhook {world.name}: nothing changed"] * 3, "once each, not twice"
    assert all("Cause: preflight: " in text for _, text in told)

    airflow.start(dags[AUDIT])
    findings = [text for headline, text in heard() if headline.startswith("Audit of webhook signing secrets: ")]
    assert len(findings) == 3
    assert all("store_missing" in text for text in findings)

    airflow.start(rotation, {"mode": "dry_run"})
    heard()


def test_a_report_that_fails_is_told_of_once(
    airflow: InProcessAirflow,
    world: FeaturebaseWorld,
    mail: MailServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """By the callback of its task: nobody else knows how the run ended."""
    from featurebase_provider.rotation import report

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(report, "make_report", broken)
    entry = world.entry(probe=None, notify=recipes()[:1], retries=0)
    airflow.start(load(airflow, tmp_path, [entry])[f"featurebase_rotate__{world.name}"], {"mode": "rotate"})
    assert [str(one["Subject"]) for one in mail.mails] == [f"Webhook {world.name}: unknown"]
    assert "could not be written" in mail.texts[0]

"""Texts of other people's, from Featurebase and the trigger form, as whole Dag runs meet them: texts, nothing more."""

from __future__ import annotations

import json
import logging
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import ParamValidationError

from featurebase_provider.featurebase.text import one_line
from tests.servers.scripted_server import answer, scripted_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow.sdk import DAG

    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow, Run

JINJA = "{{ 7 * 191919191917 }}{% set x = 1 %}{{ conn.featurebase_default.password }}{{ var.value.x }}"
RENDERED = str(7 * 191919191917)
FORGED = (
    "\r\n\x1b[2K[2026-01-01T00:00:00+00:00] INFO - forged\x85\u2028\u202e\x9b31m\x00 "
    "[bold red]markup[/] <script>x</script>"
)
HOSTILE = JINJA + FORGED
LARGEST_XCOM = 64 * 1024
GROUP_FILE = """\
# An Airflow Dag
import json
from airflow.sdk import DAG
from featurebase_provider.dag_factory import rotation_task_group

with DAG("own", schedule=None, params={{"mode": "rotate", "reason": ""}}) as dag:
    rotation_task_group(json.loads({entry!r}), mode="{{{{ params.mode }}}}", reason="{{{{ params.reason }}}}")
"""
EMERGENCY_FILE = """\
# An Airflow Dag
import json
from featurebase_provider.dag_factory import emergency_rotation_dag

dag = emergency_rotation_dag(webhooks=json.loads({entries!r}), retries=0, push_retries=0)
"""


def texts_in(value: Any) -> Iterator[str]:
    """Every text within a JSON value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from texts_in(key)
            yield from texts_in(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from texts_in(one)


def is_clean(text: str, *, lines: bool = False) -> bool:
    """Whether nothing in a text moves a cursor, ends a line or turns its direction."""
    return all(
        (lines and char == "\n") or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in text
    )


def recorded(airflow: InProcessAirflow, world: FeaturebaseWorld, run: Run) -> list[Any]:
    """What a run left in Airflow's database."""
    events = [
        extra
        for what in ("plan", "signing-secret", "rotation-report")
        for extra in airflow.asset_events(f"featurebase://webhooks/{world.name}/{what}")
    ]
    return [*run.xcoms.values(), *events]


def expect_texts_only(kept: list[Any], caplog: pytest.LogCaptureFixture, run: Run) -> None:
    """Nothing was rendered, nothing forged, nothing grew."""
    for value in kept:
        assert len(json.dumps(value)) < LARGEST_XCOM
        assert all(is_clean(text) for text in texts_in(value))
        assert RENDERED not in json.dumps(value)
    ours = [record.getMessage() for record in caplog.records if "featurebase" in record.name or "task" in record.name]
    messages = [*ours, *(error for errors in run.errors.values() for error in errors)]
    assert messages
    for message in messages:
        assert is_clean(message, lines=True)
        assert not any(line.lstrip().startswith("[2026-01-01T00:00:00") for line in message.splitlines())
        assert RENDERED not in message


def hostile_webhook(world: FeaturebaseWorld, **more: Any) -> None:
    """Featurebase shows texts in which everything is tried, and large ones."""
    world.force(
        extra={
            "name": HOSTILE,
            "description": HOSTILE + "d" * 300_000,
            "topics": [HOSTILE] * 50,
            "version": HOSTILE,
            "lastStatus": {"code": 500, "message": HOSTILE + "m" * 300_000, "timestamp": "2020-01-01T00:00:00.000Z"},
            **more,
        }
    )


@pytest.mark.parametrize("mode", ["rotate", "distribute", "dry_run"])
def test_hostile_texts_of_a_webhook_change_nothing(
    airflow: InProcessAirflow, world: FeaturebaseWorld, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    caplog.set_level(logging.DEBUG)
    hostile_webhook(world)
    dag = airflow.load(world.entry())
    run = airflow.start(dag, {"mode": mode, "reason": HOSTILE})
    assert run.report["outcome"] == {"rotate": "rotated", "distribute": "distributed", "dry_run": "dry_run"}[mode]
    assert world.refreshes() == (1 if mode == "rotate" else 0)
    assert run.report["reason"] == one_line(HOSTILE, 500)
    assert run.report["reason"].startswith(JINJA)
    expect_texts_only(recorded(airflow, world, run), caplog, run)


def test_a_status_that_is_no_word_is_no_status(
    airflow: InProcessAirflow, world: FeaturebaseWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, planned and reported."""
    caplog.set_level(logging.DEBUG)
    hostile_webhook(world, status="active" + HOSTILE)
    dag = airflow.load(world.entry())
    run = airflow.start(dag, {"mode": "rotate"})
    assert "'unrecognised', not active" in run.error("preflight")
    assert world.refreshes() == 0
    expect_texts_only(recorded(airflow, world, run), caplog, run)


def test_an_errors_own_text_is_shown_as_a_text(
    airflow: InProcessAirflow, world: FeaturebaseWorld, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    body = json.dumps({"error": {"type": HOSTILE, "code": HOSTILE, "message": HOSTILE * 100, "param": HOSTILE}})
    with scripted_server(lambda request: [answer(400, body.encode())]) as server:
        airflow.connect(world.conn_id, host=f"http://{server.address}", password=world.api_key)
        run = airflow.start(airflow.load(world.entry()), {"mode": "rotate"})
    assert "answered 400" in run.error("preflight")
    assert JINJA[:12] in run.error("preflight")
    expect_texts_only(recorded(airflow, world, run), caplog, run)


@pytest.mark.parametrize("mode", ["refresh", "emergency", "{{ 'rotate' }}", "rotate\n", HOSTILE, "", None, ["rotate"]])
def test_a_mode_beyond_the_form_makes_no_run(airflow: InProcessAirflow, world: FeaturebaseWorld, mode: Any) -> None:
    """The form offers three; Airflow's API is given anything."""
    dag = airflow.load(world.entry())
    with pytest.raises(ParamValidationError, match="Invalid input for param mode"):
        airflow.start(dag, {"mode": mode})
    assert world.calls() == 1  # the webhook's making


@pytest.mark.parametrize("reason", ["x" * 501, ["x"], {"x": 1}, 1])
def test_a_reason_beyond_the_form_makes_no_run(airflow: InProcessAirflow, world: FeaturebaseWorld, reason: Any) -> None:
    dag = airflow.load(world.entry())
    with pytest.raises(ParamValidationError, match="Invalid input for param reason"):
        airflow.start(dag, {"reason": reason})


@pytest.mark.parametrize("mode", ["emergency", HOSTILE])
def test_a_mode_beyond_the_form_in_a_dag_of_ones_own_changes_nothing(
    airflow: InProcessAirflow, world: FeaturebaseWorld, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    """A task group takes its mode from wherever its Dag does."""
    caplog.set_level(logging.DEBUG)
    text = GROUP_FILE.format(entry=json.dumps(world.entry()))
    dag = airflow.load_file("group", text)["own"]
    run = airflow.start(dag, {"mode": mode, "reason": HOSTILE})
    assert run.state == "failed"
    refusal = run.error(f"rotate_{world.name}.preflight".replace("-", "_"))
    assert "is not one of rotate, distribute, dry_run; nothing was changed" in refusal
    assert world.refreshes() == 0
    expect_texts_only([*run.xcoms.values()], caplog, run)


@pytest.mark.parametrize(
    "name",
    [
        "Shop {{ 7 * 191919191917 }}",
        "{% raw %}{% endraw %} \\ ' \" }} {# x",
        "{{ '{{' }}é😀\\U0001f600",
        "plain {name}",
    ],
)
def test_a_webhooks_name_in_the_rotation_file_is_no_template(
    airflow: InProcessAirflow, world: FeaturebaseWorld, name: str
) -> None:
    """The name is chosen by whoever may edit webhooks at Featurebase, and copied into the file."""
    world.force(extra={"name": name})
    run = airflow.start(airflow.load(world.entry(webhook_id=None, webhook_name=name)), {"mode": "dry_run"})
    assert run.report["outcome"] == "dry_run"
    assert run.report["webhook_id"] == world.webhook_id


def emergency(airflow: InProcessAirflow, *entries: Mapping[str, Any]) -> DAG:
    text = EMERGENCY_FILE.format(entries=json.dumps(entries))
    return airflow.load_file("emergency", text)["featurebase_emergency_rotation"]


def test_hostile_names_in_the_emergency_form_are_refused_alone(
    airflow: InProcessAirflow, world: FeaturebaseWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """The other chosen webhooks go ahead."""
    caplog.set_level(logging.DEBUG)
    hostile_webhook(world)
    dag = emergency(airflow, world.entry())
    run = airflow.start(dag, {"webhooks": ["{{ 7 * 191919191917 }}", FORGED[:90], world.name], "reason": HOSTILE})
    assert world.refreshes() == 1
    assert "no webhook of this name" in run.error("webhook.plan[0]")
    assert "{{ 7 * 191919191917 }}" in run.error("webhook.plan[0]")
    expect_texts_only(recorded(airflow, world, run), caplog, run)

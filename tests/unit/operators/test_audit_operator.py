"""The audit's tasks: what they take from the rotation file, what they leave, and when one heals or fails the run."""

from __future__ import annotations

import json
import re
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.airflow_compat import AirflowFailException, AirflowSkipException
from featurebase_provider.audit.findings import ADVICE, Finding
from featurebase_provider.audit.report import AuditReport
from featurebase_provider.dag_factory.settings import trigger_form
from featurebase_provider.featurebase.errors import SettingsInvalid
from featurebase_provider.hooks.featurebase import FeaturebaseHook
from featurebase_provider.operators import memory as operators_memory
from featurebase_provider.operators.assets import plan_asset, report_asset
from featurebase_provider.operators.audit import AuditFindingsOperator, AuditWebhooksOperator, SelectHealsOperator
from featurebase_provider.operators.base import FeaturebaseOperator
from featurebase_provider.rotation.history import History
from featurebase_provider.rotation.memory import plan_key
from featurebase_provider.rotation.past import PastRun, keep_run
from tests.unit.audit.fakes import FakeConnection, numbered, webhook_id
from tests.world.fakes import START, a_plan, fingerprint
from tests.world.running_task import RunningTask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from featurebase_provider.rotation.memory import WebhookMemory
    from tests.unit.operators.conftest import Log

CONN_ID = "featurebase_other"
DAG_ID = "featurebase_rotate__production"
REPORT = "featurebase://audit/report"


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> FakeConnection:
    """What the entry's connection reaches: its webhook. There is no other connection."""
    shown = FakeConnection([numbered(1)])

    @contextmanager
    def opened(conn_id: str) -> Iterator[FakeConnection]:
        if conn_id != CONN_ID:
            raise SettingsInvalid(f"connection {conn_id!r}", "Airflow has no such connection")
        yield shown

    def get_conn(hook: FeaturebaseHook) -> AbstractContextManager[FakeConnection]:
        return opened(hook.featurebase_conn_id)

    monkeypatch.setattr(FeaturebaseHook, "get_conn", get_conn)
    return shown


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The receiver's file, which holds Featurebase's secret."""
    path = tmp_path / "receiver.env"
    path.write_text("SECRET=whsec_0\n")
    return path


@pytest.fixture
def remembered(memory: WebhookMemory) -> WebhookMemory:
    """What earlier runs left of the entry's webhook."""
    return replace(memory, webhook_id=webhook_id(1))


def an_entry(file: Path, *, store: dict[str, Any] | None = None, **facts: Any) -> dict[str, Any]:
    """An entry of the rotation file."""
    stores = [{"type": "object_storage", "label": "file", "path": str(file), "key": "SECRET", **(store or {})}]
    usual = {"name": "production", "webhook_id": webhook_id(1), "featurebase_conn_id": CONN_ID, "stores": stores}
    return {**usual, **facts}


def auditing(*entries: dict[str, Any], **arguments: Any) -> RunningTask:
    return RunningTask(AuditWebhooksOperator(task_id="audit", webhooks=entries, **arguments))


def kinds(report: dict[str, Any]) -> list[str]:
    return [one["kind"] for one in report["findings"]]


def test_an_all_clear_is_an_event_too(
    connection: FakeConnection, memory: WebhookMemory, file: Path, stats: list[tuple[str, dict[str, str]]]
) -> None:
    """Other Dags and alerts wait for it; without one nobody could tell that the audit ran."""
    task = auditing(an_entry(file))
    report = task.execute()
    (row,) = AuditReport.from_json(json.loads(json.dumps(report))).webhooks
    assert (row.name, row.conn_id, row.webhook_id, row.status) == ("production", CONN_ID, webhook_id(1), "active")
    assert [(held.label, held.holding) for held in row.stores] == [("file", "matches")]
    assert task.emitted == {REPORT: {key: value for key, value in report.items() if key not in ("webhooks", "advice")}}
    assert (report["findings"], stats) == ([], [])
    assert report["connections"] == [{"conn_id": CONN_ID, "host": "https://do.featurebase.app"}]


def findings_told(told: list[tuple[str, float, dict[str, str]]]) -> list[tuple[float, dict[str, str]]]:
    return [(value, tags) for name, value, tags in told if name == "featurebase.audit.finding"]


def test_each_finding_that_is_not_ignored_is_counted(
    connection: FakeConnection, memory: WebhookMemory, file: Path, told: list[tuple[str, float, dict[str, str]]]
) -> None:
    """By kind, and by webhook where the rotation file has it."""
    file.write_text("SECRET=\n")
    connection.webhooks.append(numbered(2, status="paused"))
    every = auditing(an_entry(file)).execute()
    assert (every["open"], every["ignored"]) == (2, 0)
    absent = (1, {"webhook": "production", "kind": "store_absent"})
    unconfigured = (1, {"webhook": "", "kind": "webhook_unconfigured"})
    assert findings_told(told) == [absent, unconfigured]
    told.clear()
    ignoring = auditing(an_entry(file), ignore=["store_absent"]).execute()
    assert (ignoring["open"], ignoring["ignored"], kinds(ignoring)) == (1, 1, kinds(every)[::-1])
    assert findings_told(told) == [unconfigured]


@pytest.mark.parametrize(
    ("facts", "shown", "without", "with_it"),
    [
        ({"webhook_id": None, "webhook_name": "A name"}, {"name": "A name"}, [], []),
        ({"allow_inactive": True}, {"status": "paused"}, ["webhook_inactive"], []),
        ({"max_age": "P5D"}, {"created_at": START - timedelta(days=10)}, [], ["age_unknown"]),
        ({"max_age": None}, {"created_at": START - timedelta(days=100)}, ["age_unknown"], []),
        ({"featurebase_conn_id": "none"}, {}, [], ["connection_unusable"]),
    ],
)
def test_a_webhook_is_judged_by_what_its_entry_says(
    connection: FakeConnection,
    memory: WebhookMemory,
    file: Path,
    facts: dict[str, Any],
    shown: dict[str, Any],
    without: list[str],
    with_it: list[str],
) -> None:
    connection.webhooks = [numbered(1, **shown)]
    assert kinds(auditing(an_entry(file)).execute()) == without
    assert kinds(auditing(an_entry(file, **facts)).execute()) == with_it


def test_a_previous_secret_is_overdue_by_what_its_entry_says(
    connection: FakeConnection, remembered: WebhookMemory, file: Path
) -> None:
    at = (START - timedelta(hours=9)).isoformat()
    remembered.write("history", History(webhook_id(1)).seeing(fingerprint("0"), at, refreshed_at=at).as_json())
    file.write_text("SECRET=whsec_0\nPREVIOUS=whsec_older\n")
    previous = {"previous_key": "PREVIOUS"}
    assert kinds(auditing(an_entry(file, store=previous)).execute()) == ["previous_overdue"]
    assert kinds(auditing(an_entry(file, store=previous, previous_for="PT10H")).execute()) == []


def test_the_records_are_those_of_the_runs_team(
    connection: FakeConnection, remembered: WebhookMemory, file: Path
) -> None:
    replace(remembered, team="red").add_leaked([fingerprint("0")])
    task = auditing(an_entry(file))
    assert kinds(task.execute()) == []
    task.context["dag_run"].team_name = "red"
    assert kinds(task.execute()) == ["leaked_secret_current"]


def test_a_value_that_only_a_plan_of_the_webhooks_dag_knows_is_ours(
    connection: FakeConnection, remembered: WebhookMemory, file: Path
) -> None:
    """Its run may have died before it left more; a store that is behind then is no foreign one, and heals."""
    file.write_text("SECRET=whsec_older\n")
    assert kinds(auditing(an_entry(file)).execute()) == ["store_foreign"]
    plan = a_plan(numbered(1, "whsec_older"))
    remembered.keep_plan(plan_key(DAG_ID, "preflight"), plan)
    (finding,) = auditing(an_entry(file)).execute()["findings"]
    assert (finding["kind"], finding["heals"], finding["dag_id"]) == ("store_differs", True, DAG_ID)


@pytest.mark.parametrize("asset", [report_asset("production"), plan_asset("production")], ids=["reports", "plans"])
def test_a_value_that_only_events_of_version_0_1_0_know_is_ours(
    connection: FakeConnection, memory: WebhookMemory, file: Path, asset: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("SECRET=whsec_older\n")
    left = {asset.name: [{"webhook_id": webhook_id(1), "before": fingerprint("older")}]}
    monkeypatch.setattr(operators_memory, "asset_event_extras", lambda asset, newest: left.get(asset.name))
    assert kinds(auditing(an_entry(file)).execute()) == ["store_differs"]


def test_an_audit_without_time_says_what_it_left_out(
    connection: FakeConnection, memory: WebhookMemory, file: Path
) -> None:
    assert kinds(auditing(an_entry(file), time_limit=0).execute()) == ["not_audited"]


def a_report(*findings: Finding) -> dict[str, Any]:
    """What the audit task left."""
    report = AuditReport(START.isoformat(), {}, (), findings, 1.0).as_json()
    return dict(json.loads(json.dumps(report)))


def differs(dag_id: str | None = DAG_ID, **facts: Any) -> Finding:
    given = {"detail": "d", "webhook": "production", "store": "vault", "heals": True, **facts}
    return Finding(given.pop("kind", "store_differs"), dag_id=dag_id, **given)


def selecting(*findings: Finding, **task: Any) -> RunningTask:
    heal = {"heal": task.pop("heal")} if "heal" in task else {}
    operator = SelectHealsOperator(task_id="drifted", audit_task_id="audit", **heal)
    return RunningTask(operator, results={"audit": a_report(*findings)}, **task)


def healing(*findings: Finding, **task: Any) -> RunningTask:
    return selecting(*findings, heal=True, **task)


def test_each_dag_that_would_mend_something_is_triggered_once() -> None:
    """Its run's reason has kinds and labels, and no text of anybody else's, which would be rendered as a template."""
    chosen = healing(
        differs(detail="{{ 1/0 }}"),
        differs("other", kind="leaked_secret_held", store=None),
        differs(kind="store_absent", store="file"),
        differs(kind="store_foreign", heals=False),
        differs("ignored", ignored=True),
        differs("well", kind="secret_overdue", heals=False),
        differs(None),
    ).execute()
    asked = {"mode": "distribute"}
    both = "Audit: store_differs (vault), store_absent (file)"
    assert [(one["trigger_dag_id"], one["conf"]) for one in chosen] == [
        (DAG_ID, {**asked, "reason": both}),
        ("other", {**asked, "reason": "Audit: leaked_secret_held"}),
    ]
    assert all(one.keys() == {"trigger_dag_id", "trigger_run_id", "conf"} for one in chosen)


def test_a_run_that_heals_is_named_by_the_audit_and_the_time() -> None:
    """In UTC, to the second."""
    (one,) = healing(differs()).execute()
    audit, _, at = one["trigger_run_id"].partition("__")
    moment = datetime.fromisoformat(at)
    assert (audit, moment.utcoffset(), moment.microsecond) == ("featurebase_audit", timedelta(0), 0)
    assert abs(moment - datetime.now(tz=moment.tzinfo)) < timedelta(minutes=5)


def test_a_long_reason_fits_the_form_of_the_dag_that_is_triggered() -> None:
    """One that does not would be refused, and heal nothing."""
    (one,) = healing(*(differs(store=f"store_{number}") for number in range(50))).execute()
    assert len(one["conf"]["reason"]) == trigger_form()["reason"].schema["maxLength"]


@pytest.mark.parametrize("heal", [{}, {"heal": False}, {"heal": "False"}, {"heal": ""}])
def test_nothing_heals_by_itself_unless_it_is_asked_to(heal: dict[str, Any]) -> None:
    with pytest.raises(AirflowSkipException, match=f"heal is off.*{DAG_ID}, other"):
        selecting(differs(), differs("other"), **heal).execute()


def test_who_triggers_the_audit_may_switch_healing_on() -> None:
    """What the form says arrives as rendered text."""
    on, off = (selecting(differs(), heal="{{ params.heal }}", params={"heal": heal}) for heal in (True, False))
    for task in (on, off):
        task.operator.render_template_fields(task.context)
    assert [one["trigger_dag_id"] for one in on.execute()] == [DAG_ID]
    with pytest.raises(AirflowSkipException, match="heal is off"):
        off.execute()


@pytest.mark.parametrize("heal", [True, False])
@pytest.mark.parametrize("findings", [(), (differs(heals=False),), (differs(ignored=True),), (differs(None),)])
def test_nothing_to_heal_is_no_failure(findings: tuple[Finding, ...], heal: bool) -> None:
    with pytest.raises(AirflowSkipException, match="found nothing that a run with mode=distribute would fix"):
        selecting(*findings, heal=heal).execute()


def test_a_run_that_waits_is_enough() -> None:
    task = healing(differs(), differs("other"), waiting={DAG_ID: 1})
    assert [one["trigger_dag_id"] for one in task.execute()] == ["other"]
    with pytest.raises(AirflowSkipException, match="Each Dag .* already has a run waiting"):
        healing(differs(), waiting={DAG_ID: 2}).execute()


@pytest.mark.parametrize(
    ("paused", "waiting", "warnings"),
    [
        ({}, {}, []),
        (None, {}, []),
        ({DAG_ID: True}, {}, [f"{DAG_ID} is paused: its run waits until somebody unpauses the Dag"]),
        ({DAG_ID: True}, {DAG_ID: 1}, [f"{DAG_ID} already has a run waiting, .*the Dag is paused: unpause it"]),
        ({"another": True}, {DAG_ID: 1}, [f"{DAG_ID} already has a run waiting, .*that run comes first"]),
    ],
)
def test_a_dag_that_will_not_run_by_itself_is_named(
    paused: dict[str, bool] | None, waiting: dict[str, int], warnings: list[str], said: Log
) -> None:
    """Its run is there, or one waits already, and nothing heals until somebody unpauses it."""
    task = healing(differs(), differs("other"), paused=paused, waiting=waiting)
    assert [one["trigger_dag_id"] for one in task.execute()] == ([] if waiting else [DAG_ID]) + ["other"]
    for text, expected in zip(said.texts["warning"], warnings, strict=True):
        assert re.search(expected, text)


def judging(*findings: Finding) -> RunningTask:
    operator = AuditFindingsOperator(task_id="findings", audit_task_id="audit")
    return RunningTask(operator, results={"audit": a_report(*findings)})


def failure(*findings: Finding) -> str:
    with pytest.raises(AirflowFailException) as caught:
        judging(*findings).execute()
    return str(caught.value)


def test_a_run_fails_by_what_is_not_ignored() -> None:
    assert judging().execute() is None
    assert judging(differs(ignored=True)).execute() is None
    text = failure(differs(ignored=True, kind="age_unknown"), differs())
    assert text.startswith("1 finding; the audit itself changed nothing.")
    assert "age_unknown" not in text


def test_a_failed_run_says_what_where_and_what_to_do() -> None:
    """By kind, so that each piece of advice is given once."""
    text = failure(differs(), Finding("key_refused", "d", conn_id="main"), differs(store="file"))
    assert text == (
        "3 findings; the audit itself changed nothing. "
        f"store_differs: production, store vault; production, store file. {ADVICE['store_differs']} "
        f"key_refused: connection main. {ADVICE['key_refused']}"
    )


def test_a_failed_run_names_ten_places_of_a_kind() -> None:
    ten, more = (failure(*(differs(store=f"s{number}") for number in range(count))) for count in (10, 12))
    assert "production, store s9. " in ten
    assert "production, store s9 and 2 more. " in more
    assert "store s10" not in more


@pytest.mark.parametrize("left", [None, "text"])
@pytest.mark.parametrize("operator", [AuditFindingsOperator, SelectHealsOperator])
def test_without_a_report_nobody_can_tell(operator: Any, left: Any) -> None:
    task = RunningTask(operator(task_id="t", audit_task_id="audit.one"), results={"audit.one": left})
    with pytest.raises(AirflowFailException, match=r"The task audit\.one left no report; clear it"):
        task.execute()


def test_the_audits_tasks_look_like_the_others() -> None:
    tasks = (AuditWebhooksOperator, SelectHealsOperator, AuditFindingsOperator)
    assert {task.ui_color for task in tasks} == {FeaturebaseOperator.ui_color}


def test_the_report_has_the_runs_of_a_year(
    connection: FakeConnection, remembered: WebhookMemory, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the record; where there is none yet, from the events that older versions left."""
    reports = [
        {"webhook_id": webhook_id(number), "at": START.isoformat(), "outcome": "rotated", "run_id": f"of {number}"}
        for number in (1, 2)
    ]
    monkeypatch.setattr("featurebase_provider.operators.memory.events_of", lambda *_: (reports, []))
    (row,) = auditing(an_entry(file)).execute()["webhooks"]
    assert row["last_run"]["run_id"] == "of 1"
    keep_run(remembered, PastRun(START.isoformat(), "failed", run_id="recorded"), ())
    (row,) = auditing(an_entry(file)).execute()["webhooks"]
    assert (row["last_run"]["run_id"], len(row["runs"])) == ("recorded", 1)

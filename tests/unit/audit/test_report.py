"""What people and programs are shown; the documentation's example is made here."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk._shared.secrets_masker import redact

from featurebase_provider.audit.findings import ADVICE, Finding
from featurebase_provider.audit.report import MOST_POINTS, SHOWN_FINDINGS, AuditReport
from featurebase_provider.audit.row import AgeLimit, AuditedHalf, AuditedWebhook, Deliveries
from featurebase_provider.rotation.check import HeldByStore
from featurebase_provider.rotation.past import PastRun
from tests.unit.audit.fakes import Auditing, FakeConnection, a_subject, numbered, webhook_id
from tests.world.fakes import START, MemoryStore, fingerprint, secret

DOCS = Path(__file__).parents[3] / "docs" / "audit.md"
EMPTY = AuditReport("2026-01-15T10:30:00+00:00", {}, (), (), 1.23456)

TARGETS = {
    "file": "file:///etc/feedback/{}.env#FEATUREBASE_WEBHOOK_SECRET",
    "vault": "vault://vault_default/secret/apps/{}#FEATUREBASE_WEBHOOK_SECRET",
}


class PlacedStore(MemoryStore):
    """A store in memory that says it is somewhere else."""

    place = ""

    @property
    def target(self) -> str:
        return self.place


def a_store(webhook: str, label: str, value: str) -> PlacedStore:
    store = PlacedStore(label, value=secret(value))
    store.place = TARGETS[label].format(webhook)
    return store


def refreshed(number: int, value: str, days: int) -> list[dict[str, object]]:
    at = (START - timedelta(days=days)).isoformat()
    return [{"webhook_id": webhook_id(number), "after": fingerprint(value), "at": at, "refreshed_at": at}]


def documented() -> AuditReport:
    """A drifted, an overdue, a suspended and an unconfigured webhook, as the documentation shows them."""
    failed = {"code": 502, "message": "Bad Gateway", "timestamp": START - timedelta(days=1)}
    suspended = {"status": "suspended", "health": {"consecutiveFailures": 50}, "last_status": failed}
    webhooks = [
        numbered(1, "whsec_by hand"),
        numbered(2, "whsec_billing"),
        numbered(3, "whsec_staging", **suspended),
        numbered(4, name="Warehouse connector"),
    ]
    took = iter([0.0, 0.1, 0.4])
    auditing = Auditing(
        {"featurebase_default": FakeConnection(webhooks)},
        {
            "production": refreshed(1, "production", 14),
            "billing": refreshed(2, "billing", 120),
            "staging": refreshed(3, "staging", 14),
        },
        monotonic=lambda: next(took),
    )
    production = [a_store("production", "file", "production"), a_store("production", "vault", "by hand")]
    return auditing.run(
        a_subject("production", "featurebase_default", 1, stores=production),
        a_subject("billing", "featurebase_default", 2, stores=[a_store("billing", "vault", "billing")]),
        a_subject("staging", "featurebase_default", 3, stores=[a_store("staging", "vault", "staging")]),
        ignore=["webhook_unconfigured"],
    )


def test_the_documented_example_is_what_is_printed() -> None:
    assert documented().as_text() in DOCS.read_text()


def test_the_table_names_what_is_wrong_and_what_to_do() -> None:
    text = documented().as_text()
    for words in ("1 match, file differs", "120 d", "suspended", "(ignored)", "Trigger the webhook's Dag"):
        assert words in text
    assert ADVICE["webhook_unconfigured"] not in text  # somebody has decided that already


def test_a_report_without_findings_is_one_table() -> None:
    row = AuditedWebhook("production", "main", None, None, None, None, (HeldByStore("vault", "v", "not_readable"),))
    text = replace(EMPTY, webhooks=(row, replace(row, stores=()))).as_text()
    assert "0 findings" in text
    assert "What to do" not in text
    assert "vault not readable" in text
    assert text.count("0 match") == 1, "said only where there is no store to name"
    assert "0 match," not in text
    assert text.count("not read ") == 4, "neither status nor secret"


def test_a_report_survives_json() -> None:
    report = documented()
    raw = json.loads(json.dumps(report.as_json()))
    assert AuditReport.from_json(raw) == report
    assert AuditReport.from_json(json.loads(json.dumps(report.as_event()))).webhooks == ()
    assert (raw["open"], raw["ignored"], raw["audited"], raw["stores"]) == (3, 1, 3, 4)
    assert raw["version"] == 2
    counted = {entry["kind"]: entry["number"] for entry in raw["counts"]}
    assert counted == {"store_differs": 1, "secret_overdue": 1, "webhook_inactive": 1, "webhook_unconfigured": 1}
    assert [entry["kind"] for entry in raw["advice"]] == list(counted)
    assert [entry["fix"] for entry in raw["findings"]] == ["distribute", "rotate", None, None]


def test_other_peoples_text_stays_on_its_line() -> None:
    """No escape sequence, no new line, no markup of rich's own, and no endless text."""
    nasty = "\x1b[31m[bold]red[/]\n2026-01-01 INFO all is well " + "x" * 5000
    finding = Finding("store_foreign", nasty, webhook="production", store="vault")
    held = HeldByStore("vault", nasty, "foreign", problem=nasty)
    row = AuditedWebhook("production", "main", webhook_id(1), nasty, None, None, (held,))
    report = replace(EMPTY, findings=(finding,), webhooks=(row,))
    text = report.as_text(width=200)
    assert "\x1b" not in text
    assert "[bold]red" in text
    assert text.count("x") < 600
    assert not any(line.startswith("2026-01-01") for line in text.splitlines())
    raw = report.as_json()
    assert len(json.dumps(raw)) < 4000
    assert len(raw["webhooks"][0]["status"]) == 20
    assert raw["webhooks"][0]["stores"][0]["problem"].startswith("[31m[bold]red[/] 2026-01-01 INFO")


def test_a_few_hundred_characters_are_shown_whole() -> None:
    """The reason stands at the end of most messages."""
    long = "x" * 400 + " because"
    held = HeldByStore("vault", long, "unknown", problem=long)
    row = AuditedWebhook("production", "main", None, None, None, None, (held, replace(held, problem=None)))
    report = replace(EMPTY, findings=(Finding("store_unreachable", long),), webhooks=(row,))
    raw = report.as_json()
    assert raw["findings"][0]["detail"] == long
    assert [(one["target"], one["problem"]) for one in raw["webhooks"][0]["stores"]] == [(long, long), (long, None)]
    assert raw["webhooks"][0]["status"] is None
    assert long in report.as_text(width=2000)


def test_a_status_is_cut_to_its_column() -> None:
    row = AuditedWebhook("production", "main", None, "s" * 30, None, None, ())
    assert max(re.findall("s+", replace(EMPTY, webhooks=(row,)).as_text())) == "s" * 20


def test_the_time_it_took_is_told_to_the_millisecond() -> None:
    assert EMPTY.as_event()["seconds"] == 1.235


def test_a_flood_of_findings_is_counted_and_cut() -> None:
    """Open ones come first."""
    many = tuple(Finding("webhook_unconfigured", "x", webhook_id=webhook_id(n), ignored=n < 5) for n in range(1500))
    report = replace(EMPTY, findings=many)
    raw = report.as_json()
    assert len(raw["findings"]) == SHOWN_FINDINGS
    assert (raw["open"], raw["counts"]) == (1495, [{"kind": "webhook_unconfigured", "number": 1500}])
    assert not any(one["ignored"] for one in raw["findings"])
    assert re.search(r"(?m)^. \.\.\. +. +. and 500 more", report.as_text())
    assert " more" not in replace(EMPTY, findings=many[:SHOWN_FINDINGS]).as_text()


def a_run(day: int, **facts: Any) -> PastRun:
    return PastRun((START + timedelta(days=day)).isoformat(), "rotated", "dag", f"run {day}", "report", **facts)


def test_a_row_has_what_a_page_shows_at_a_glance() -> None:
    """The age in seconds, the deliveries' figures, the last run whole, and the others in short."""
    last = a_run(9, by="ann", reason="leak", exposure_ms=41.5, refused=2)
    row = AuditedWebhook(
        "production",
        "main",
        webhook_id(1),
        "active",
        fingerprint("0"),
        "9 d",
        (),
        halves=(AuditedHalf(webhook_id(1), "active", fingerprint("0"), Deliveries(failures=0)),),
        dag_id="featurebase_rotate__production",
        aged=AgeLimit(60.0, 60.0, 120.0),
        deliveries=Deliveries(3, START.isoformat(), 502, START.isoformat()),
        runs=(a_run(1), last),
    )
    (raw,) = json.loads(json.dumps(replace(EMPTY, webhooks=(row,)).as_json()))["webhooks"]
    assert raw["aged"] == {"at_least": 60.0, "at_most": 60.0, "max_age": 120.0}
    assert raw["deliveries"] == {
        "failures": 3, "last_success_at": START.isoformat(), "last_code": 502, "last_at": START.isoformat()
    }  # fmt: skip
    assert (raw["last_run"]["by"], raw["last_run"]["reason"], raw["last_run"]["run_id"]) == ("ann", "leak", "run 9")
    assert raw["runs"][1] == {"at": last.at, "outcome": "rotated", "exposure_ms": 41.5, "refused": 2}
    again = AuditedWebhook.from_json(raw)
    assert (again.aged, again.deliveries, again.halves) == (row.aged, row.deliveries, row.halves)


def test_the_points_of_many_webhooks_are_bounded() -> None:
    """100 webhooks that rotate weekly have 6,000 runs; each shows its newest 20, and its last one whole."""
    runs = tuple(a_run(day, reason="r" * 120) for day in range(60))
    row = AuditedWebhook("production", "main", webhook_id(1), "active", fingerprint("0"), "9 d", (), runs=runs)
    raw = replace(EMPTY, webhooks=(row,) * 100).as_json()
    assert sum(len(one["runs"]) for one in raw["webhooks"]) == MOST_POINTS
    assert raw["webhooks"][0]["runs"][-1]["at"] == runs[-1].at == raw["webhooks"][0]["last_run"]["at"]
    assert len(json.dumps(raw)) < 400_000
    assert replace(EMPTY, webhooks=(row,) * 3000).as_json()["webhooks"][0]["runs"] == []


def test_no_key_of_a_report_is_hidden_by_airflow() -> None:
    """Airflow redacts the value of each key that contains words like "secret", within an event or an XCom."""
    shown = json.loads(json.dumps(documented().as_json()))
    assert redact(shown) == shown


def test_a_report_of_version_1_can_be_read() -> None:
    old = {**EMPTY.as_json(), "connections": {"main": "https://do.featurebase.app"}, "version": 1}
    assert AuditReport.from_json(old).connections == {"main": "https://do.featurebase.app"}

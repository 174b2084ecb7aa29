from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from featurebase_provider.rotation.distribution import StoreOutcome
from featurebase_provider.rotation.history import History
from featurebase_provider.rotation.report import Findings, RotationReport, TaskRow, make_report
from featurebase_provider.rotation.rotate import RotationOutcome
from tests.unit.rotation.fakes import START, WEBHOOK_ID, a_plan, fingerprint

BEFORE, AFTER, NEWER = fingerprint("0"), fingerprint("1"), fingerprint("2")
WRITTEN = StoreOutcome("a", "memory://a", "written", AFTER, 12.4)
FAILED = StoreOutcome("a", "memory://a", "failed", problem="store a: read-only")
OK = (TaskRow("rotate", "success", 1.25), TaskRow("verify", None))
BAD = (TaskRow("rotate", "success"), TaskRow("probe", "failed"))


def rotated(*stores: StoreOutcome, **facts: Any) -> RotationOutcome:
    by_label = {one.label: one for one in stores}
    return RotationOutcome(**{"plan": a_plan(), "how": "answered", "after": AFTER, "stores": by_label, **facts})


def a_report(rotation: RotationOutcome | None = None, tasks: tuple[TaskRow, ...] = OK, **facts: Any) -> RotationReport:
    call = {
        "skipped": facts.pop("skipped", False),
        "reason": facts.pop("reason", ""),
        "mode": facts.pop("mode", "rotate"),
    }
    findings = Findings(**{"plan": a_plan(), "rotation": rotation, "pushed": {}, **facts})
    return make_report(
        findings,
        webhook="production",
        dag_id="featurebase_rotate__production",
        run_id="manual__1",
        at=START.isoformat(),
        tasks=tasks,
        **call,
    )


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"rotation": rotated(WRITTEN), "probe": {"result": "accepted"}}, "Nothing to do."),
        ({"rotation": rotated(FAILED)}, "receivers go on accepting it"),
        ({"tasks": BAD, "current": BEFORE}, "THE LEAKED SECRET IS STILL VALID"),
        ({"plan": None, "mode": "emergency"}, "THE LEAKED SECRET IS STILL VALID"),
    ],
    ids=["done", "a store is left", "not refreshed", "not even planned"],
)
def test_in_an_emergency_the_advice_is_another(facts: dict[str, Any], says: str) -> None:
    report = a_report(**{"plan": a_plan(mode="emergency"), **facts})
    assert says in report.advice
    assert report.mode == "emergency"


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        ({"rotation": rotated(WRITTEN)}, "rotated"),
        ({"rotation": rotated(WRITTEN), "current": AFTER}, "rotated"),
        ({"rotation": rotated(WRITTEN, how="already_done")}, "rotated"),
        ({"rotation": rotated(replace(WRITTEN, result="unchanged"), how="not_asked")}, "distributed"),
        ({"rotation": rotated(FAILED)}, "incomplete"),
        ({"rotation": rotated(FAILED), "pushed": {"a": WRITTEN}}, "rotated"),
        ({"rotation": rotated(WRITTEN), "tasks": BAD}, "failed"),
        ({"rotation": rotated(FAILED), "tasks": BAD}, "incomplete"),
        ({"rotation": rotated(WRITTEN), "tasks": (TaskRow("verify", "upstream_failed"),)}, "failed"),
        ({"skipped": True, "plan": None}, "skipped"),
        ({"plan": None}, "nothing_changed"),
        ({"plan": a_plan(mode="dry_run")}, "dry_run"),
        ({"plan": a_plan(mode="dry_run"), "tasks": BAD}, "nothing_changed"),
        ({"plan": a_plan(mode="dry_run"), "tasks": BAD, "current": NEWER}, "nothing_changed"),
        ({"tasks": BAD, "current": BEFORE}, "nothing_changed"),
        ({"tasks": BAD, "current": AFTER}, "incomplete"),
        ({"tasks": BAD}, "unknown"),
        ({"tasks": BAD, "gone": True}, "webhook_gone"),
        ({"rotation": rotated(WRITTEN), "tasks": BAD, "gone": True}, "webhook_gone"),
        ({"rotation": rotated(WRITTEN), "gone": True}, "rotated"),
    ],
)
def test_the_outcome_of_a_run(facts: dict[str, Any], outcome: str) -> None:
    report = a_report(**facts)
    assert report.outcome == outcome


@pytest.mark.parametrize("tasks", [OK, BAD])
def test_stores_that_hold_an_older_secret_than_featurebase_are_incomplete(tasks: tuple[TaskRow, ...]) -> None:
    """Somebody rotated after the push: "nothing to do" would leave the receivers failing."""
    report = a_report(rotated(WRITTEN), tasks, current=NEWER)
    assert (report.outcome, report.after) == ("incomplete", NEWER)


def test_the_last_comparison_tells_what_stores_hold_that_another_run_wrote_since() -> None:
    """An emergency came after the pushes; verify_delivery found its secret in every store that can be read."""
    compared = {"kind": "quiet", "detail": "", "stores_hold": NEWER}
    report = a_report(rotated(WRITTEN), current=NEWER, delivery=compared)
    assert (report.outcome, report.stores[0].fingerprint) == ("rotated", NEWER)
    for facts in ({"delivery": {**compared, "stores_hold": AFTER}}, {"delivery": {"kind": "quiet", "detail": ""}}):
        assert a_report(rotated(WRITTEN), current=NEWER, **facts).outcome == "incomplete"
    for store in (FAILED, replace(WRITTEN, detail="not readable")):
        assert a_report(rotated(store), current=NEWER, delivery=compared).outcome == "incomplete"


def test_without_a_look_at_featurebase_the_pushes_tell_what_is_current() -> None:
    """Of two stores, the one that a push brought further shows that the other one is behind."""
    other = StoreOutcome("b", "memory://b", "written", AFTER)
    pushed = {"a": replace(WRITTEN, fingerprint=NEWER)}
    report = a_report(rotated(WRITTEN, other), pushed=pushed)
    assert (report.outcome, report.after) == ("incomplete", NEWER)
    assert a_report(rotated(WRITTEN)).after == AFTER


def test_push_results_overrule_rotates() -> None:
    report = a_report(rotated(FAILED), pushed={"a": WRITTEN})
    assert report.stores == (WRITTEN,)


def test_a_refresh_after_rotate_is_told() -> None:
    """An orphan of rotate may refresh when its next try has ended; the pushes then write what rotate never saw."""
    newer = replace(WRITTEN, fingerprint=NEWER)
    report = a_report(rotated(WRITTEN, notes=("one",)), pushed={"a": newer}, current=NEWER)
    assert (report.outcome, report.after, report.notes[0]) == ("rotated", NEWER, "one")
    assert f"was {AFTER}, now it is {NEWER}: it was refreshed again" in report.notes[1]
    assert a_report(rotated(WRITTEN), current=AFTER).notes == ()


def test_what_a_run_without_a_plan_reports() -> None:
    report = a_report(plan=None, reason="leaked")
    assert (report.webhook_id, report.host, report.before, report.after) == (None, None, None, None)
    assert (report.mode, report.reason) == ("rotate", "leaked")


def test_a_report_survives_json() -> None:
    raw = json.loads(json.dumps(a_report(rotated(WRITTEN, notes=("one",)), probe={"result": "accepted"}).as_json()))
    assert raw["webhook_id"] == WEBHOOK_ID
    assert (raw["before"], raw["after"], raw["how"]) == (BEFORE, AFTER, "answered")
    assert raw["stores"][0] == {
        "label": "a",
        "target": "memory://a",
        "result": "written",
        "fingerprint": AFTER,
        "exposure_ms": 12.4,
        "problem": None,
        "detail": None,
    }
    assert raw["tasks"][0] == {"task_id": "rotate", "state": "success", "seconds": 1.25, "why": None}
    assert raw["notes"] == ["one"]
    assert raw["version"] == 1


def lines_of(report: RotationReport) -> dict[str, str]:
    """The head of the report: what stands after each name."""
    names = ("webhook", "outcome", "what to do", "reason", "receiver exposure", "probe", "deliveries", "refreshed at")
    text = report.as_text(width=300)
    return {
        name: line.removeprefix(name).strip() for line in text.splitlines() for name in names if line.startswith(name)
    }


def test_a_report_tells_later_runs_every_secret_that_this_one_saw() -> None:
    """A store may still hold the one in between; what earlier reports told is not repeated."""
    between, earlier = fingerprint("between"), fingerprint("older")
    plan = a_plan(known=(earlier,))
    rotation = rotated(WRITTEN, plan=replace(plan, known=(earlier, BEFORE, between, AFTER)), after=AFTER)
    report = a_report(rotation, plan=plan, current=NEWER)
    assert report.known == (BEFORE, between, AFTER, NEWER)
    history = History.from_events(WEBHOOK_ID, [report.as_json()])
    assert {*history.known} == {BEFORE, NEWER, between, AFTER}


def test_the_text_tells_a_person_what_happened() -> None:
    report = a_report(
        rotated(WRITTEN, refreshed_at=START.isoformat(), notes=("the secret was refreshed a second time",)),
        plan=a_plan(reason="yearly"),
        probe={"result": "accepted", "detail": "3 of 3"},
        delivery={"kind": "healthy", "detail": "a delivery succeeded"},
        receiver_exposure_ms=345.6,
    )
    assert lines_of(report) == {
        "webhook": f"production ({WEBHOOK_ID}) at https://do.featurebase.app",
        "outcome": "rotated",
        "what to do": "Nothing to do.",
        "reason": "yearly",
        "receiver exposure": "at most 346 ms",
        "probe": "accepted: 3 of 3",
        "deliveries": "healthy: a delivery succeeded",
        "refreshed at": START.isoformat(),
    }
    text = report.as_text()
    assert "- the secret was refreshed a second time" in text
    (store,) = [line for line in text.splitlines() if "memory://a" in line]
    assert "written" in store
    assert "12 ms" in store
    assert AFTER in store
    assert [line.split() for line in text.splitlines() if "verify" in line] == [["│", "verify", "│", "none", "│", "│"]]


def test_the_text_of_a_run_that_did_nothing() -> None:
    text = a_report(plan=None, tasks=(), skipped=True).as_text(width=200)
    assert "production (id not read) at unknown host" in text
    assert "Nothing was changed." in text
    assert "Stores" not in text
    assert "Tasks" not in text


def test_a_failed_store_is_shown_with_its_problem() -> None:
    text = a_report(rotated(FAILED)).as_text(width=200)
    assert "failed: store a: read-only" in text
    assert "unknown" in text


def test_a_store_that_cannot_be_read_is_shown_as_such() -> None:
    """The run counts as complete, and the report says what is not known."""
    report = a_report(rotated(replace(WRITTEN, detail="not readable: it accepted the secret")))
    assert report.outcome == a_report(rotated(WRITTEN)).outcome
    assert "written: not readable: it accepted the secret" in report.as_text(width=200)


def test_other_peoples_text_is_shown_as_it_is_on_one_line() -> None:
    """Markup, emoji codes and line breaks in a reason, a note or a target must not forge the report."""
    nasty = "[red]x[/red] :smile:\noutcome  rotated"
    report = a_report(
        rotated(replace(FAILED, target="memory://[b]/a", problem=nasty), notes=(nasty,)), plan=a_plan(reason=nasty)
    )
    text = report.as_text(width=200)
    assert text.count("[red]x[/red] :smile: outcome rotated") == 3
    assert "memory://[b]/a" in text
    assert "\x1b" not in text

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from featurebase_provider.rotation.all_stores import StoreOutcome
from featurebase_provider.rotation.errors import HALF_DELETED
from featurebase_provider.rotation.found import Found, FoundStore
from featurebase_provider.rotation.memory import history_of_events
from featurebase_provider.rotation.pair_report import PairFacts
from featurebase_provider.rotation.report import RotationReport, make_report
from featurebase_provider.rotation.report_tables import TaskRow
from featurebase_provider.rotation.rotate import RotationOutcome
from featurebase_provider.rotation.run_facts import RunFacts
from tests.world.fakes import START, WEBHOOK_ID, a_plan, fingerprint
from tests.world.pair_states import A, B

BEFORE, AFTER, NEWER = fingerprint("0"), fingerprint("1"), fingerprint("2")
WRITTEN = StoreOutcome("a", "memory://a", "written", AFTER, 12.4)
FAILED = StoreOutcome("a", "memory://a", "failed", problem="store a: read-only")
FOUND = Found(
    WEBHOOK_ID,
    "https://do.featurebase.app",
    "active",
    BEFORE,
    (FoundStore("a", "memory://a", "not_compared", BEFORE, "writable"), FoundStore("b", "memory://b", "absent")),
    {"result": "refused", "detail": "401"},
)
OK = (TaskRow("rotate", "success", 1.25), TaskRow("verify", None))
BAD = (TaskRow("rotate", "success"), TaskRow("probe", "failed"))


def rotated(*stores: StoreOutcome, **facts: Any) -> RotationOutcome:
    by_label = {one.label: one for one in stores}
    return RotationOutcome(**{"plan": a_plan(), "how": "answered", "after": AFTER, "stores": by_label, **facts})


def a_report(rotation: RotationOutcome | None = None, tasks: tuple[TaskRow, ...] = OK, **facts: Any) -> RotationReport:
    asked = ("skipped", "reason", "rotate_began")
    call: dict[str, Any] = {name: facts.pop(name) for name in asked if name in facts}
    mode = facts.pop("mode", "rotate")
    findings = RunFacts(**{"plan": a_plan(), "rotation": rotation, "pushed": {}, **facts})
    return make_report(
        findings,
        webhook="production",
        dag_id="featurebase_rotate__production",
        run_id="manual__1",
        at=START.isoformat(),
        mode=mode,
        tasks=tasks,
        **call,
    )


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"rotation": rotated(WRITTEN), "probe": {"result": "accepted"}}, "Nothing to do."),
        ({"rotation": rotated(FAILED)}, "receivers accept it until"),
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
        ({"rotation": rotated(replace(WRITTEN, result="unknown"))}, "incomplete"),
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


@pytest.mark.parametrize("mode", ["rotate", "emergency"])
@pytest.mark.parametrize(("gone", "outcome"), [((B,), "webhook_gone"), ((), "failed")])
def test_a_half_of_a_pair_that_is_gone(mode: Any, gone: tuple[str, ...], outcome: str) -> None:
    """What counts is what the last read of both halves shows; and the entry stays in the rotation file."""
    pair = PairFacts(A, B, mode, statuses={A: "active"}, gone=gone)
    report = a_report(rotated(WRITTEN), BAD, plan=a_plan(mode=mode), gone=True, pair=pair)
    assert report.outcome == outcome
    assert (HALF_DELETED in report.advice) == bool(gone)
    assert "remove the entry" not in report.advice


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
    assert report.stores == (replace(WRITTEN, result="unchanged", fingerprint=NEWER),)
    for hold in (AFTER, BEFORE, None):
        other = a_report(rotated(WRITTEN), current=NEWER, delivery={**compared, "stores_hold": hold})
        assert (other.outcome, other.stores) == ("incomplete", (WRITTEN,))
    agreed = a_report(rotated(WRITTEN), current=AFTER, delivery={**compared, "stores_hold": AFTER})
    assert agreed.stores == (WRITTEN,)
    for store in (FAILED, replace(WRITTEN, detail="not readable")):
        assert a_report(rotated(store), current=NEWER, delivery=compared).outcome == "incomplete"


def test_without_a_look_at_featurebase_the_pushes_tell_what_is_current() -> None:
    """Of two stores, the one that a push brought further shows that the other one is behind."""
    other, failed = StoreOutcome("b", "memory://b", "written", AFTER), StoreOutcome("c", "memory://c", "failed")
    pushed = {"c": failed, "a": replace(WRITTEN, fingerprint=NEWER)}
    report = a_report(rotated(WRITTEN, other), pushed=pushed)
    assert (report.outcome, report.after) == ("incomplete", NEWER)
    assert a_report(rotated(WRITTEN)).after == AFTER


def test_what_the_advice_goes_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told all that is known of the run; the report has the same."""
    asked: list[dict[str, Any]] = []

    def advise(outcome: str, **facts: Any) -> str:
        asked.append({"outcome": outcome, **facts})
        return "do this"

    monkeypatch.setattr("featurebase_provider.rotation.report.advise", advise)
    stopped = a_report(
        tasks=(TaskRow("preflight", "failed", why="no"),), plan=None, found=FOUND, mode="distribute", status="paused"
    )
    assert asked.pop() == {
        "outcome": "nothing_changed",
        "emergency": False,
        "mode": "distribute",
        "webhook_id": WEBHOOK_ID,
        "found": FOUND,
        "status": "paused",
        "proven": False,
        "cause": "preflight: no",
        "rotate_began": False,
        "rotated": False,
        "left": (),
    }
    assert (stopped.advice, stopped.dag_id, stopped.run_id) == (
        "do this",
        "featurebase_rotate__production",
        "manual__1",
    )
    assert (stopped.webhook_id, stopped.host, stopped.before) == (WEBHOOK_ID, FOUND.host, BEFORE)
    assert (stopped.status, stopped.found) == ("paused", FOUND)
    behind = StoreOutcome("b", "memory://b", "written", BEFORE)
    a_report(rotated(WRITTEN, behind), plan=a_plan(mode="emergency"), rotate_began=True)
    told = asked.pop()
    assert (told["emergency"], told["mode"], told["rotate_began"], told["rotated"], told["left"]) == (
        True, "emergency", True, True, (behind,),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("probe", "delivery", "proven"),
    [
        (None, None, False),
        ("refused", None, False),
        ("accepted", None, True),
        (None, "quiet", False),
        (None, "healthy", True),
        ("unproven", "healthy", True),
    ],
)
def test_a_probe_or_a_delivery_proves_it(probe: str | None, delivery: str | None, proven: bool) -> None:
    probed = None if probe is None else {"result": probe}
    delivered = None if delivery is None else {"kind": delivery}
    assert RunFacts(None, None, {}, probe=probed, delivery=delivered).proven is proven


def test_push_results_overrule_rotates() -> None:
    report = a_report(rotated(FAILED), pushed={"a": WRITTEN})
    assert report.stores == (WRITTEN,)


def test_a_refresh_after_rotate_is_told() -> None:
    """An orphan of rotate may refresh when its next try has ended; the pushes then write what rotate never saw."""
    newer = replace(WRITTEN, fingerprint=NEWER)
    report = a_report(rotated(WRITTEN, notes=("one",)), pushed={"a": newer}, current=NEWER)
    assert (report.outcome, report.after, report.notes[0]) == ("rotated", NEWER, "one")
    assert f"was {AFTER}; now it is {NEWER}. It was refreshed again" in report.notes[1]
    assert a_report(rotated(WRITTEN), current=AFTER).notes == ()


def test_what_a_run_without_a_plan_reports() -> None:
    report = a_report(plan=None, reason="leaked")
    assert (report.webhook_id, report.host, report.before, report.after) == (None, None, None, None)
    assert (report.mode, report.reason) == ("rotate", "leaked")


def test_a_report_survives_json() -> None:
    """Airflow keeps it as it is, so it has no tuples, which Airflow would wrap."""
    report = a_report(rotated(WRITTEN, notes=("one",)), probe={"result": "accepted"}, found=FOUND)
    raw = report.as_json()
    assert raw == json.loads(json.dumps(raw))
    assert raw["webhook_id"] == WEBHOOK_ID
    assert (raw["before"], raw["after"], raw["how"]) == (BEFORE, AFTER, "answered")
    assert raw["stores"][0] == {
        "label": "a",
        "target": "memory://a",
        "result": "written",
        "fingerprint": AFTER,
        "readable_ms": 12.4,
        "confirmed_ms": None,
        "problem": None,
        "detail": None,
        "write_ms": None,
    }
    assert raw["tasks"][0] == {"task_id": "rotate", "state": "success", "seconds": 1.25, "why": None}
    assert (raw["notes"], raw["known"]) == (["one"], [BEFORE, AFTER])
    assert raw["version"] == 1
    assert Found.from_json(raw["found"]) == FOUND
    assert a_report().as_json()["found"] is None


HEAD = (
    "webhook", "outcome", "cause", "what to do", "mode", "reason", "secret before", "secret after", "refreshed at",
    "receiver exposure", "probe before", "probe", "deliveries",
)  # fmt: skip
"""Every name in the head of a report, in the order in which a reader finds them."""


def head_of(report: RotationReport) -> list[tuple[str, str]]:
    """What stands after each name."""
    lines = report.as_text(width=300).partition("\n\n")[0].splitlines()
    names = [max((name for name in HEAD if line.startswith(name)), key=len) for line in lines]
    return [(name, line.removeprefix(name).strip()) for name, line in zip(names, lines, strict=True)]


def table_of(report: RotationReport, title: str) -> list[list[str]]:
    """The cells of a table, row by row, the columns' names first."""
    lines = report.as_text(width=300).splitlines()
    table = lines[lines.index(title) + 1 :]
    end = next(i for i, line in enumerate(table) if line.startswith("└"))
    rows = [line.replace("┃", "│")[1:-1].split("│") for line in table[:end] if line[0] in "┃│"]
    return [[cell.strip() for cell in row] for row in rows]


def test_a_report_tells_later_runs_every_secret_that_this_one_saw() -> None:
    """A store may still hold the one in between; what earlier reports told is not repeated."""
    between, earlier = fingerprint("between"), fingerprint("older")
    plan = a_plan(known=(earlier,))
    rotation = rotated(WRITTEN, plan=replace(plan, known=(earlier, BEFORE, between, AFTER)), after=AFTER)
    report = a_report(rotation, plan=plan, current=NEWER)
    assert report.known == (BEFORE, between, AFTER, NEWER)
    assert a_report(pushed={"a": WRITTEN}, current=NEWER).known == (BEFORE, AFTER, NEWER)
    assert a_report(plan=None, current=NEWER).known == (NEWER,)
    history = history_of_events(WEBHOOK_ID, [report.as_json()])
    assert {*history.known} == {BEFORE, NEWER, between, AFTER}


def test_the_text_tells_a_person_what_happened() -> None:
    report = a_report(
        rotated(WRITTEN, refreshed_at=START.isoformat(), notes=("the secret was refreshed a second time",)),
        tasks=(*OK, TaskRow("settle", "skipped", why="not ours")),
        plan=a_plan(reason="yearly"),
        found=FOUND,
        probe={"result": "accepted", "detail": "3 of 3"},
        delivery={"kind": "healthy", "detail": "a delivery succeeded"},
        receiver_exposure_ms=345.6,
    )
    assert head_of(report) == [
        ("webhook", f"production ({WEBHOOK_ID}) at https://do.featurebase.app"),
        ("outcome", "rotated"),
        ("cause", "settle: not ours"),
        ("what to do", "Nothing to do."),
        ("mode", "rotate"),
        ("reason", "yearly"),
        ("secret before", BEFORE),
        ("secret after", AFTER),
        ("refreshed at", START.isoformat()),
        ("receiver exposure", "at most 346 ms"),
        ("probe", "accepted: 3 of 3"),
        ("deliveries", "healthy: a delivery succeeded"),
    ]
    assert table_of(report, "Stores") == [
        ["store", "target", "result", "holds", "readable after", "confirmed after"],
        ["a", "memory://a", "written", AFTER, "12 ms", ""],
    ]
    assert table_of(report, "Tasks") == [
        ["task", "state", "seconds"],
        ["rotate", "success", "1.2"],
        ["verify", "none", ""],
        ["settle", "skipped", ""],
    ]
    lines = report.as_text().splitlines()
    assert lines[-2:] == ["- the secret was refreshed a second time", "- settle (skipped): not ours"]
    assert [line for line in lines if line != line.rstrip()] == []


def test_where_nothing_was_written_the_text_tells_what_preflight_found() -> None:
    """And what its probe showed, as long as no later one has shown more."""
    report = a_report(plan=None, tasks=(), found=FOUND)
    assert ("probe before", "refused: 401") in head_of(report)
    assert table_of(report, "Stores, as preflight found them") == [
        ["store", "target", "holds", "fingerprint", "can it be written"],
        ["a", "memory://a", "not compared", BEFORE, "writable"],
        ["b", "memory://b", "absent", "", ""],
    ]
    assert "Stores" not in a_report(plan=None, tasks=(), found=replace(FOUND, stores=None)).as_text()


def test_the_text_of_a_run_that_did_nothing() -> None:
    report = a_report(plan=None, tasks=(), skipped=True, mode=None)
    assert head_of(report) == [
        ("webhook", "production (id not read) at unknown host"),
        ("outcome", "skipped"),
        ("what to do", report.advice),
        ("mode", "unknown"),
        ("secret before", "not read"),
        ("secret after", "not read"),
    ]
    assert "Nothing was changed." in report.advice
    assert "Stores" not in report.as_text()
    assert "Tasks" not in report.as_text()


@pytest.mark.parametrize(
    ("report", "longest"),
    [
        (lambda text: a_report(plan=a_plan(reason=text)), 2200),
        (lambda text: a_report(rotated(replace(WRITTEN, target=text))), 2100),
        (lambda text: a_report(rotated(replace(FAILED, problem=text))), 300),
        (lambda text: a_report(plan=None, found=replace(FOUND, stores=(FoundStore("a", text, "absent"),))), 2100),
        (
            lambda text: a_report(plan=None, found=replace(FOUND, stores=(FoundStore("a", "a", "absent", said=text),))),
            300,
        ),
    ],
    ids=["head", "target", "problem", "found target", "found said"],
)
def test_a_long_text_is_wrapped_and_an_endless_one_cut(report: Callable[[str], RotationReport], longest: int) -> None:
    """The widest path that a store may have is shown in whole."""
    text = report("§" * 5000).as_text()
    assert text.count("§") == longest
    assert max(map(len, text.splitlines())) == 120


def test_a_long_note_stays_on_its_line() -> None:
    """A line of the log must not begin within other people's text."""
    assert f"- {'§' * 2200}" in a_report(rotated(WRITTEN, notes=("§" * 5000,))).as_text().splitlines()


def test_the_cause_is_the_first_failure_or_else_the_first_skip_with_a_reason() -> None:
    skipped, silent = TaskRow("skipped", "skipped", why="late"), TaskRow("silent", "failed")
    first, second = TaskRow("first", "failed", why="refused"), TaskRow("second", "failed", why="down")
    done = TaskRow("done", "success", why="well done")
    assert a_report(tasks=(done, silent, skipped, first, second)).cause == "first: refused"
    assert a_report(tasks=(done, silent, skipped)).cause == "skipped: late"
    assert a_report(tasks=(done, silent)).cause is None


def test_a_failed_store_is_shown_with_its_problem() -> None:
    report = a_report(rotated(FAILED))
    assert "failed: store a: read-only" in report.as_text(width=200)
    assert "unknown" in table_of(report, "Stores")[1]


def test_each_table_stands_apart() -> None:
    lines = a_report(rotated(WRITTEN)).as_text().splitlines()
    assert [lines[lines.index(title) - 1] for title in ("Stores", "Tasks")] == ["", ""]


def test_where_preflight_left_no_word_the_plan_names_the_featurebase() -> None:
    assert a_report(rotated(WRITTEN), found=None).host == a_plan().host


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

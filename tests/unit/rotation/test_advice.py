"""What the person on call reads: only what was seen, and what helps."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from featurebase_provider.rotation.advice import DONE, NOTHING_TO_DO, Outcome, advise, check_outcome
from featurebase_provider.rotation.all_stores import StoreOutcome
from featurebase_provider.rotation.check import StoreCheck
from featurebase_provider.rotation.errors import RunNotDone, StoreUnreachable
from featurebase_provider.rotation.found import Found, FoundStore
from featurebase_provider.rotation.probe import ProbeOutcome
from featurebase_provider.rotation.store import Writability
from tests.world.fakes import WEBHOOK_ID, a_webhook, fingerprint

PAGE = Path(__file__).parents[3] / "docs" / "runbook.md"
HOST = "https://do.featurebase.app"
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
CURRENT, OLD = fingerprint("0"), fingerprint("old")
MATCHES = FoundStore("a", "memory://a", "matches", CURRENT)
DIFFERS = FoundStore("b", "memory://b", "differs", OLD)
LEFT = StoreOutcome("c", "memory://c", "unknown")


def a_found(*stores: FoundStore, status: str = "active", result: str | None = None) -> Found:
    probe = {"result": result, "detail": "d"} if result is not None else None
    return Found(WEBHOOK_ID, HOST, status, CURRENT, stores, probe)


def test_the_page_says_how_to_read_every_outcome() -> None:
    rows = PAGE.read_text().partition("| outcome in the report |")[2].partition("\n\n")[0].splitlines()
    documented = [outcome for row in rows[2:] for outcome in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(documented) == sorted(OUTCOMES)


@pytest.mark.parametrize("emergency", [False, True])
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_has_advice_in_whole_sentences(outcome: Outcome, emergency: bool) -> None:
    text = advise(outcome, emergency=emergency, left=(LEFT,))
    assert text.endswith(".")
    assert "  " not in text
    assert "None" not in text
    assert ("leaked" in text.lower()) is (emergency and outcome in ("unknown", "nothing_changed", "incomplete"))


def test_a_webhook_that_is_gone_has_nothing_left_to_be_set_active_or_cleared_first() -> None:
    text = advise("webhook_gone", status="paused", webhook_id=WEBHOOK_ID, cause="rotate: it is gone", left=(LEFT,))
    assert "no longer exists" in text
    assert "remove it from the rotation file" in text
    assert "set it active" not in text


@pytest.mark.parametrize(("emergency", "whose"), [(False, "the secret"), (True, "the leaked secret")])
def test_where_a_refresh_is_not_settled_rotate_is_cleared(emergency: bool, whose: str) -> None:
    text = advise("unknown", emergency=emergency, status="active", cause="rotate: no answer")
    assert text.startswith(f"It is unknown whether {whose} was refreshed. Clear the rotate task")


@pytest.mark.parametrize(("emergency", "held"), [(False, "the current secret"), (True, "the new secret")])
def test_what_failed_after_the_stores_is_named_and_cleared(emergency: bool, held: str) -> None:
    text = advise("failed", emergency=emergency, cause="probe: it refuses: 401")
    assert f"Every store holds {held}" in text
    assert "Fix what failed (probe; its message is the cause), then clear it." in text


@pytest.mark.parametrize("outcome", ["rotated", "distributed"])
def test_nothing_to_do_needs_proof_and_an_active_webhook(outcome: Any) -> None:
    assert advise(outcome, proven=True, status="active") == NOTHING_TO_DO
    assert advise(outcome, proven=True, status=None) == NOTHING_TO_DO
    unproven = advise(outcome, status="active")
    assert "it is not proven that the receiver accepts it" in unproven
    assert "configure a probe" in unproven
    paused = advise(outcome, proven=True, status="paused", webhook_id=WEBHOOK_ID)
    assert paused.startswith("The webhook is 'paused', so Featurebase delivers nothing.")
    assert f'PATCH /v2/webhooks/{WEBHOOK_ID} {{"status": "active"}}' in paused
    assert advise(outcome, status="paused", webhook_id=WEBHOOK_ID) == f"{unproven} {paused}"


@pytest.mark.parametrize("outcome", ["failed", "incomplete"])
def test_a_paused_webhook_is_told_of_whatever_failed(outcome: Any) -> None:
    assert "set it active" in advise(outcome, status="suspended", left=(LEFT,))
    assert "set it active" not in advise(outcome, status="active", left=(LEFT,))


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (None, "No probe has tested"),
        ("accepted", "The receiver accepted an event"),
        ("refused", "The receiver refuses Featurebase's current secret, so deliveries fail now"),
        ("topic_refused", "refuses the probe's event"),
        ("verifies_nothing", "also accepts events with a wrong signature"),
        ("unreachable", "The probe could not find out"),
        ("unproven", "The probe could not find out"),
        ("of a newer version", "The probe could not find out"),
    ],
)
def test_of_the_receiver_only_what_was_seen(result: str | None, says: str) -> None:
    for outcome in ("nothing_changed", "dry_run"):
        text = advise(outcome, found=a_found(MATCHES, result=result))  # type: ignore[arg-type]
        assert says in text
        assert "None" not in text, "of stores that match there is nothing to say"


def test_where_nothing_was_looked_at_nothing_is_said() -> None:
    assert advise("nothing_changed").startswith("This run changed nothing. Stores and receiver were not checked.")
    unread = Found(WEBHOOK_ID, HOST, "paused", CURRENT)
    text = advise("nothing_changed", found=unread, cause="preflight: it is paused: no")
    assert "The stores were not checked" in text
    assert "The webhook is 'paused'" in text
    assert f"PATCH /v2/webhooks/{WEBHOOK_ID} " in text
    assert "Fix what failed (preflight; its message is the cause), then clear it, or trigger the Dag again." in text


def test_stores_that_are_behind_are_named_with_what_helps() -> None:
    """After a rotation by hand, above all."""
    others = (FoundStore("d", "d", "absent"), FoundStore("e", "e", "foreign", OLD), replace(DIFFERS, ready=False))
    found = a_found(MATCHES, DIFFERS, *others)
    said = str(found.behind_said)
    assert f"current one ({CURRENT}): b (memory://b) holds {OLD}. " in said
    assert "mode=distribute" in said
    assert said in advise("nothing_changed", found=found)
    assert a_found(MATCHES, *others).behind_said is None


@pytest.mark.parametrize(
    ("mode", "began", "says"),
    [
        ("rotate", False, "This run changed nothing."),
        ("distribute", False, "This run changed nothing."),
        ("rotate", True, "Nothing was refreshed: Featurebase's secret is unchanged"),
        ("distribute", True, "Nothing was refreshed. Rotate failed while it updated the stores, so it is unknown what"),
    ],
)
def test_what_the_run_itself_did(mode: str, began: bool, says: str) -> None:
    assert advise("nothing_changed", mode=mode, rotate_began=began).startswith(says)
    assert says in advise("nothing_changed", mode=mode, rotate_began=began)


def test_the_way_forward_depends_on_what_is_left() -> None:
    text = advise("incomplete", left=(LEFT,))
    assert "Not known to hold it: c. Fix the store, then clear its push task" in text
    assert "old secret can't be restored" in text
    assert "Not known to hold it: c." in advise("incomplete", left=(LEFT,), emergency=True)
    overtaken = StoreOutcome("a", "memory://a", "written", OLD)
    for emergency in (False, True):
        said = advise("incomplete", left=(overtaken,), emergency=emergency)
        assert said.startswith(
            "Featurebase's secret was refreshed again after these stores were written: a. Clear the push tasks"
        )
    assert "Not known to hold it: a, c" in advise("incomplete", left=(overtaken, LEFT))
    text = advise("incomplete", rotated=False)
    assert "old secret can't be restored" in text
    assert "Clear the rotate task" in text


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_run_is_a_success_if_its_outcome_is(outcome: Outcome) -> None:
    report = {"outcome": outcome, "advice": "Do this."}
    if outcome in DONE:
        assert check_outcome("production", report) == outcome
    else:
        with pytest.raises(
            RunNotDone, match=f"webhook production: this run's outcome is {outcome}. Do this."
        ) as caught:
            check_outcome("production", report)
        assert not caught.value.retry_helps


def test_a_run_without_a_report_is_no_success() -> None:
    with pytest.raises(RunNotDone, match="Clear the report task"):
        check_outcome("production", None)


def test_what_preflight_found_survives_json() -> None:
    checks = (
        StoreCheck("a", "memory://a", "differs", OLD, Writability(True, "it was locked")),
        StoreCheck("b", "memory://b", "absent", None, Writability(False, "no means")),
        StoreCheck("c", "memory://c", "unknown", problem=StoreUnreachable("c", "no\nanswer")),
        StoreCheck("d", "memory://d", "matches", CURRENT),
    )
    found = Found.of(a_webhook("whsec_0"), HOST).with_stores(checks)
    found = found.with_probe(ProbeOutcome("accepted", "3 of 3", CURRENT, 3, 3))
    assert found.stores is not None
    assert [(one.fingerprint, one.ready) for one in found.stores] == [
        (OLD, True),
        (None, True),
        (None, False),
        (CURRENT, True),
    ]
    assert [one.said for one in found.stores] == [
        "writable (it was locked)",
        "reachable, not provable (no means)",
        "store c: no answer. Check that the store is reachable; a retry reads it before it writes",
        "",
    ]
    assert (found.webhook_id, found.host, found.status, found.current) == (WEBHOOK_ID, HOST, "active", CURRENT)
    assert found.probe == {"result": "accepted", "detail": "3 of 3"}
    raw = found.as_json()
    assert json.loads(json.dumps(raw)) == raw
    assert Found.from_json(raw) == found
    assert Found.from_json({"webhook_id": 1}) is None
    assert Found.from_json(Found.of(a_webhook(None), HOST).as_json()) == Found(WEBHOOK_ID, HOST, "active")


def test_what_a_store_said_is_a_line_of_some_length() -> None:
    """It may quote what others wrote."""
    check = StoreCheck("a", "memory://a", "unknown", problem=StoreUnreachable("a", "no\n" + "x" * 9000))
    (store,) = Found.of(a_webhook(), HOST).with_stores((check,)).stores or ()
    assert (store.said, len(store.said)) == (f"store a: no {'x' * 9000}"[:500], 500)


def test_what_preflight_found_may_be_little_or_odd() -> None:
    found = Found.from_json(
        {
            "webhook_id": WEBHOOK_ID, "host": HOST, "status": "active",
            "stores": [{"label": "a", "target": "memory://a", "holding": "matches"}],
        }
    )  # fmt: skip
    assert found is not None
    assert [(one.said, one.ready) for one in found.stores or ()] == [("", True)]
    early = Found.of(a_webhook(status="s" * 30), HOST)
    assert (early.status, early.behind) == ("s" * 20, ())

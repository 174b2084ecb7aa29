from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from featurebase_provider.audit.findings import ADVICE, Finding
from featurebase_provider.audit.judge import Case, judge
from featurebase_provider.audit.listing import Subject
from featurebase_provider.rotation.check import HeldByStore
from featurebase_provider.rotation.memory import history_of_events
from featurebase_provider.rotation.refresh_log import LoggedRefresh, RefreshLog
from tests.world.fakes import START, WEBHOOK_ID, MemoryStore, a_webhook, fingerprint

CURRENT, OLD = fingerprint("0"), fingerprint("old")
MATCHING = HeldByStore("vault", "vault://secret/app", "matches", CURRENT)


def report(ago: timedelta, after: str = CURRENT, *, refreshed: bool = True) -> dict[str, Any]:
    at = (START - ago).isoformat()
    return {"webhook_id": WEBHOOK_ID, "at": at, "after": after, "refreshed_at": at if refreshed else None}


FRESH = (report(timedelta(days=3)),)


def found(
    *held: HeldByStore,
    webhook: Any = None,
    reports: tuple[dict[str, Any], ...] = FRESH,
    leaked: frozenset[str] = frozenset(),
    previous_in: tuple[str, ...] = (),
    log: RefreshLog | None = None,
    **subject: Any,
) -> list[Finding]:
    facts = {"name": "production", "conn_id": "featurebase_default", "dag_id": "featurebase_rotate__production"}
    about = Subject(**{**facts, "stores": (), "webhook_id": WEBHOOK_ID, **subject})
    shown = a_webhook() if webhook is None else webhook
    history = replace(history_of_events(WEBHOOK_ID, reports).knowing(leaked=leaked), previous_in=previous_in)
    return judge(Case(about, START, shown or None, held or (MATCHING,), history, log or RefreshLog()))


def kinds(*held: HeldByStore, **how: Any) -> list[str]:
    return [one.kind for one in found(*held, **how)]


def one(*held: HeldByStore, **how: Any) -> Finding:
    (finding,) = found(*held, **how)
    return finding


def test_nothing_is_found_where_all_is_well() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("held", "kind", "heals"),
    [
        (HeldByStore("vault", "v", "differs", OLD), "store_differs", True),
        (HeldByStore("vault", "v", "padded", OLD), "store_differs", True),
        (HeldByStore("vault", "v", "absent"), "store_absent", True),
        (HeldByStore("vault", "v", "unfinished", CURRENT), "store_unfinished", True),
        (HeldByStore("vault", "v", "foreign", OLD, problem="it belongs to others"), "store_foreign", False),
        (HeldByStore("vault", "v", "unknown", problem="down"), "store_unreachable", False),
    ],
)
def test_what_a_store_holds_is_a_finding_or_not(held: HeldByStore, kind: str, heals: bool) -> None:
    finding = one(held)
    assert (finding.kind, finding.store, finding.heals) == (kind, "vault", heals)
    assert (finding.webhook, finding.dag_id) == ("production", "featurebase_rotate__production")
    assert finding.where == "production, store vault"
    assert (held.problem or held.target) in finding.detail


@pytest.mark.parametrize("holding", ["matches", "not_readable", "not_compared"])
def test_a_store_that_matches_or_cannot_be_compared_is_no_finding(holding: Any) -> None:
    assert found(HeldByStore("vault", "v", holding)) == []
    assert found(HeldByStore("vault", "v", holding, may_be_made=False)) == []


def test_of_a_padded_value_it_is_said_what_is_wrong_with_it() -> None:
    assert "white space" in one(HeldByStore("vault", "v", "padded", OLD)).detail


def test_a_foreign_or_unreadable_store_is_named_even_without_its_own_words() -> None:
    for holding in ("foreign", "unknown"):
        assert "vault://x" in one(HeldByStore("vault", "vault://x", holding)).detail  # type: ignore[arg-type]


def test_an_overdue_secret_is_told_from_one_of_unknown_age() -> None:
    overdue = one(reports=(report(timedelta(days=120)),))
    assert (overdue.kind, overdue.detail) == ("secret_overdue", "the secret is 120 d old, max_age is 90 d")
    seen = one(reports=(report(timedelta(days=100), refreshed=False),), max_age=timedelta(days=89))
    assert (seen.kind, "at most" in seen.detail, "90 d old" in seen.detail) == ("secret_overdue", False, True)
    unknown = one(reports=(), max_age=timedelta(days=60))
    assert unknown.kind == "age_unknown"
    assert "unknown, at most 90 d, max_age is 60 d" in unknown.detail
    assert not unknown.heals


def test_a_secret_seen_long_ago_is_at_least_that_old() -> None:
    seen = one(reports=(report(timedelta(days=70), refreshed=False),), max_age=timedelta(days=60))
    assert seen.detail == "the secret is at least 70 d old, max_age is 60 d"


def test_an_unknown_age_within_the_limit_is_no_finding() -> None:
    """A webhook that is younger than max_age has no older secret."""
    assert found(reports=()) == []
    assert found(reports=(), webhook=a_webhook(created_at=START - timedelta(days=900)), max_age=None) == []


@pytest.mark.parametrize("status", ["paused", "suspended", "asleep"])
def test_an_inactive_webhook_is_found_and_its_stores_healed(status: str) -> None:
    """It may be paused because they are behind; no run sets it active."""
    findings = found(
        HeldByStore("vault", "v", "differs", OLD),
        webhook=a_webhook(status=status, health={"consecutiveFailures": 7}),
    )
    assert [(finding.kind, finding.heals) for finding in findings] == [
        ("webhook_inactive", False),
        ("store_differs", True),
    ]
    assert status in findings[0].detail
    assert "7 deliveries in a row failed" in findings[0].detail
    assert one(webhook=a_webhook(status=status)).detail == f"it is {status!r}"


def test_a_webhook_that_may_be_paused_is_no_finding() -> None:
    paused = a_webhook(status="paused")
    assert found(webhook=paused, allow_inactive=True) == []
    assert kinds(webhook=a_webhook(status="suspended"), allow_inactive=True) == ["webhook_inactive"]


def test_failing_deliveries_are_found() -> None:
    status = {"code": 500, "message": "Oh\nno", "timestamp": "2026-01-15T10:00:00Z"}
    never = one(webhook=a_webhook(health={"consecutiveFailures": 3}, last_status=status))
    assert (never.kind, never.detail) == (
        "delivery_failing",
        "3 deliveries in a row failed; none ever succeeded (last result: 500 'Oh no' at 2026-01-15T10:00:00+00:00)",
    )
    once = one(webhook=a_webhook(health={"consecutiveFailures": 3, "lastSuccessAt": "2026-01-14T10:00:00Z"}))
    assert "the last success was at 2026-01-14T10:00:00+00:00" in once.detail
    assert found(webhook=a_webhook(health={"consecutiveFailures": 2})) == []


def test_what_is_missing_and_may_not_be_made_is_not_healed() -> None:
    """``distribute`` would be refused: a person creates it, or says that it may be created."""
    finding = one(HeldByStore("file", "file:///etc/a.env", "absent", may_be_made=False))
    assert (finding.kind, finding.heals) == ("store_missing", False)
    assert ADVICE["store_missing"].startswith("Create it or correct the key, or set create: true for this store")
    assert one(HeldByStore("file", "file:///etc/a.env", "absent")).heals


def test_an_answer_without_a_secret_is_found() -> None:
    assert kinds(webhook=a_webhook(None)) == ["secret_missing"]


def test_stores_of_a_webhook_that_could_not_be_read_are_looked_at_all_the_same() -> None:
    finding = one(HeldByStore("vault", "v", "absent"), webhook=False)
    assert (finding.kind, finding.heals, finding.webhook_id) == ("store_absent", False, WEBHOOK_ID)


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ((report(timedelta(hours=7)),), []),
        ((report(timedelta(hours=9)),), ["previous_overdue"]),
        ((report(timedelta(hours=9), refreshed=False),), ["previous_overdue"]),
        ((), ["previous_age_unknown"]),
    ],
)
def test_a_previous_secret_has_its_time(reports: tuple[dict[str, Any], ...], expected: list[str]) -> None:
    held = HeldByStore("vault", "v", "matches", CURRENT, previous=OLD)
    findings = found(held, reports=reports)
    assert [finding.kind for finding in findings] == expected
    assert all(finding.heals and f"the previous secret {OLD}" in finding.detail for finding in findings)


def test_the_previous_secret_of_a_store_that_differs_goes_with_the_rest() -> None:
    assert kinds(HeldByStore("vault", "v", "differs", OLD, previous=fingerprint("older"))) == ["store_differs"]
    assert found(HeldByStore("vault", "v", "not_readable", previous=OLD), webhook=False) == [], "nor can it be told"


def test_a_place_that_no_store_names_any_more_may_hold_a_previous_secret() -> None:
    """However many stores still name theirs, and whether or not they keep one."""
    stores = [MemoryStore(label, keeps_previous=label != "c") for label in "abc"]
    named = ("memory://a#previous", "memory://b#previous")
    assert found(stores=stores, previous_in=named) == []
    finding = one(stores=stores, previous_in=(*named, "memory://gone#previous"))
    assert (finding.kind, finding.heals) == ("previous_left_behind", False)
    assert "in memory://gone#previous. The rotation file no longer names" in finding.detail


def test_a_finding_tells_the_id_of_a_webhook_that_the_file_knows_by_name() -> None:
    """Of every finding, whatever it is about."""
    findings = found(
        HeldByStore("vault", "v", "absent"), webhook=a_webhook(status="suspended"), webhook_id=None, webhook_name="x"
    )
    assert [(finding.kind, finding.webhook_id) for finding in findings] == [
        ("webhook_inactive", WEBHOOK_ID),
        ("store_absent", WEBHOOK_ID),
    ]


def test_a_leaked_secret_is_found_wherever_it_is() -> None:
    leaked = frozenset({OLD})
    current = found(HeldByStore("vault", "v", "differs", OLD), leaked=leaked)
    assert [finding.kind for finding in current] == ["store_differs", "leaked_secret_held"]
    previous = one(HeldByStore("vault", "v", "matches", CURRENT, previous=OLD), leaked=leaked)
    assert (previous.kind, previous.heals, "as the previous" in previous.detail) == ("leaked_secret_held", True, True)


def test_a_secret_that_has_leaked_is_distributed_nowhere() -> None:
    findings = found(MATCHING, HeldByStore("file", "f", "absent"), leaked=frozenset({CURRENT}))
    assert [(finding.kind, finding.heals) for finding in findings] == [
        ("leaked_secret_current", False),
        ("store_absent", False),
    ]


def logged(ago: timedelta) -> RefreshLog:
    return RefreshLog({WEBHOOK_ID: LoggedRefresh(START - ago, "the API key 'by hand'")})


def test_the_audit_log_makes_an_age_exact() -> None:
    """Also of a secret that no run has refreshed, from the first day."""
    webhook = a_webhook(created_at=START - timedelta(days=200))
    assert one(webhook=webhook, reports=()).kind == "age_unknown"
    assert found(webhook=webhook, reports=(), log=logged(timedelta(days=80))) == []
    overdue = one(webhook=webhook, reports=(), log=logged(timedelta(days=120)))
    assert (overdue.kind, overdue.detail) == ("secret_overdue", "the secret is 120 d old, max_age is 90 d")


def test_a_refresh_that_no_run_recorded_is_found() -> None:
    """It is named by kind and key; one that a run recorded, or has replaced since, is none."""
    elsewhere = one(reports=(report(timedelta(days=9), OLD),), log=logged(timedelta(days=3)))
    assert (elsewhere.kind, elsewhere.heals) == ("rotated_elsewhere", False)
    assert "2026-01-12T10:30:00+00:00 by the API key 'by hand'" in elsewhere.detail
    for days in (3, 4, 30):
        assert found(log=logged(timedelta(days=days))) == []

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from featurebase_provider.rotation.audit_age import SecretAge, rounded, secret_age
from tests.unit.rotation.fakes import START

CREATED = START - timedelta(days=400)
FINGERPRINT, OTHER = "sha256:0000000000000001", "sha256:0000000000000002"


def a_report(days_ago: float, after: str | None = FINGERPRINT, *, refreshed: bool = False) -> dict[str, Any]:
    at = (START - timedelta(days=days_ago)).isoformat()
    return {"at": at, "after": after, "refreshed_at": at if refreshed else None}


def age_of(*reports: dict[str, Any], created_at: datetime | None = CREATED) -> SecretAge:
    return secret_age(reports, FINGERPRINT, created_at=created_at, now=START)


def days(at_least: float, at_most: float) -> SecretAge:
    return SecretAge(timedelta(days=at_least), timedelta(days=at_most))


@pytest.mark.parametrize(
    ("reports", "age"),
    [
        ([], days(0, 400)),
        ([a_report(12, refreshed=True)], days(12, 12)),
        ([a_report(12, refreshed=True), a_report(3)], days(12, 12)),
        ([a_report(12)], days(12, 400)),
        ([a_report(20, OTHER), a_report(12), a_report(3)], days(12, 20)),
        ([a_report(20, OTHER)], days(0, 20)),
        ([a_report(20, OTHER), a_report(12), a_report(5, OTHER), a_report(3)], days(12, 20)),
        ([a_report(500, OTHER)], days(0, 400)),
        ([a_report(30, None)], days(0, 400)),
        ([a_report(500)], days(400, 400)),
    ],
    ids=[
        "no report",
        "refreshed by us",
        "refreshed by us, seen later",
        "seen only: at least that old",
        "another one was seen before",
        "another one was seen, this one never",
        "only what was seen before the first sight of it bounds its age",
        "a report from before the webhook",
        "a report that saw none",
        "never older than the webhook",
    ],
)
def test_the_age_is_bounded_by_what_was_seen(reports: list[dict[str, Any]], age: SecretAge) -> None:
    assert age_of(*reports) == age


def test_without_the_webhooks_age_only_reports_bound_it() -> None:
    assert age_of(created_at=None) == SecretAge(timedelta(), None)
    assert age_of(created_at=None).may_be_over(timedelta(days=9000))
    assert age_of(a_report(12), created_at=None) == SecretAge(timedelta(days=12), None)
    assert age_of(a_report(12, refreshed=True), created_at=None) == days(12, 12)


def test_clocks_that_disagree_make_no_negative_age() -> None:
    assert age_of(a_report(-1, refreshed=True)) == days(0, 0)
    assert age_of(a_report(-1)) == days(0, 400)
    assert age_of(created_at=START + timedelta(days=1)) == days(0, 0)


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (days(12, 12), "12 d"),
        (days(0, 400), "unknown, at most 400 d"),
        (days(12, 20), "unknown, 12 d to 20 d"),
        (days(0.5, 1.5), "unknown, at most 1 d 12 h"),
        (SecretAge(timedelta(days=12), None), "unknown"),
    ],
)
def test_the_age_is_said_with_its_doubt(age: SecretAge, words: str) -> None:
    assert str(age) == words


def test_what_can_be_said_about_a_limit() -> None:
    limit = timedelta(days=90)
    assert (days(91, 91).is_over(limit), days(90, 90).is_over(limit)) == (True, False)
    assert (days(0, 91).is_over(limit), days(0, 91).may_be_over(limit)) == (False, True)
    assert not days(0, 90).may_be_over(limit)


def test_hours_matter_for_young_things_only() -> None:
    assert (rounded(timedelta(hours=9)), rounded(timedelta(days=9, hours=9))) == ("9 h", "9 d")

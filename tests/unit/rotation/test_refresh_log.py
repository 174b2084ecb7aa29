"""What is taken from Featurebase's audit log, and that nothing depends on it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from featurebase_provider.featurebase.errors import ApiUnavailable, InvalidRequest, PermissionDenied, UnexpectedAnswer
from featurebase_provider.rotation.age import SecretAge
from featurebase_provider.rotation.history import History
from featurebase_provider.rotation.refresh_log import MOST_ENTRIES, RefreshLog, read_refresh_log
from tests.world.fakes import START, WEBHOOK_ID, Clock, FakeFeaturebase, a_logged_refresh, fingerprint

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
A, B = fingerprint("a"), fingerprint("b")


def logging(*entries: Any) -> FakeFeaturebase:
    api = FakeFeaturebase(Clock())
    api.log = list(entries)
    return api


def test_the_newest_refresh_of_each_webhook() -> None:
    """In whatever order they come, and with entries of other kinds among them."""
    other = "1" * 24
    log = read_refresh_log(
        logging(
            a_logged_refresh(START - 2 * DAY),
            a_logged_refresh(START, action="webhook.updated"),
            a_logged_refresh(START - DAY, actor={"type": "admin"}),
            a_logged_refresh(START - 3 * DAY, other),
            a_logged_refresh(START, resource=None),
        )
    )
    assert log.refreshed_at(WEBHOOK_ID) == START - DAY
    assert log.newest[WEBHOOK_ID].by == "'admin'"
    assert log.newest[other].by == "the API key 'by hand'"
    assert log.refreshed_at("2" * 24) is None
    assert log.problem is None


def test_other_peoples_text_stays_in_its_line() -> None:
    actor = {"type": "x\n" * 50, "apiKey": {"name": "a\nb\x1b[31m" * 50}}
    said = read_refresh_log(logging(a_logged_refresh(START, actor=actor))).newest[WEBHOOK_ID].by
    assert len(said) < 100
    assert said.isprintable()


@pytest.mark.parametrize(
    "error",
    [
        PermissionDenied("GET", "/v2/audit-logs", 403),
        InvalidRequest("GET", "/v2/audit-logs", 404),
        ApiUnavailable("GET", "/v2/audit-logs", 500),
        UnexpectedAnswer("GET", "/v2/audit-logs", 200, detail="not JSON"),
    ],
)
def test_a_log_that_cannot_be_read_is_an_answer(error: Exception) -> None:
    api = logging()
    api.log = error
    log = read_refresh_log(api)
    assert (log.newest, log.refreshed_at(WEBHOOK_ID)) == ({}, None)
    assert log.problem is not None
    assert "/v2/audit-logs" in log.problem


def test_what_was_read_before_a_failure_counts() -> None:
    """It is the newest part."""

    class Breaking:
        def audit_log(self, action: Any = None, since: Any = None) -> Any:
            yield a_logged_refresh(START)
            raise ApiUnavailable("GET", "/v2/audit-logs", 500)

    log = read_refresh_log(Breaking())
    assert log.refreshed_at(WEBHOOK_ID) == START
    assert log.problem is not None


def test_a_long_log_is_not_read_to_its_end() -> None:
    entries = [a_logged_refresh(START - number * MINUTE, "1" * 24) for number in range(MOST_ENTRIES)]
    log = read_refresh_log(logging(*entries, a_logged_refresh(START - DAY)))
    assert log == RefreshLog({"1" * 24: log.newest["1" * 24]})


def seen(*secrets: tuple[str, Any]) -> History:
    history = History(WEBHOOK_ID)
    for name, at in secrets:
        history = history.seeing(name, at.isoformat())
    return history


@pytest.mark.parametrize(
    ("history", "logged", "age"),
    [
        (History(WEBHOOK_ID), START - 3 * DAY, SecretAge(3 * DAY, 3 * DAY)),  # the first day
        (seen((A, START - 9 * DAY), (B, START - 2 * DAY)), START - 3 * DAY, SecretAge(3 * DAY, 3 * DAY)),
        (seen((B, START - 2 * DAY)), START - DAY, SecretAge(2 * DAY, None)),  # it was seen before: the read is stale
        (seen((A, START - DAY)), START - 3 * DAY, SecretAge(timedelta(), DAY)),  # another was seen since: the log lags
        (seen((A, START - 9 * DAY)), None, SecretAge(timedelta(), 9 * DAY)),
        (History(WEBHOOK_ID), START + HOUR, SecretAge(timedelta(), timedelta())),  # clocks differ
    ],
)
def test_the_age_is_exact_if_the_log_agrees_with_what_runs_saw(history: History, logged: Any, age: SecretAge) -> None:
    assert history.age(B, now=START, logged_at=logged) == age


def test_what_a_run_recorded_counts_more_than_the_log() -> None:
    history = History(WEBHOOK_ID).seeing(B, START.isoformat(), refreshed_at=(START - HOUR).isoformat())
    assert history.age(B, now=START, logged_at=START - 9 * DAY) == SecretAge(HOUR, HOUR)


def test_which_refreshes_runs_explain() -> None:
    """Those that a run recorded, give or take the request's own time; and what is older than what runs saw since."""
    ours = START - 2 * DAY
    history = seen((A, START - 9 * DAY)).seeing(B, ours.isoformat(), refreshed_at=ours.isoformat())
    assert history.explains(ours + MINUTE)
    assert history.explains(ours - MINUTE)
    assert not history.explains(ours + 5 * MINUTE)
    assert history.explains(ours - DAY)  # a run of ours has replaced that secret since
    assert history.explains(START - 10 * DAY)
    assert not seen((A, START - 9 * DAY)).explains(START - DAY)
    assert History(WEBHOOK_ID).explains(START)


def test_a_refresh_whose_secret_a_run_has_seen_since_is_no_news() -> None:
    """Rotate was lost before it recorded its refresh, or a person refreshed and had it distributed."""
    history = seen((A, START - 9 * DAY), (B, START - DAY))
    assert history.explains(START - DAY - 5 * MINUTE)
    assert not history.explains(START - DAY + 5 * MINUTE), "and nobody has run anything since that one"

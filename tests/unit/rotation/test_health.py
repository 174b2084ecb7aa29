from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.featurebase.text import one_line
from featurebase_provider.rotation.health import HealthWatch, last_result
from tests.world.fakes import START, a_webhook

NOW = START + timedelta(hours=1)


def reading(
    code: int | None = None,
    *,
    at: float | None = None,
    failures: int | None = 0,
    success: float | None = None,
    **changes: Any,
) -> Webhook:
    """A reading; times are seconds after the moment from which results count."""
    last = None if at is None else {"code": code, "message": "said", "timestamp": START + timedelta(seconds=at)}
    succeeded = None if success is None else START + timedelta(seconds=success)
    health = {"consecutive_failures": failures, "last_success_at": succeeded}
    return a_webhook(last_status=last, health=health, **changes)


def verdicts(*readings: Webhook) -> list[str | None]:
    """What is decided after each reading."""
    watch = HealthWatch(START)
    return [verdict.kind if (verdict := watch.observe(one, now=NOW)) else None for one in readings]


def conclusion(*readings: Webhook) -> str:
    watch = HealthWatch(START)
    for one in readings[:-1]:
        assert watch.observe(one, now=NOW) is None
    return watch.conclude(readings[-1], now=NOW).kind


def test_a_success_after_the_push_is_healthy() -> None:
    assert verdicts(reading(200, at=1, success=1)) == ["healthy"]


@pytest.mark.parametrize("seconds", [-1, 0])
def test_a_success_before_it_says_nothing(seconds: float) -> None:
    """A delivery that was under way at the push may be signed with the old secret and accepted."""
    one = reading(200, at=seconds, success=seconds)
    assert verdicts(one) == [None]
    assert conclusion(one) == "quiet"


def test_nothing_delivered_is_quiet() -> None:
    assert conclusion(reading(), reading()) == "quiet"


@pytest.mark.parametrize("code", [401, 500, 301, 418, None])
def test_three_late_failures_in_a_row_decide(code: int | None) -> None:
    """A redirect and no answer at all are failed deliveries too."""
    readings = [reading(code, at=count, failures=count, success=-60) for count in (1, 2, 3)]
    assert verdicts(*readings) == [None, None, "failing"]


def test_failures_before_the_push_do_not_count() -> None:
    """Featurebase shows a running number: only what came on top since the first late one is counted."""
    assert verdicts(
        reading(500, at=-5, failures=7),
        reading(401, at=1, failures=8),
        reading(401, at=2, failures=9),
        reading(401, at=3, failures=10),
    ) == [None, None, None, "failing"]


def test_failures_that_were_missed_between_two_looks_count_as_one() -> None:
    """Never too many: five at the first look may be four old ones and one late one."""
    assert verdicts(reading(401, at=1, failures=5), reading(401, at=2, failures=6)) == [None, None]


def test_failures_since_a_late_success_are_all_late() -> None:
    assert verdicts(reading(401, at=9, failures=3, success=1)) == ["failing"]


def test_a_number_that_began_anew_is_counted_anew() -> None:
    """Setting a webhook active resets its figures: the failures after that must not drown in the earlier number."""
    assert verdicts(
        reading(401, at=1, failures=9),
        reading(401, at=5, failures=1),
        reading(401, at=6, failures=2),
        reading(401, at=7, failures=3),
    ) == [None, None, None, "failing"]


@pytest.mark.parametrize("failures", [2, 1])
def test_a_number_that_has_not_grown_has_begun_anew(failures: int) -> None:
    """Featurebase may have counted up to the earlier number again: the one failure that was seen counts all the same.

    Here the first late failure was the third in a row, so two of the earlier number were old.
    """
    assert conclusion(reading(401, at=1, failures=3), reading(401, at=5, failures=failures)) == "failing"


def test_a_reset_seen_as_such_starts_the_count_again() -> None:
    assert verdicts(
        reading(401, at=1, failures=2),
        reading(401, at=1, failures=0),
        reading(401, at=6, failures=1),
        reading(401, at=7, failures=2),
        reading(401, at=8, failures=3),
    ) == [None, None, None, None, "failing"]


def test_a_recovery_is_healthy() -> None:
    assert verdicts(reading(401, at=1, failures=1), reading(200, at=2, success=2)) == [None, "healthy"]


def test_one_late_failure_and_no_success_at_the_end_is_failing() -> None:
    assert conclusion(reading(401, at=1, failures=1)) == "failing"


@pytest.mark.parametrize("failures", [1, 2])
def test_one_or_two_failures_after_a_success_are_no_verdict(failures: int) -> None:
    """The success shows that the receiver accepts the new secret; a third failure would decide."""
    watch = HealthWatch(START)
    one = reading(401, at=2, failures=failures, success=1)
    verdict = watch.conclude(one, now=NOW)
    assert verdict.kind == "quiet"
    assert verdict.detail.startswith("too few deliveries after the push to decide (last result: 401")
    assert watch.delivered(one, now=NOW)


def without_health(code: int | None, at: float, **changes: Any) -> Webhook:
    """A reading without any figures, as ``health: null`` gives it."""
    last = {"code": code, "message": "said", "timestamp": START + timedelta(seconds=at)}
    return a_webhook(last_status=last, **changes)


def test_without_figures_a_failure_is_none_the_less_one() -> None:
    """``health: null`` and a 401 is not "nothing delivered"."""
    assert without_health(401, at=1).health.consecutive_failures is None
    assert verdicts(without_health(401, at=1)) == [None]
    assert conclusion(without_health(401, at=1)) == "failing"


def test_without_figures_a_success_is_none_the_less_one() -> None:
    assert verdicts(without_health(200, at=1)) == ["healthy"]
    assert verdicts(without_health(200, at=-1)) == [None]


def test_without_a_count_the_last_result_says_whether_failures_followed_a_success() -> None:
    """``consecutiveFailures: null`` is no good news."""
    assert verdicts(reading(401, at=2, failures=None, success=1)) == [None]
    assert conclusion(reading(401, at=2, failures=None, success=1)) == "quiet"
    assert verdicts(reading(200, at=2, failures=None, success=2)) == ["healthy"]


def test_without_a_count_the_failures_seen_are_counted() -> None:
    """Each by its date: the same result read twice is one failure."""
    readings = [without_health(401, at=at) for at in (1, 1, 2, 2, 2, 3)]
    assert verdicts(*readings) == [None, None, None, None, None, "failing"]


def test_without_a_count_a_result_that_is_no_failure_begins_anew() -> None:
    old = without_health(401, at=-1)
    readings = [without_health(401, at=1), without_health(401, at=2), old, without_health(401, at=3)]
    assert verdicts(*readings) == [None, None, None, None]


def test_a_count_that_is_not_zero_is_no_success() -> None:
    """Figures that contradict each other decide nothing; the next reading may."""
    assert verdicts(reading(200, at=2, failures=2, success=2)) == [None]
    assert conclusion(reading(200, at=2, failures=2, success=2)) == "quiet"


def test_a_code_that_could_not_be_read_is_no_failure() -> None:
    """None is an answer that never came, but not where there was a text in its place."""
    last = {"code": "two hundred", "message": "said", "timestamp": (START + timedelta(seconds=1)).isoformat()}
    facts = a_webhook().model_dump(mode="json", by_alias=True, exclude={"secret"})
    webhook = Webhook.model_validate({**facts, "secret": "whsec_0", "lastStatus": last})
    assert "lastStatus.code" in webhook.unread
    assert verdicts(webhook, webhook, webhook) == [None, None, None]
    assert conclusion(webhook) == "quiet"


@pytest.mark.parametrize("code", [200, 401])
def test_a_result_from_the_future_does_not_count(code: int) -> None:
    """Whoever dated it did not know the time, so it may be from before the push."""
    ahead = 3600 + 61
    one = reading(code, at=ahead, failures=0 if code == 200 else 3, success=ahead if code == 200 else None)
    watch = HealthWatch(START)
    assert watch.observe(one, now=NOW) is None
    verdict = watch.conclude(one, now=NOW)
    assert (verdict.kind, verdict.detail) == ("quiet", "Featurebase delivered nothing after the push")
    assert not watch.delivered(one, now=NOW)


AHEAD = 3600 + 60


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (reading(200, at=AHEAD), "healthy"),
        (reading(success=AHEAD), "healthy"),
        (reading(401, at=AHEAD, failures=1), "failing"),
    ],
    ids=["the last result", "the last success", "a failure"],
)
def test_clocks_of_one_service_may_differ_by_a_minute(one: Webhook, kind: str) -> None:
    assert conclusion(one) == kind
    watch = HealthWatch(START)
    watch.observe(one, now=NOW)
    assert watch.delivered(one, now=NOW)


def test_the_conclusion_may_be_the_first_look() -> None:
    assert conclusion(reading(200, at=1, success=1)) == "healthy"


@pytest.mark.parametrize("status", ["paused", "suspended", "invented"])
def test_an_inactive_webhook_decides_at_once(status: str) -> None:
    """There will be no delivery to wait for, whatever the figures say."""
    assert verdicts(reading(200, at=1, success=1, status=status)) == ["inactive"]
    assert conclusion(reading(status=status)) == "inactive"


def test_the_verdict_quotes_featurebase() -> None:
    watch = HealthWatch(START)
    verdict = watch.conclude(reading(401, at=1, failures=1), now=NOW)
    assert verdict.detail.endswith("(last result: 401 'said' at 2026-01-15T10:30:01+00:00)")


def test_no_result_is_no_text() -> None:
    assert last_result(a_webhook()) == ""


def test_a_receivers_answer_that_quotes_a_secret_is_cleaned() -> None:
    """It would end in XCom, the report and the audit trail, which nothing masks."""
    header = 'own "credential" of the receiver'
    quoted = ["whsec_older", header, quote(header), base64.b64encode(header.encode()).decode()]
    last = {"code": 401, "message": f"refused: {' | '.join(quoted)}\n.", "timestamp": START}
    webhook = a_webhook(last_status=last, request_config={"headers": {"X-Key": header}})
    assert "401 'refused: [redacted] | [redacted] | [redacted] | [redacted] .'" in last_result(webhook)


def test_a_long_answer_is_cut_behind_its_secrets_and_not_through_them() -> None:
    """Half a secret would be found by no search for it."""
    header = "the receiver's own credential"
    last = {"code": 401, "message": f"{'x' * 185} {header} {'y' * 100}", "timestamp": START}
    shown = last_result(a_webhook(last_status=last, request_config={"headers": {"X-Key": header}}))
    assert f"{'x' * 185} [redacted]" in shown
    assert header[:5] not in shown
    assert len(shown) < 300


def test_other_peoples_text_becomes_one_line() -> None:
    assert one_line("a\n\x1b[31mred\u2028b\t c") == "a [31mred b c"
    assert one_line("x" * 300) == "x" * 200
    assert one_line("abc", 2) == "ab"
    assert one_line(None) == ""

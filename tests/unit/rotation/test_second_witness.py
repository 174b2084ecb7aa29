"""What Featurebase's audit log adds where reads of the webhook go on showing the plan's secret."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from featurebase_provider.featurebase.errors import ApiUnreachable, InvalidRequest, PermissionDenied
from featurebase_provider.rotation.errors import RefreshOutcomeUnknown
from featurebase_provider.rotation.refresh import CompareAndSwap
from featurebase_provider.rotation.refresh_log import RefreshesSincePlan, read_refreshes_since
from tests.world.fakes import (
    START,
    WEBHOOK_ID,
    Clock,
    FakeFeaturebase,
    a_logged_refresh,
    a_plan,
    a_webhook,
    fingerprint,
)

LONG = 1000.0
PATH = "/v2/audit-logs"


@pytest.fixture
def logging(api: FakeFeaturebase) -> FakeFeaturebase:
    """A Featurebase whose log shows every refresh at once, and whose reads show the state before it for long."""
    api.log_lag, api.lag = 0.0, LONG
    return api


def swap(api: FakeFeaturebase, **changes: Any) -> CompareAndSwap:
    plan = changes.pop("plan", a_plan(api.history[1]))
    return CompareAndSwap(
        **{"api": api, "plan": plan, "clock": api.clock, "log": lambda: read_refreshes_since(api, plan), **changes}
    )


def retrying(api: FakeFeaturebase, **changes: Any) -> CompareAndSwap:
    return swap(api, later_attempt=True, **changes)


@pytest.mark.parametrize("fault", ["lost_after", "old_answer_after", "no_secret_after", 3.0])
def test_a_refresh_that_only_the_log_shows_is_not_sent_again(logging: FakeFeaturebase, fault: Any) -> None:
    """Not in this try, and not in any later one; as soon as a read shows its secret, that is taken."""
    logging.post_script.append(fault)
    by = "by the API key 'by hand', but for 60 s reads have shown the old secret"
    with pytest.raises(RefreshOutcomeUnknown, match=by) as caught:
        swap(logging).run()
    assert caught.value.retry_helps
    assert "most likely nothing was refreshed" not in str(caught.value)
    for _ in range(3):
        with pytest.raises(RefreshOutcomeUnknown, match=f"This try sent no refresh: .*{by}"):
            retrying(logging).run()
    assert (logging.posts, logging.committed) == (1, 1)
    logging.stale_until = 0.0
    assert retrying(logging).run().how == "already_done"
    assert (logging.posts, logging.committed) == (1, 1)


def test_the_message_names_time_and_kind_of_actor(logging: FakeFeaturebase) -> None:
    logging.rotated()
    assert isinstance(logging.log, list)
    logging.log[0] = a_logged_refresh(START + timedelta(seconds=5), actor={"type": "admin"})
    at = (START + timedelta(seconds=5)).isoformat()
    with pytest.raises(RefreshOutcomeUnknown, match="'admin'") as caught:
        retrying(logging).run()
    said = str(caught.value)
    assert at in said
    assert fingerprint("0") in said
    assert "trigger a new run" in said
    assert "whsec" not in said


def test_somebody_elses_refresh_is_a_witness_too(logging: FakeFeaturebase, clock: Clock) -> None:
    """A person was faster. The plan's secret is over whoever did it, so a refresh would replace theirs."""
    logging.post_script.append("lost_before")
    with pytest.raises(RefreshOutcomeUnknown, match="most likely nothing was refreshed"):
        swap(logging).run()
    logging.rotated()
    with pytest.raises(RefreshOutcomeUnknown, match="This try sent no refresh"):
        retrying(logging).run()
    assert (logging.posts, logging.committed) == (1, 0)


@pytest.mark.parametrize(
    "log",
    [PermissionDenied("GET", PATH, 403), InvalidRequest("GET", PATH, 404), ApiUnreachable("GET", PATH, detail="hung")],
)
def test_without_the_log_all_is_as_without_a_witness(logging: FakeFeaturebase, log: Exception) -> None:
    logging.log = log
    logging.post_script.append("lost_after")
    with pytest.raises(RefreshOutcomeUnknown, match="most likely nothing was refreshed"):
        swap(logging).run()
    assert retrying(logging).run().how == "answered"
    assert logging.posts == 2


def test_a_log_that_lags_proves_nothing(logging: FakeFeaturebase) -> None:
    logging.log_lag = 10 * LONG
    logging.post_script.append("lost_after")
    with pytest.raises(RefreshOutcomeUnknown, match="most likely nothing was refreshed"):
        swap(logging).run()
    assert retrying(logging).run().how == "answered"


def test_a_log_that_has_caught_up_by_the_next_try_counts(logging: FakeFeaturebase) -> None:
    logging.log_lag = 90.0
    logging.post_script.append("lost_after")
    with pytest.raises(RefreshOutcomeUnknown, match="most likely nothing was refreshed"):
        swap(logging).run()
    with pytest.raises(RefreshOutcomeUnknown, match="audit log shows"):
        retrying(logging).run()
    assert logging.posts == 1


def test_what_was_read_before_the_log_broke_counts(logging: FakeFeaturebase) -> None:
    logging.rotated()
    shown = read_refreshes_since(logging, a_plan(logging.history[1])).refreshes
    with pytest.raises(RefreshOutcomeUnknown, match="audit log shows"):
        retrying(logging, log=lambda: RefreshesSincePlan(shown, problem="no second page")).run()


@pytest.mark.parametrize("later_attempt", [False, True])
def test_an_emergency_never_asks_the_log(logging: FakeFeaturebase, later_attempt: bool) -> None:
    """To replace the secret once more does no harm; to wait for reads to catch up does."""
    plan = a_plan(logging.history[1], mode="emergency")
    logging.post_script.append("lost_after")
    with pytest.raises(RefreshOutcomeUnknown, match="most likely nothing was refreshed"):
        swap(logging, plan=plan, later_attempt=later_attempt).run()
    assert retrying(logging, plan=plan).run().how == "answered"
    assert (logging.posts, logging.log_reads) == (2, 0)


def test_the_log_is_read_only_where_reads_do_not_tell(logging: FakeFeaturebase) -> None:
    """It costs no call where a refresh was answered, found, or already done."""
    logging.lag = 0.0
    plan = a_plan(logging.history[1])
    logging.post_script.append("lost_after")
    assert swap(logging).run().how == "found_after_lost_answer"
    assert retrying(logging, plan=plan).run().how == "already_done"
    assert swap(logging, plan=a_plan(logging.current, planned_at=logging.clock.server_now().isoformat())).run()
    assert logging.log_reads == 0


def test_it_is_read_once_and_before_the_last_comparison(logging: FakeFeaturebase, clock: Clock) -> None:
    """The compared secret is at most seconds old when the refresh is sent, however long the log took."""
    order: list[str] = []
    logging.on_read = lambda count: order.append("webhook")

    def log() -> RefreshesSincePlan:
        order.append("log")
        return RefreshesSincePlan()

    assert retrying(logging, log=log).run().how == "answered"
    assert order.count("log") == 1
    assert order[-2:] == ["log", "webhook"]


# What counts as a refresh since the plan.


def since(*logged: timedelta, **plan: Any) -> list[float]:
    """Seconds from the plan to each refresh that counts."""
    api = FakeFeaturebase(Clock())
    api.log = [a_logged_refresh(START + after) for after in logged]
    return [(one.at - START).total_seconds() for one in read_refreshes_since(api, a_plan(**plan)).refreshes]


def test_a_plans_time_is_known_to_about_a_second() -> None:
    """The clock is estimated from whole seconds. To take an earlier refresh for a later one costs a new run at most."""
    seconds = [timedelta(seconds=number) for number in (-3600.0, -1.1, -0.9, 0.0, 0.5, 60.0)]
    assert since(*seconds) == [60.0, 0.5, 0.0, -0.9]


@pytest.mark.parametrize(
    ("shown", "counts"),
    [
        (START - timedelta(milliseconds=600), []),  # the refresh that made the plan's secret
        (START - timedelta(milliseconds=900), [-0.5]),
        ((START - timedelta(milliseconds=600)).replace(microsecond=0), []),  # the same, from a GET with whole seconds
        (None, [-0.5]),
    ],
)
def test_the_refresh_that_made_the_plans_secret_does_not_count(shown: Any, counts: list[float]) -> None:
    assert since(timedelta(milliseconds=-500), webhook=a_webhook(updated_at=shown)) == counts


def test_other_webhooks_refreshes_are_none_of_the_plans() -> None:
    api = FakeFeaturebase(Clock())
    api.log = [a_logged_refresh(START, "1" * 24), a_logged_refresh(START), a_logged_refresh(START, action="other")]
    assert len(read_refreshes_since(api, a_plan()).refreshes) == 1
    assert a_plan().webhook_id == WEBHOOK_ID

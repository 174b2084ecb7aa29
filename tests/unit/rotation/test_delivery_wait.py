from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from featurebase_provider.featurebase.errors import ApiUnavailable, AuthenticationFailed
from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.featurebase.server_clock import ServerClock
from featurebase_provider.rotation.health import MAX_POLL_FAILURES, DeliveryWait, HealthWatch, pause_after
from tests.world.fakes import START, a_webhook, api_unreachable

DOWN = ApiUnavailable("GET", "/v2/webhooks/5", 503)


class Machine:
    """A machine whose clock is so many hours ahead of Featurebase's."""

    def __init__(self, hours: float = 0.0) -> None:
        self.server_now = START
        self.ahead = timedelta(hours=hours)
        self.clock = ServerClock(local=lambda: (self.server_now + self.ahead).timestamp())
        self.said: list[str] = []

    def hears(self) -> None:
        """An answer of Featurebase's arrives, in the middle of a second, as its date is taken to have been."""
        at = self.clock.local() + 0.5
        self.clock.observe(format_datetime(self.server_now, usegmt=True), sent_at=at, received_at=at)

    def wait(self, **facts: Any) -> DeliveryWait:
        return DeliveryWait(
            **{
                "watch": HealthWatch(START),
                "until": START + timedelta(minutes=15),
                "poll_interval": 15.0,
                "clock": self.clock,
                "say": self.said.append,
                **facts,
            }
        )


def delivered(code: int, at: float) -> Webhook:
    moment = START + timedelta(seconds=at)
    return a_webhook(last_status={"code": code, "message": "said", "timestamp": moment})


EVERYWHERE = pytest.mark.parametrize("hours", [0, 3, -3])


@EVERYWHERE
def test_the_wait_lasts_as_long_wherever_it_is_waited(hours: float) -> None:
    """A triggerer whose clock is hours off neither ends it at once nor waits for hours."""
    machine = Machine(hours)
    wait = machine.wait()
    ends: list[str | None] = []
    for _ in range(61):
        machine.hears()
        ends.append(wait.take(a_webhook()))
        machine.server_now += timedelta(seconds=15)
    assert ends == [None] * 60 + ["quiet"]


@EVERYWHERE
def test_a_verdict_ends_it(hours: float) -> None:
    machine = Machine(hours)
    wait = machine.wait()
    machine.hears()
    assert wait.take(a_webhook()) is None
    machine.server_now += timedelta(seconds=15)
    machine.hears()
    assert wait.take(delivered(200, at=5)) == "healthy"


@EVERYWHERE
def test_the_last_read_is_when_the_wait_is_over(hours: float) -> None:
    machine = Machine(hours)
    wait = machine.wait()
    assert wait.pause == 15.0  # nobody has told the time yet
    machine.hears()
    assert wait.pause == 15.0
    machine.server_now += timedelta(minutes=14, seconds=50)
    assert wait.pause == pytest.approx(10.0)
    machine.server_now += timedelta(minutes=1)
    assert wait.pause == 0.0
    assert wait.take(delivered(401, at=5)) == "failing"


@EVERYWHERE
def test_the_first_reads_come_soon_after_a_result_can_count(hours: float) -> None:
    """By Featurebase's clock; none before that, since it could decide nothing."""
    machine = Machine(hours)
    machine.hears()
    wait = machine.wait(watch=HealthWatch(START + timedelta(seconds=5)), until=START + timedelta(seconds=15))
    pauses = wait.first_pauses()
    for expected in (5 + 1, 2, 4, 3, 0):  # the fourth would be 8, but the wait ends before
        pause = next(pauses)
        assert pause == pytest.approx(expected)
        machine.server_now += timedelta(seconds=pause)


def test_the_first_reads_are_not_further_apart_than_the_others() -> None:
    machine = Machine()
    machine.hears()
    pauses = machine.wait(poll_interval=1.5).first_pauses()
    assert [next(pauses) for _ in range(3)] == pytest.approx([1.0, 1.5, 1.5])


def test_the_first_reads_are_a_whole_interval_apart_while_nobody_has_told_the_time() -> None:
    machine = Machine(hours=-3)
    pauses = machine.wait(watch=HealthWatch(START + timedelta(seconds=5))).first_pauses()
    assert next(pauses) == 15.0
    machine.hears()
    assert next(pauses) == pytest.approx(5 + 2)


@EVERYWHERE
def test_reads_may_fail_but_not_for_ever(hours: float) -> None:
    """Where no answer ever came nobody knows the time: the number of failures is the bound."""
    machine = Machine(hours)
    wait = machine.wait()
    ends = [wait.fail(api_unreachable()) for _ in range(MAX_POLL_FAILURES)]
    assert ends == [None] * (MAX_POLL_FAILURES - 1) + ["unreadable"]
    assert machine.said[0].startswith("read 1 of 10 failed: Featurebase gave no answer to GET")
    assert len(machine.said) == MAX_POLL_FAILURES


def test_a_read_that_works_begins_the_count_anew() -> None:
    machine = Machine()
    wait = machine.wait()
    for _ in range(3):
        assert [wait.fail(DOWN) for _ in range(MAX_POLL_FAILURES - 1)] == [None] * (MAX_POLL_FAILURES - 1)
        assert wait.take(a_webhook()) is None


def test_a_failure_when_the_wait_is_over_ends_it() -> None:
    machine = Machine(hours=-3)
    wait = machine.wait(until=START)
    machine.hears()
    assert wait.fail(DOWN) == "unreadable"
    assert wait.fail(api_unreachable()) == "unreadable"


def test_a_server_that_tells_no_time_is_taken_to_have_ours() -> None:
    machine = Machine()
    wait = machine.wait(until=START)
    assert wait.fail(api_unreachable()) is None
    assert wait.fail(DOWN) == "unreadable"
    assert wait.take(a_webhook()) == "quiet"


def test_a_refusal_ends_it_at_once() -> None:
    assert Machine().wait().fail(AuthenticationFailed("GET", "/v2/webhooks/5", 401)) == "unreadable"


@pytest.mark.parametrize(("hours", "said"), [(0, 0), (3, 1), (-3, 1)])
def test_clocks_that_are_hours_apart_are_said_once(hours: float, said: int) -> None:
    machine = Machine(hours)
    wait = machine.wait()
    for _ in range(3):
        machine.hears()
        wait.take(a_webhook())
    assert len(machine.said) == said
    assert all("this machine's clock is 3:00:00" in text for text in machine.said)


def test_what_counts_is_judged_by_featurebases_clock() -> None:
    """A result of just now is not in the future because the machine's clock is behind."""
    machine = Machine(hours=-3)
    wait = machine.wait(watch=HealthWatch(START - timedelta(minutes=1)), until=START)
    machine.hears()
    assert wait.take(delivered(401, at=-1)) == "failing"
    assert datetime.fromtimestamp(machine.clock.local(), tz=START.tzinfo) < START - timedelta(hours=2)


def test_pause_grows_with_failed_reads_and_ends_with_a_good_one() -> None:
    """An outage is not met with as many reads as ever; the first failure may be a single one."""
    machine = Machine()
    wait, pauses = machine.wait(), []
    for _ in range(5):
        wait.fail(DOWN)
        pauses.append(wait.pause)
    assert pauses == [15.0, 30.0, 60.0, 60.0, 60.0]
    machine.hears()
    wait.take(delivered(0, -100))
    assert wait.pause == 15.0


@pytest.mark.parametrize(("usual", "longest"), [(0.01, 0.08), (15.0, 60.0), (600.0, 600.0)])
def test_pause_after_failures_is_limited(usual: float, longest: float) -> None:
    assert [pause_after(failures, usual) for failures in (0, 1, 100)] == [usual, usual, longest]


def test_end_of_the_wait_limits_the_pause_after_failures() -> None:
    machine = Machine()
    machine.hears()
    wait = machine.wait(until=START + timedelta(seconds=40))
    for _ in range(4):
        wait.fail(DOWN)
    assert wait.pause < 41.0

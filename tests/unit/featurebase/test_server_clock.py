from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurebase_provider.featurebase.server_clock import ServerClock, read_http_date

DATE = "Thu, 15 Jan 2026 10:30:00 GMT"
UNIX = datetime(2026, 1, 15, 10, 30, tzinfo=timezone.utc).timestamp()


def test_http_dates_are_read() -> None:
    assert read_http_date(DATE) == UNIX
    assert read_http_date("Thu, 15 Jan 2026 10:30:00 -0000") == UNIX


@pytest.mark.parametrize(
    "text", [None, "", "12", "soon", "Thu, 99 Jan 2026 10:30:00 GMT", "1 Jan 99999999999 0:0:0 GMT"]
)
def test_what_is_no_date_is_none(text: str | None) -> None:
    assert read_http_date(text) is None


@given(st.text(alphabet="Thu, 15Jan206:30GMT+-", max_size=30))
def test_no_text_breaks_the_date_reader(text: str) -> None:
    assert isinstance(read_http_date(text), (float, type(None)))


def test_local_clock_until_an_answer_came() -> None:
    clock = ServerClock(local=lambda: UNIX)
    clock.observe(None, sent_at=UNIX, received_at=UNIX)
    assert not clock.known
    assert clock.offset_seconds == 0
    assert clock.now() == datetime(2026, 1, 15, 10, 30, tzinfo=timezone.utc)


def test_offset_allows_for_half_the_round_trip() -> None:
    """The header was written in the middle of the round trip, and its second was half over on average."""
    clock = ServerClock(local=lambda: UNIX - 100)
    clock.observe(DATE, sent_at=UNIX - 101, received_at=UNIX - 99)
    assert clock.known
    assert clock.offset_seconds == 100.5
    assert clock.now().timestamp() == UNIX + 0.5


def test_a_slow_answer_does_not_spoil_a_good_observation() -> None:
    clock = ServerClock()
    clock.observe(DATE, sent_at=UNIX, received_at=UNIX + 0.2)
    good = clock.offset_seconds
    clock.observe(DATE, sent_at=UNIX - 8, received_at=UNIX)
    assert clock.offset_seconds == good
    clock.observe(DATE, sent_at=UNIX, received_at=UNIX + 0.1)
    assert clock.offset_seconds == pytest.approx(0.45)


def test_an_old_observation_gives_way() -> None:
    """After five minutes any answer tells more than what was seen before."""
    clock = ServerClock()
    clock.observe(DATE, sent_at=UNIX, received_at=UNIX)
    clock.observe(DATE, sent_at=UNIX + 400, received_at=UNIX + 401)
    assert clock.offset_seconds == -400


@pytest.mark.parametrize("step", [3 * 3600, -3 * 3600])
def test_a_local_clock_that_was_set_is_noticed_with_the_next_answer(step: float) -> None:
    """However good the observation before it was, and however lately it was made."""
    local = [UNIX]
    clock = ServerClock(local=lambda: local[0])
    clock.observe(DATE, sent_at=UNIX, received_at=UNIX)
    local[0] += step
    clock.observe(DATE, sent_at=local[0] - 1, received_at=local[0])
    assert clock.now().timestamp() == pytest.approx(UNIX + 1)


@pytest.mark.parametrize(
    ("local_ahead", "said"),
    [(-10861, "3:01:01 (h:mm:ss) behind"), (10800, "3:00:00 (h:mm:ss) ahead of"), (59, None), (-59, None), (0, None)],
)
def test_clocks_that_are_minutes_apart_are_said(local_ahead: float, said: str | None) -> None:
    clock = ServerClock(local=lambda: UNIX + local_ahead)
    assert clock.skew is None
    clock.observe(DATE, sent_at=UNIX + 0.5 + local_ahead, received_at=UNIX + 0.5 + local_ahead)
    if said is None:
        assert clock.skew is None
    else:
        assert f"this machine's clock is {said} Featurebase's" in str(clock.skew)


def test_an_answer_across_a_clock_step_tells_nothing() -> None:
    clock = ServerClock()
    clock.observe(DATE, sent_at=UNIX, received_at=UNIX - 3600)
    assert not clock.known


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_time_that_no_server_has_tells_nothing(date: str) -> None:
    """Nothing that is reckoned from it could be told as a date."""
    clock = ServerClock(local=lambda: UNIX)
    clock.observe(date, sent_at=UNIX, received_at=UNIX)
    assert clock.now().timestamp() == UNIX

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from featurebase_provider.featurebase.errors import (
    ApiError,
    ApiUnavailable,
    ApiUnreachable,
    AuthenticationFailed,
    RateLimited,
    UnexpectedAnswer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ID = "507f1f77bcf86cd799439011"


def serving(*answers: httpx.Response | Exception) -> Callable[[httpx.Request], httpx.Response]:
    """Answer one request after the other, the last answer again and again."""

    def endless() -> Iterator[httpx.Response | Exception]:
        yield from answers
        while True:
            yield answers[-1]

    queue = endless()

    def handler(request: httpx.Request) -> httpx.Response:
        answer = next(queue)
        if isinstance(answer, Exception):
            raise answer
        # A new one each time: a response is bound to the client that received it.
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    return handler


PASSING = [
    (httpx.Response(408), ApiUnavailable),
    (httpx.Response(429), RateLimited),
    (httpx.Response(500), ApiUnavailable),
    (httpx.Response(503), ApiUnavailable),
    (httpx.Response(200, content=b'{"id": "50'), UnexpectedAnswer),
    (httpx.ConnectError("refused"), ApiUnreachable),
    (httpx.ConnectTimeout("slow"), ApiUnreachable),
    (httpx.ReadTimeout("slow"), ApiUnreachable),
    (httpx.ReadError("reset"), ApiUnreachable),
]


@pytest.mark.parametrize(("answer", "kind"), PASSING)
def test_a_read_outlives_passing_failures(
    drive: Any, fixture_json: Any, answer: httpx.Response | Exception, kind: type[ApiError]
) -> None:
    """Two failures, then the answer: the caller sees the answer only."""
    driver = drive(serving(answer, answer, httpx.Response(200, json=fixture_json("webhook"))))
    assert driver("get_webhook", ID).id == ID
    assert (len(driver.requests), len(driver.waits)) == (3, 2)


@pytest.mark.parametrize(("answer", "kind"), PASSING)
def test_a_read_gives_up_after_max_retries(
    drive: Any, answer: httpx.Response | Exception, kind: type[ApiError]
) -> None:
    """The last failure is raised as it is, without a wrapper of the retry library."""
    driver = drive(serving(answer), max_retries=2)
    with pytest.raises(kind) as caught:
        driver("get_webhook", ID)
    assert type(caught.value) is kind
    assert (len(driver.requests), len(driver.waits)) == (3, 2)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(400),
        httpx.Response(401),
        httpx.Response(403),
        httpx.Response(404),
        httpx.Response(307),
        httpx.Response(200, json={}),
    ],
)
def test_a_read_is_not_repeated_where_that_cannot_help(drive: Any, answer: httpx.Response) -> None:
    driver = drive(serving(answer))
    with pytest.raises(ApiError):
        driver("get_webhook", ID)
    assert (len(driver.requests), driver.waits) == (1, [])


@pytest.mark.parametrize(
    ("method", "arguments", "options"),
    [
        ("refresh_secret", (ID,), {}),
        ("create_webhook", ("n", "https://r.test", []), {}),
        ("update_webhook", (ID,), {"name": "n"}),
        ("delete_webhook", (ID,), {}),
    ],
)
@pytest.mark.parametrize(("answer", "kind"), PASSING)
def test_a_write_is_sent_once_whatever_comes_back(
    drive: Any,
    method: str,
    arguments: Any,
    options: Any,
    answer: httpx.Response | Exception,
    kind: type[ApiError],
) -> None:
    """A refresh that is sent twice makes a second secret."""
    driver = drive(serving(answer))
    with pytest.raises(kind):
        driver(method, *arguments, **options)
    assert (len(driver.requests), driver.waits) == (1, [])


def test_a_failure_that_stops_being_passing_ends_the_retries(drive: Any) -> None:
    driver = drive(serving(httpx.Response(503), httpx.Response(401)))
    with pytest.raises(AuthenticationFailed):
        driver("get_webhook", ID)
    assert len(driver.requests) == 2


def test_each_page_of_a_list_has_its_own_retries(drive: Any, fixture_json: Any) -> None:
    pages = [httpx.Response(200, json=fixture_json(f"webhook_list_page_{number}")) for number in (1, 2)]
    bad = httpx.Response(500)
    driver = drive(serving(bad, pages[0], bad, pages[1]), max_retries=1)
    assert len(driver("list_webhooks")) == 2


def test_waits_grow_exponentially_with_full_jitter(drive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wait is drawn between nothing and a bound that doubles up to 30 s."""
    bounds: list[float] = []

    def draw(low: float, high: float) -> float:
        assert low == 0
        bounds.append(high)
        return high

    monkeypatch.setattr("random.uniform", draw)
    driver = drive(serving(httpx.Response(503)), max_retries=8)
    with pytest.raises(ApiUnavailable):
        driver("get_webhook", ID)
    assert driver.waits == bounds[:8] == [0.5, 1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({"Retry-After": "7"}, 7, 7.5),
        ({"X-RateLimit-Reset": "42"}, 42, 42.5),
        ({"Retry-After": "3600"}, 70, 70),
        ({"X-RateLimit-Reset": "69.9"}, 69.9, 70),
        ({}, 0, 0.5),
    ],
)
def test_wait_is_at_least_what_the_answer_asks_for_and_at_most_70_s(
    drive: Any, headers: dict[str, str], low: float, high: float
) -> None:
    driver = drive(serving(httpx.Response(429, headers=headers)), max_retries=1)
    with pytest.raises(RateLimited):
        driver("get_webhook", ID)
    assert low <= driver.waits[0] <= high


def test_retries_are_logged_without_the_query(drive: Any, fixture_json: Any, caplog: pytest.LogCaptureFixture) -> None:
    answers: list[httpx.Response | Exception] = [
        httpx.Response(503),
        httpx.ReadTimeout("slow"),
        httpx.Response(200, json=fixture_json("webhook_list_page_2")),
    ]
    driver = drive(serving(*answers))
    with caplog.at_level(logging.INFO, "featurebase_provider"):
        driver("list_webhooks")
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("featurebase_provider")]
    assert len(lines) == 2
    assert lines[0].startswith("GET /v2/webhooks: ApiUnavailable (status 503), retry 1 of 4 in ")
    assert lines[1].startswith("GET /v2/webhooks: ApiUnreachable, retry 2 of 4 in ")

"""A notifier is called with what it needs, within its time, and whatever it does, the task goes on."""

from __future__ import annotations

import logging
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, BaseNotifier
from airflow.sdk.execution_time.timeout import timeout

from featurebase_provider.config import NotifyConfig
from featurebase_provider.operators.notify import RESERVE, TimeIsUp, send, time_limit
from featurebase_provider.rotation.notice import Notice

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = __name__
NOTICE = Notice("failure", "Webhook production: failed", "What to do")
HEARD: list[dict[str, Any]] = []


class Hears(BaseNotifier):
    """Keeps what it was given."""

    template_fields = ("text",)

    def __init__(self, *, text: str = "") -> None:
        super().__init__()
        self.text = text

    def notify(self, context: Any) -> None:
        HEARD.append({"text": self.text, "context": context})
        context["report"]["outcome"] = "changed"


class Fails(BaseNotifier):
    def notify(self, context: Any) -> None:
        raise ConnectionError("https://user:token@example.com refused")


class Exits(BaseNotifier):
    def notify(self, context: Any) -> None:
        raise SystemExit(1)


class Hangs(BaseNotifier):
    """Takes every error for one that a retry helps with, as some clients do."""

    def notify(self, context: Any) -> None:
        while True:
            with suppress(Exception):
                time.sleep(30)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    HEARD.clear()
    yield
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def told(notifier: str, *, events: tuple[str, ...] = ("failure",), **fields: Any) -> dict[str, Any]:
    """Send the notice, and give back the report that the task holds."""
    entry = NotifyConfig.model_validate({"events": events, "notifier": f"{HERE}.{notifier}", **fields})
    report: dict[str, Any] = {"outcome": "failed", "stores": []}
    context: Any = {"dag": DAG("a_dag", schedule=None), "ti": None}
    send(context, entry, NOTICE, report)
    assert sorted(context) == ["dag", "ti"]
    return report


def test_templates_see_the_notice_and_the_report() -> None:
    """And what the notifier makes of them does not reach the task."""
    report = told("Hears", arguments={"text": "{{ notice.headline }}; {{ notice.text }}; {{ report.outcome }}"})
    (heard,) = HEARD
    assert heard["text"] == "Webhook production: failed; What to do; failed"
    assert report["outcome"] == "failed"


def test_other_events_are_not_told() -> None:
    told("Hears", events=("success", "finding"))
    assert HEARD == []


@pytest.mark.parametrize(
    ("notifier", "why"),
    [
        ("Fails", "ConnectionError"),
        ("Exits", "SystemExit"),
        ("NoSuchClass", "AttributeError"),
        ("Notice", "TypeError"),
        ("signal.Signals", "ModuleNotFoundError"),
    ],
)
def test_a_notifier_that_fails_is_named_and_fails_nothing(
    notifier: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its text stays out of our own line: it may quote a credential."""
    told(notifier)
    (line,) = [one for one in caplog.records if one.name == "featurebase_provider.operators.notify"]
    assert (line.levelno, line.exc_info) == (logging.WARNING, None)
    assert f"{HERE}.{notifier}" in line.getMessage()
    assert why in line.getMessage()
    assert "token" not in line.getMessage()


def test_an_argument_that_the_notifier_lacks_is_no_error_of_the_task(caplog: pytest.LogCaptureFixture) -> None:
    told("Hears", arguments={"no_such": 1})
    assert "TypeError" in caplog.text


def test_a_notifier_that_hangs_is_stopped(caplog: pytest.LogCaptureFixture) -> None:
    began = time.monotonic()
    told("Hangs", timeout="PT1S")
    assert 0.9 < time.monotonic() - began < 10
    assert "did not finish within 1 s" in caplog.text


def test_the_tasks_own_limit_goes_on_after_it() -> None:
    """Airflow's uses the same timer of the process."""
    with timeout(seconds=RESERVE + 5):
        with pytest.raises(TimeIsUp), time_limit(0.2):
            time.sleep(5)
        left = signal.getitimer(signal.ITIMER_REAL)[0]
        assert RESERVE < left < RESERVE + 5
        assert signal.getsignal(signal.SIGALRM).__name__ == "handle_timeout"  # type: ignore[union-attr]


def test_the_tasks_own_limit_is_not_used_up() -> None:
    with timeout(seconds=RESERVE + 0.3):
        began = time.monotonic()
        with pytest.raises(TimeIsUp), time_limit(60):
            time.sleep(30)
        assert time.monotonic() - began < 5

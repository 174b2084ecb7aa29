"""What each supported minor tells, stood in for; `make matrix` asks the real ones."""

from __future__ import annotations

import logging
import sys
from datetime import datetime, timezone
from types import ModuleType, SimpleNamespace
from typing import Any

import airflow.sdk.observability.stats
import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import AssetEventsResult, ErrorResponse

from featurebase_provider import airflow_compat
from featurebase_provider.airflow_compat import stats

COUNTED = ("incr", ("featurebase.rotate", 1), {"tags": {"webhook": "production", "result": "done"}})
SEVERAL = ("incr", ("featurebase.refusals_seen", 3), {"tags": {"webhook": "production"}})
MEASURED = ("gauge", ("featurebase.days_to_max_age.production", -1.5), {"tags": {"webhook": "production"}})
TIMED = ("timing", ("featurebase.store_exposure", 12.5), {"tags": {"webhook": "production"}})


class Backend:
    """Takes what is reported, as a StatsD client does."""

    def __init__(self) -> None:
        self.took: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def incr(self, *args: Any, **kwargs: Any) -> None:
        self.took.append(("incr", args, kwargs))

    def gauge(self, *args: Any, **kwargs: Any) -> None:
        self.took.append(("gauge", args, kwargs))

    def timing(self, *args: Any, **kwargs: Any) -> None:
        self.took.append(("timing", args, kwargs))


class Broken:
    """Fails as it pleases: what is configured as StatsD client may be anybody's code."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def incr(self, *args: Any, **kwargs: Any) -> None:
        raise self.error

    timing = gauge = incr


def class_in_airflow(monkeypatch: pytest.MonkeyPatch, backend: object) -> None:
    """3.1: ``airflow.stats.Stats``, and no ``airflow.sdk.observability``."""
    old = ModuleType("airflow.stats")
    old.Stats = backend  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "airflow.sdk.observability", None)
    monkeypatch.setitem(sys.modules, "airflow.stats", old)


def class_in_sdk(monkeypatch: pytest.MonkeyPatch, backend: object) -> None:
    """3.2: the SDK's module holds the class ``Stats``, and no functions."""
    monkeypatch.setattr(airflow.sdk.observability, "stats", _module(Stats=backend))


def functions_in_sdk(monkeypatch: pytest.MonkeyPatch, backend: Backend | Broken) -> None:
    """3.3: the SDK's module holds functions; the class beside them is there for old callers."""
    monkeypatch.setattr(
        airflow.sdk.observability, "stats", _module(incr=backend.incr, timing=backend.timing, gauge=backend.gauge)
    )


def _module(**names: object) -> ModuleType:
    module = ModuleType("airflow.sdk.observability.stats")
    vars(module).update(names)
    return module


MINORS = pytest.mark.parametrize("minor", [class_in_airflow, class_in_sdk, functions_in_sdk])


@pytest.fixture(autouse=True)
def _nothing_was_said() -> None:
    stats._warn_of_stats.cache_clear()


def report() -> None:
    """One of each."""
    airflow_compat.count("featurebase.rotate", {"webhook": "production", "result": "done"})
    airflow_compat.time_milliseconds("featurebase.store_exposure", 12.5, {"webhook": "production"})
    airflow_compat.count("featurebase.refusals_seen", {"webhook": "production"}, by=3)
    airflow_compat.gauge("featurebase.days_to_max_age.production", -1.5, {"webhook": "production"})


@MINORS
def test_every_minor_takes_counts_and_times(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, minor: Any
) -> None:
    backend = Backend()
    minor(monkeypatch, backend)
    report()
    assert backend.took == [COUNTED, TIMED, SEVERAL, MEASURED]
    assert caplog.messages == []


def test_the_installed_airflow_takes_them(caplog: pytest.LogCaptureFixture) -> None:
    """Not stood in for: a function that it lacks would be said."""
    report()
    assert caplog.messages == []


@MINORS
def test_a_backend_that_fails_fails_no_task_and_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, minor: Any
) -> None:
    """The backend's own text may hold what reaches it; it stays unsaid, and so does the traceback."""
    minor(monkeypatch, Broken(OSError("udp://:token@metrics.internal")))
    report()
    report()
    (said,) = caplog.records
    assert said.levelno == logging.WARNING
    assert said.exc_info is None
    assert "OSError" in said.getMessage()
    assert "token" not in said.getMessage()


def test_an_airflow_without_stats_fails_no_task(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As a later minor may be."""
    monkeypatch.setitem(sys.modules, "airflow.sdk.observability", None)
    monkeypatch.setitem(sys.modules, "airflow.stats", None)
    report()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_what_ends_a_task_ends_it_in_bookkeeping_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's timeout and a request to stop are no errors of stats."""
    functions_in_sdk(monkeypatch, Broken(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        report()


@pytest.mark.parametrize(
    ("value", "tag"),
    [("a:b|c\nd", "a_b_c_d"), ("x" * 200, "x" * 100), (507, "507")],
    ids=["StatsD's own signs", "long", "a number out of a native template"],
)
def test_a_tag_ends_no_line(monkeypatch: pytest.MonkeyPatch, value: Any, tag: str) -> None:
    backend = Backend()
    functions_in_sdk(monkeypatch, backend)
    airflow_compat.count("featurebase.rotate", {"webhook": value})
    assert backend.took == [("incr", ("featurebase.rotate", 1), {"tags": {"webhook": tag}})]


@pytest.mark.parametrize(
    ("told", "seconds"),
    [({"duration": 3.7}, 3.7), ({"duration": -45.875}, None), ({"duration": None}, None), ({}, None)],
    ids=["finished", "a cleared deferral on 3.2", "unfinished", "nothing told"],
)
def test_a_task_lasted_as_long_as_airflow_can_know(told: dict[str, Any], seconds: float | None) -> None:
    ti = SimpleNamespace(
        dag_id="dag",
        run_id="run",
        map_index=-1,
        get_task_states=lambda **_: {"run": {"verify_delivery": "success"}},
        get_task_breadcrumbs=lambda **_: [{"task_id": "verify_delivery", **told}],
    )
    assert airflow_compat.task_rows({"ti": ti}) == [("verify_delivery", "success", seconds)]  # type: ignore[typeddict-item]


def test_durations_that_cannot_be_had_hold_nothing_up() -> None:
    def crumbs(**_: Any) -> Any:
        raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))

    ti = SimpleNamespace(
        dag_id="a",
        run_id="r",
        map_index=-1,
        get_task_breadcrumbs=crumbs,
        get_task_states=lambda **_: {"r": {"t": "success"}},
    )
    assert airflow_compat.task_rows({"ti": ti}) == [("t", "success", None)]  # type: ignore[typeddict-item]


class Supervisor:
    """Answers for asset events; None refuses, as Airflow does while a consumer's run has no start date."""

    def __init__(self, hours: list[int] | None) -> None:
        self.hours = hours
        self.asked: list[Any] = []

    def send(self, msg: Any) -> Any:
        self.asked.append(msg)
        if self.hours is None:
            return ErrorResponse(error=ErrorType.API_SERVER_ERROR)
        answer = [{"id": hour, "timestamp": datetime(2026, 1, 1, hour, tzinfo=timezone.utc), "extra": {"hour": hour},
                   "asset": {"name": "a", "uri": "featurebase://a", "group": "g"}, "created_dagruns": []}
                  for hour in self.hours]  # fmt: skip
        return AssetEventsResult.model_validate({"asset_events": answer})


@pytest.mark.parametrize(("hours", "told"), [([3, 1, 2], [1, 2, 3]), ([], []), (None, None)])
def test_asset_events_are_read_of_assets_that_are_no_inlets(
    monkeypatch: pytest.MonkeyPatch, hours: list[int] | None, told: list[int] | None
) -> None:
    supervisor = Supervisor(hours)
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    extras = airflow_compat.asset_event_extras(Asset(name="a", uri="x-featurebase://a"), newest=7)
    assert (extras and [one["hour"] for one in extras]) == (told or extras)
    assert (extras is None) == (hours is None)
    (asked,) = supervisor.asked
    assert (asked.name, asked.limit, asked.ascending) == ("a", 7, False)

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import BaseModel, ValidationError

from featurebase_provider.stores.base import Duration, Seconds


class Settings(BaseModel):
    wait: Duration = timedelta(0)
    limit: Seconds = 1.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PT10S", timedelta(seconds=10)),
        ("PT0.5S", timedelta(milliseconds=500)),
        ("PT8H1M", timedelta(hours=8, minutes=1)),
        ("P1D", timedelta(days=1)),
        ("P90D", timedelta(days=90)),
        ("P2W", timedelta(weeks=2)),
        (" P1DT2H ", timedelta(days=1, hours=2)),
        ("PT0S", timedelta(0)),
    ],
)
def test_reads_iso_durations_as_plain_timedeltas(text: str, expected: timedelta) -> None:
    wait = Settings(wait=text).wait
    assert wait == expected
    assert type(wait) is timedelta


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (10, "PT10S"),
        (1.5, "no unit"),
        (True, "ISO 8601"),
        (None, "ISO 8601"),
        ("10", "ISO 8601"),
        ("PT", "ISO 8601"),
        ("P", "ISO 8601"),
        ("pt5m", "ISO 8601"),
        ("-PT5S", "ISO 8601"),
        ("2026-01-01", "ISO 8601"),
        ("P1D/2026-01-01", "ISO 8601"),
        ("P1Y2W", "ISO 8601"),
        ("now", "ISO 8601"),
        ("P1Y", "no fixed length"),
        ("P1M", "no fixed length"),
    ],
)
def test_refuses_what_has_no_fixed_length_and_says_what_to_write(value: object, hint: str) -> None:
    with pytest.raises(ValidationError, match=hint):
        Settings(wait=value)


@pytest.mark.parametrize(("value", "seconds"), [("PT3S", 3.0), (2, 2.0), (0.25, 0.25), (timedelta(minutes=1), 60.0)])
def test_seconds_take_numbers_too(value: object, seconds: float) -> None:
    assert Settings(limit=value).limit == seconds


@pytest.mark.parametrize("value", [0, -1, "PT0S", float("inf"), float("nan"), True, "3", None, "P1M"])
def test_seconds_are_positive_and_finite(value: object) -> None:
    with pytest.raises(ValidationError):
        Settings(limit=value)


def test_json_schema_tells_editors_what_to_write() -> None:
    properties = Settings.model_json_schema()["properties"]
    assert properties["wait"]["format"] == "duration"
    assert {option["type"] for option in properties["limit"]["anyOf"]} == {"string", "number"}

"""What other versions and other programs have written is read as far as it fits."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from featurebase_provider.rotation.records import Instant, Text, instant_of, items_of, moment_of, read_record, texts_of


@dataclass(frozen=True)
class Row:
    name: Text
    at: Instant = "2026-01-15T10:30:00+00:00"


def test_a_record_is_read_and_fields_of_other_versions_are_left_out() -> None:
    assert read_record(Row, {"name": "x", "at": "2026-01-15T10:30:00.5+02:00", "newer": 1}) == Row(
        "x", "2026-01-15T10:30:00.5+02:00"
    )


@pytest.mark.parametrize("raw", [None, "x", [], {}, {"name": ""}, {"name": None}])
def test_what_does_not_fit_is_none(raw: object) -> None:
    assert read_record(Row, raw) is None


@pytest.mark.parametrize(
    ("at", "fits"),
    [
        ("1969-12-31T23:59:59+00:00", False),
        ("1970-01-01T00:00:00+00:00", True),
        ("8999-12-31T23:59:59+00:00", True),
        ("9000-01-01T00:00:00+00:00", False),
        ("2026-01-15T10:30:00", False),
        ("2026-01-15", False),
        ("yesterday", False),
    ],
)
def test_a_moment_has_an_offset_and_a_year_to_reckon_with(at: str, fits: bool) -> None:
    """Adding a duration, or another clock's offset, to it must not leave Python's dates."""
    assert (read_record(Row, {"name": "x", "at": at}) is not None) == fits


@pytest.mark.parametrize("odd", [None, 5, 1.5e9, True, [], {}, "soon", "2026-01-15T10:30:00"])
def test_what_is_no_moment_is_none(odd: object) -> None:
    assert (moment_of(odd), instant_of(odd)) == (None, None)


def test_of_a_list_what_fits_is_taken() -> None:
    assert texts_of(["a", "", 5, None, "b"]) == ["a", "b"]
    assert items_of(("a", 5)) == ["a", 5]
    assert texts_of("text") == items_of({"a": 1}) == items_of(None) == []

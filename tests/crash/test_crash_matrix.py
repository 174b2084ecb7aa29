"""Processes die with SIGKILL at every step that matters, and every run is brought home."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.crash.case import Case, Result

pytestmark = pytest.mark.airflow


def test_death_at(case: Case, result: Result) -> None:
    """The point was reached; the refreshes are as many as can be helped, and all stores and receivers agree."""
    assert result.problem is None
    assert result.reached
    assert result.refreshes == case.refreshes
    assert result.converged
    assert tuple(result.cleared) == case.clears

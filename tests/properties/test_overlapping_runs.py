"""At least 2,000 stories of overlapping Dag runs in every run of the tests; several processes share them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import seed
from hypothesis.stateful import run_state_machine_as_test

from tests.properties.profile import SEED, TIMES, tries
from tests.properties.rotation_machine import OverlappingRuns

if TYPE_CHECKING:
    from collections.abc import Callable

PARTS = 8
STORIES = 280
"""Of each part; together more than the 2,000 that are promised."""


@pytest.mark.parametrize("part", range(PARTS))
def test_every_interleaving_keeps_the_rules_and_converges(
    part: int, record_property: Callable[[str, object], None]
) -> None:
    """Each part tells its own stories: their seeds differ."""
    told = 0

    class Counted(OverlappingRuns):
        def teardown(self) -> None:
            super().teardown()
            nonlocal told
            told += hasattr(self, "judge")

    run_state_machine_as_test(
        seed(SEED * PARTS + part)(Counted), settings=tries(STORIES, stateful_step_count=30, derandomize=False)
    )
    record_property("stories", told)
    assert told >= STORIES * min(TIMES, 1)
    assert STORIES * PARTS >= 2000

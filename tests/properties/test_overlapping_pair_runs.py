"""Stories of overlapping Dag runs of a pair in every run of the tests; several processes share them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import seed
from hypothesis.stateful import run_state_machine_as_test

from tests.properties.pair_machine import PairRuns
from tests.properties.profile import SEED, TIMES, tries

if TYPE_CHECKING:
    from collections.abc import Callable

PARTS = 4
STORIES = 60
"""Of each part."""


@pytest.mark.parametrize("part", range(PARTS))
def test_every_interleaving_of_a_pairs_runs_keeps_the_rules_and_converges(
    part: int, record_property: Callable[[str, object], None]
) -> None:
    """Each part tells its own stories: their seeds differ."""
    told = 0

    class Counted(PairRuns):
        def teardown(self) -> None:
            super().teardown()
            nonlocal told
            told += hasattr(self, "judge")

    run_state_machine_as_test(
        seed(SEED * PARTS + part)(Counted), settings=tries(STORIES, stateful_step_count=30, derandomize=False)
    )
    record_property("stories", told)
    assert told >= STORIES * min(TIMES, 1)

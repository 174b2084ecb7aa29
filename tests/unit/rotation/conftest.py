from __future__ import annotations

import pytest

from tests.world.fakes import Clock, FakeFeaturebase


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def api(clock: Clock) -> FakeFeaturebase:
    return FakeFeaturebase(clock)

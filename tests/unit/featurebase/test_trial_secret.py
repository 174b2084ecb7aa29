"""A trial secret is as demanding as the longest real one."""

from __future__ import annotations

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.featurebase.trial_secret import SHORTEST, trial_before, trial_like


@pytest.mark.parametrize(
    ("known", "length"), [((), SHORTEST), ((None,), SHORTEST), ((24,), SHORTEST), ((70, 20), 70), ((300,), 300)]
)
def test_as_long_as_the_longest_known(known: tuple[int | None, ...], length: int) -> None:
    """Even where the known secret is longer than the alphabet."""
    secrets = [SigningSecret("x" * size) if size else None for size in known]
    trial = trial_like(*secrets).reveal()
    assert len(trial) == length
    assert trial.startswith("whsec_")


def test_the_shortest_trial_has_all_kinds_of_characters() -> None:
    """A column, a pattern or a collation that changes one of them shows itself."""
    trial = trial_like()
    before = trial_before(trial)
    assert trial != before
    for value in (trial.reveal(), before.reveal()):
        assert any(map(str.islower, value))
        assert any(map(str.isupper, value))
        assert any(map(str.isdigit, value))
        assert set("+/-_=") <= set(value)
    assert len(before.reveal()) == len(trial.reveal())

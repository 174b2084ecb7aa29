"""Keeps triggers that began together, as after a restart of the triggerer, from polling in the same moment."""

from __future__ import annotations

import random

JITTER = 0.2
"""The largest share by which a pause becomes longer."""


def jittered(pause: float) -> float:
    """A pause that is longer by a random share. It never becomes shorter: some pauses are minima."""
    return pause * (1 + random.uniform(0, JITTER))  # noqa: S311 - no secret depends on it

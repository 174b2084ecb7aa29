"""How much is tried: FEATUREBASE_PROPERTY_RUNS multiplies it, FEATUREBASE_PROPERTY_SEED tries other examples."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

TIMES = float(os.environ.get("FEATUREBASE_PROPERTY_RUNS", "1"))
SEED = int(os.environ.get("FEATUREBASE_PROPERTY_SEED", "0"))


def tries(count: int, **changes: object) -> settings:
    """The same examples in each run, so that a change is what a failure comes from."""
    options: dict[str, object] = {
        "max_examples": max(1, round(count * TIMES)),
        "derandomize": SEED == 0,
        "deadline": None,
        "database": None,
        "phases": [Phase.explicit, Phase.generate, Phase.shrink],
        "suppress_health_check": list(HealthCheck),
        **changes,
    }
    return settings(**options)  # type: ignore[arg-type]

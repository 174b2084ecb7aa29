"""How long a trigger waits before its first read, and between two reads."""

from __future__ import annotations

import random

SCHEDULER_LAG = 10.0
"""Seconds after which the scheduler has taken note that a task was deferred, unless it is overloaded.

If the trigger's event comes sooner, the scheduler may hear of the deferral only when the task is queued again. It then
takes the task for one that was killed, and fails it: ``_process_executor_events`` of ``SchedulerJobRunner`` in Airflow
3.1; 3.2 and 3.3 let some of these cases pass.
"""
JITTER = 0.2
"""The largest share by which a pause becomes longer."""


def first_pause(pause: float) -> float:
    """Seconds from the deferral to the trigger's first read, or to its event.

    :param pause: seconds between two reads.
    """
    return jittered(max(pause, SCHEDULER_LAG))


def jittered(pause: float) -> float:
    """A pause that is longer by a random share. It never becomes shorter: some pauses are minima.

    Triggers that began together, as after a restart of the triggerer, then don't poll in the same moment.
    """
    return pause * (1 + random.uniform(0, JITTER))  # noqa: S311 - no secret depends on it

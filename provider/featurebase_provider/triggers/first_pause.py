"""How soon a trigger may send its event."""

from __future__ import annotations

SCHEDULER_LAG = 10.0
"""Seconds after which the scheduler has taken note that a task was deferred, unless it is overloaded.

If the trigger's event comes sooner, the scheduler may hear of the deferral only when the task is queued again. It then
takes the task for one that was killed, and fails it: ``_process_executor_events`` of ``SchedulerJobRunner`` in Airflow
3.1; 3.2 and 3.3 let some of these cases pass.
"""


def first_pause(pause: float) -> float:
    """Seconds from the deferral to the trigger's first read.

    :param pause: seconds between two reads.
    """
    return max(pause, SCHEDULER_LAG)

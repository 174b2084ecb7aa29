"""Whether this Dag run has a plan already: then its baseline is kept, so that the run refreshes at most once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider.rotation.errors import PlanUnreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from featurebase_provider.rotation.memory import WebhookMemory
    from featurebase_provider.rotation.plan import RotationPlan, ThisRun


def own_plan(
    memory: WebhookMemory,
    key: str,
    run: ThisRun,
    *,
    rotate_was_started: Callable[[], bool],
    of_result: Callable[[], RotationPlan | None] = lambda: None,
) -> RotationPlan | None:
    """The plan that another try made in this Dag run, or None where a new one may be made.

    :param rotate_was_started: whether anything tells that the run's rotate task was started before.
    :param of_result: the plan that the run's rotate task names in its result, where it left one.
    :raises PlanUnreadable: the plan is gone, and the run may have refreshed by it: another refresh would be a second.
    :raises MemoryUnknown: it can't be told.
    """
    found = memory.plan(key)
    if found is not None and run.made(found):
        return found
    if not run.later_try:
        if found is not None and run.has_id_of(found):
            # Of a run that was deleted and made anew: a later try of this one must not take it for its own.
            memory.forget_plan(key)
        return None
    left = of_result()
    if left is not None:
        return left
    later = found is not None and found.is_due_after(run)
    if later or rotate_was_started():
        why = "a later Dag run has made its own" if later else "its rotate task was started, and its plan is gone"
        raise PlanUnreadable(
            memory.webhook_id,
            f"this Dag run has no plan any more ({why}), so it can't be told whether it has refreshed the secret; "
            "nothing was changed by this try. Trigger a new run: with mode=distribute to bring the stores up to date, "
            "with mode=rotate to rotate",
        )
    return None

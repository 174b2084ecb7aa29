"""Makes the Dag run end as its report says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featurebase_provider import operators, rotation
from featurebase_provider.operators.base import FeaturebaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class RotationOutcomeOperator(FeaturebaseOperator):
    """Fail the Dag run unless the report says that everything is done, or that there was nothing to do.

    Airflow derives a run's state from its tasks' states, which people can set by hand: a run that is marked successful,
    or whose push task is marked skipped, would end green although a store is outdated. Use this operator as a teardown
    that fails the run: it runs even if the run's state was set by hand. It is a separate task because a failed report
    would emit no asset event.

    :param report_task_id: the report task of the same Dag run.
    :returns: the report's outcome.
    :raises AirflowFailException: something is left to do (the message says what), or there is no report.
    """

    stat = "outcome"

    def __init__(self, *, report_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.report_task_id = report_task_id

    def run(self, context: Context) -> str:
        """Judge."""
        report = operators.context.pulled(context, self.report_task_id)
        outcome = rotation.advice.check_outcome(self.display_name, report)
        self.log.info("The run's outcome: %s", outcome)
        return outcome

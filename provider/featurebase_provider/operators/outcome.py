"""Let the Dag run end as the report says it did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featurebase_provider.operators.base import FeaturebaseOperator
from featurebase_provider.operators.context import pulled
from featurebase_provider.rotation.advice import check_outcome

if TYPE_CHECKING:
    from airflow.sdk import Context


class RotationOutcomeOperator(FeaturebaseOperator):
    """Fail the Dag run unless the report says that all is done, or that nothing was to be done.

    Airflow goes by the states of tasks, and people set those by hand: a run that is marked failed or successful, or
    whose push task is marked skipped, would end green with a store left behind. Made to be a teardown that fails the
    run, which no mark on the run keeps from running. A task of its own, as a failed report would emit no asset event.

    :param report_task_id: the report task of the same Dag run.
    :returns: the report's outcome.
    :raises AirflowFailException: something is left to do, which the message says; or there is no report.
    """

    stat = "outcome"

    def __init__(self, *, report_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.report_task_id = report_task_id

    def run(self, context: Context) -> str:
        """Judge."""
        report = pulled(context, self.report_task_id)
        outcome = check_outcome(self.display_name, report)
        self.log.info("The run's outcome: %s", outcome)
        return outcome

"""Reads a task's context: its Dag run, its try, and other tasks' results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from featurebase_provider.airflow_compat import branch_of
from featurebase_provider.featurebase.text import one_line
from featurebase_provider.rotation.asked import check_asked
from featurebase_provider.rotation.plan import ThisRun
from featurebase_provider.rotation.schedule import RunTiming

if TYPE_CHECKING:
    from airflow.sdk import Context

    from featurebase_provider.rotation.approval import Approval

STARTED = frozenset({"running", "success", "failed", "restarting", "up_for_retry", "deferred"})
"""States of a task that was started."""


def is_later_try(context: Context) -> bool:
    """Whether the task was tried before in this Dag run."""
    return context["ti"].try_number > 1


def this_run(context: Context) -> ThisRun:
    """The running Dag run and try, as far as Airflow provides them."""
    run: Any = context["dag_run"]
    return ThisRun(
        dag_id=context["ti"].dag_id,
        run_id=context["run_id"],
        started=run.start_date.isoformat() if run.start_date is not None else None,
        run_after=run.run_after.isoformat() if run.run_after is not None else None,
        later_try=is_later_try(context),
        cleared=bool(getattr(run, "clear_number", None)),
    )


def timing_of(context: Context, approval: Approval | None = None) -> RunTiming:
    """When this Dag run was due, and whether by schedule."""
    run: Any = context["dag_run"]
    run_type = str(getattr(run.run_type, "value", run.run_type))
    return RunTiming(
        run_type == "scheduled",
        run.run_after,
        backfill=run_type == "backfill",
        approved_at=approval.moment if approval is not None else None,
    )


def triggered_by(context: Context) -> str | None:
    """The Airflow user who triggered the Dag run, or how Airflow did: ``scheduled``, ``manual`` and the like."""
    run: Any = context["dag_run"]
    run_type = getattr(run.run_type, "value", run.run_type)
    who = getattr(run, "triggering_user_name", None) or run_type
    return one_line(str(who), 100) if who else None


def check_conf(context: Context, webhook: str, goes_by: Mapping[str, object], *, strict: bool) -> None:
    """Check that the Dag run's conf is known and reached the task; see :func:`~.rotation.asked.check_asked`.

    :raises PlanRefused: a key is unknown, or a value did not arrive; nothing was changed.
    """
    check_asked(
        webhook,
        getattr(context["dag_run"], "conf", None),
        goes_by,
        params=context["params"],
        declared=list(getattr(context["dag"], "params", ())),
        strict=strict,
    )


def result_of(context: Context, task_id: str | None) -> Any:
    """A task's result in this Dag run, and in this branch of a mapped task group; None where there is none."""
    if not task_id:
        return None
    branch = branch_of(context)
    if branch is None:
        return context["ti"].xcom_pull(task_ids=task_id)
    return context["ti"].xcom_pull(task_ids=task_id, map_indexes=branch)


def pulled(context: Context, task_id: str | None) -> Mapping[str, Any] | None:
    """A task's result in this Dag run, if it is a mapping."""
    raw = result_of(context, task_id)
    return raw if isinstance(raw, Mapping) else None

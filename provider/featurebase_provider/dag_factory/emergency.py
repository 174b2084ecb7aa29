"""The Dag for a leaked signing secret: it rotates all chosen webhooks in parallel, one branch each."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Param, get_parsing_context, task_group

from featurebase_provider.config.file import configured_path
from featurebase_provider.config.models import AUDIT_DAG_ID, DAG_ID_PREFIX, EMERGENCY_DAG_ID, WebhookConfig
from featurebase_provider.config.right_entries import RightEntries, load_right_entries
from featurebase_provider.dag_factory.settings import TAGS, trigger_form, which
from featurebase_provider.featurebase.text import markdown_safe
from featurebase_provider.operators.choose import ChooseWebhooksOperator
from featurebase_provider.operators.emergency import (
    EmergencyPlanOperator,
    EmergencyProbeOperator,
    EmergencyPushOperator,
    EmergencyRotateOperator,
    longest_probe,
)
from featurebase_provider.operators.emergency_report import EmergencyReportOperator, EmergencySummaryOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from airflow.sdk import BaseOperator

BRANCH = "webhook"
AT_ONCE = 1000
FIRST = 10_000
"""The priority of its tasks: higher than that of any other task that waits for a worker."""


def emergency_rotation_dag(
    path: str | Path | None = None,
    *,
    webhooks: Sequence[WebhookConfig | Mapping[str, Any]] | None = None,
    retries: int = 20,
    retry_delay: timedelta = timedelta(seconds=5),
    push_retries: int = 500,
    push_retry_delay: timedelta = timedelta(seconds=10),
    max_retry_delay: timedelta = timedelta(minutes=1),
    owner: str = "platform",
) -> DAG | None:
    """Build the Dag ``featurebase_emergency_rotation``.

    It refreshes immediately: no schedule, no store checks, no waiting for other runs.

    An invalid entry of the rotation file does not affect the other entries: only its own branch fails, with a message
    that says what is wrong. Call this in a separate Dag file, since ``rotation_dags`` and ``audit_dag`` raise an error
    for a rotation file with an invalid entry.

    :param path: the rotation file; default: ``[featurebase] rotation_config``.
    :param webhooks: the webhooks, instead of those in the rotation file; a mapping has the file's fields.
    :param retries: retries of all tasks except those that write stores.
    :param retry_delay: time before the first retry; it doubles each time.
    :param push_retries: retries of the tasks that write stores; with the default delays they last more than 8 hours.
    :param push_retry_delay: time before the first retry of such a task; it doubles each time.
    :param max_retry_delay: the longest time between two tries.
    :returns: the Dag; None if Airflow is parsing the file to run a task of another Dag of this provider.
    :raises ConfigError: the file is missing, or none of its entries is valid; the message lists every error with its
        line.
    """
    wanted = get_parsing_context().dag_id
    if wanted is not None and (wanted == AUDIT_DAG_ID or wanted.startswith(DAG_ID_PREFIX)):
        return None
    if webhooks is None:
        entries = load_right_entries(path or configured_path())
    else:
        entries = RightEntries(tuple(WebhookConfig.of(webhook) for webhook in webhooks))
    configs = entries.webhooks
    names = [*(config.name for config in configs), *entries.wrong]
    with DAG(
        dag_id=EMERGENCY_DAG_ID,
        dag_display_name="EMERGENCY: replace leaked signing secrets at once",
        description="Replaces leaked signing secrets of Featurebase webhooks immediately, without checks beforehand",
        doc_md=emergency_doc(configs, entries.wrong),
        schedule=None,
        catchup=False,
        # A run that waits for a store must not delay other runs, and 100 webhooks are 100 branches.
        max_active_runs=AT_ONCE,
        max_active_tasks=AT_ONCE,
        is_paused_upon_creation=False,
        tags=[*TAGS, "emergency"],
        default_args={
            "owner": owner,
            "retries": retries,
            "retry_delay": retry_delay,
            "retry_exponential_backoff": True,
            "max_retry_delay": max_retry_delay,
            "execution_timeout": max(config.execution_timeout for config in configs),
            "priority_weight": FIRST,
            "weight_rule": "absolute",
        },
    ) as dag:
        _build(entries, {"retries": push_retries, "retry_delay": push_retry_delay})
    # Afterwards, because Airflow copies the params that a Dag has into each new task, several times.
    dag.params.update(_trigger_form(names))
    return dag


def _trigger_form(names: list[str]) -> dict[str, Param]:
    return {
        "webhooks": Param(
            names,
            type="array",
            items={"type": "string", "maxLength": 100},
            minItems=1,
            examples=names,
            title="Webhooks",
            description='The webhooks whose secret has leaked. CLI and REST must name them; ["all"] means all.',
        ),
        "reason": trigger_form()["reason"],
    }


def _build(entries: RightEntries, pushing: Mapping[str, Any]) -> None:
    """Make the tasks and their order."""
    webhooks = {config.name: config for config in entries.webhooks}
    file_error = None if entries.error is None else str(entries.error)
    choose = ChooseWebhooksOperator(task_id="choose", known=(*webhooks, *entries.wrong), file_error=file_error)

    @task_group(group_id=BRANCH, tooltip="One branch per chosen webhook; they run independently")
    def branch(webhook: str) -> None:
        _branch(webhooks, webhook, pushing, entries.wrong)

    branches = branch.expand(webhook=choose.output)
    summary = EmergencySummaryOperator(
        task_id="summary",
        choose_task_id=choose.task_id,
        report_task_id=f"{BRANCH}.report",
        wrong=entries.wrong,
        file_error=file_error,
    ).as_teardown(on_failure_fail_dagrun=True)  # it runs, and counts, even if the run's state was set by hand
    branches >> summary


def _branch(
    webhooks: Mapping[str, WebhookConfig], webhook: str, pushing: Mapping[str, Any], wrong: Mapping[str, str]
) -> None:
    reason = "{{ params.reason or '' }}"
    common: dict[str, Any] = {"webhooks": webhooks, "webhook": webhook, "map_index_template": "{{ task.webhook }}"}
    common["wrong"] = wrong
    plan = EmergencyPlanOperator(
        task_id="plan",
        **common,
        reason=reason,
        rotate_task_id=f"{BRANCH}.rotate",
    )
    rotate = EmergencyRotateOperator(task_id="rotate", **common, plan_task_id=plan.task_id)
    after: dict[str, Any] = {**common, "rotate_task_id": rotate.task_id}
    push = EmergencyPushOperator(task_id="push", **after, **pushing)
    probe = EmergencyProbeOperator(
        task_id="probe",
        **after,
        execution_timeout=longest_probe(webhooks) + timedelta(minutes=15),
    )
    confirm = EmergencyPushOperator(task_id="confirm", **after, **pushing, announce=False)
    report = EmergencyReportOperator(
        task_id="report",
        **after,
        preflight_task_id=plan.task_id,
        push_ids=[push.task_id, confirm.task_id],
        probe_task_id=probe.task_id,
        mode="emergency",
        reason=reason,
        trigger_rule="all_done",
    )
    checks: list[BaseOperator] = [probe, confirm]
    plan >> rotate >> push >> checks >> report


def emergency_doc(webhooks: Sequence[WebhookConfig], wrong: Mapping[str, str]) -> str:
    """What triggering the Dag does, for somebody in a hurry, and which entries of the rotation file are invalid."""
    rows = "\n".join(
        f"| {markdown_safe(webhook.name)} | {markdown_safe(which(webhook))} | "
        f"{markdown_safe(', '.join(store.label for store in webhook.stores))} |"
        for webhook in webhooks
    )
    left_out = "".join(
        f"* **{markdown_safe(name)} can't be rotated here**: its entry in the rotation file is invalid: "
        f"{markdown_safe(problem)}\n"
        for name, problem in wrong.items()
    )
    return f"""### A signing secret has leaked: replace it at once

Trigger this Dag with the webhooks whose secret has leaked (all by default). **Each secret is refreshed immediately: no
approval, no store checks, no waiting for other runs.** This permanently invalidates the old secret. Then the new one is
written to every store, and the previous secret is removed from the stores that keep one.

| webhook | at Featurebase | stores |
| --- | --- | --- |
{rows}

{left_out}* **One branch per webhook**; they run independently. A store that is down is retried for hours; fix it and
  the next try writes it. A store with a foreign value is never overwritten: `push` fails and names it.
* **A failed task** can be cleared at any time; a run refreshes a webhook at most once.
* A running rotation may continue: it can't bring the leaked secret back.
* `summary` shows all webhooks in one table, and fails unless all of them are done.
"""

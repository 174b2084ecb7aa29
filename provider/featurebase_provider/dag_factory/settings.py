"""What the Dags share: tags, default arguments of tasks, the trigger form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, TaskGroup

from featurebase_provider.rotation.modes import MODES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import BaseOperator

    from featurebase_provider.config import WebhookConfig
    from featurebase_provider.operators.approve import ApproveRotationOperator
    from featurebase_provider.operators.push import PushWebhookSecretOperator
    from featurebase_provider.operators.rotate import RotateWebhookSecretOperator
    from featurebase_provider.rotation.modes import Mode

TAGS = ("featurebase", "webhook", "secret-rotation")


_MODES = (
    "**rotate**: refresh the secret and write it to every store. **distribute**: update the stores to Featurebase's "
    "current secret without refreshing; use it after a rotation by hand. **dry_run**: run preflight and write a "
    "report; changes nothing."
)
_PAIR_MODES = (
    "**rotate**: refresh the paused webhook, write both secrets to every store, and move the deliveries to it. "
    "**distribute**: update the stores without refreshing, and finish a cut-over that was interrupted. **revert**: "
    "move the deliveries back to the other webhook, while its secret is kept. **dry_run**: run preflight and write a "
    "report; changes nothing."
)


def trigger_form(modes: tuple[Mode, ...] = MODES) -> dict[str, Param]:
    """The fields that Airflow's trigger form shows."""
    return {
        "mode": Param(
            "rotate",
            type="string",
            enum=list(modes),
            title="Mode",
            description_md=_PAIR_MODES if "revert" in modes else _MODES,
        ),
        "reason": Param(
            "",
            type=["null", "string"],
            maxLength=500,
            title="Reason",
            description="Kept in the report. Never enter a secret here: Airflow stores and shows it.",
        ),
    }


def which(config: WebhookConfig) -> str:
    """Names the webhook of an entry, or both of a pair."""
    return " and ".join(config.webhook_ids or ()) or config.webhook_id or f"named {config.webhook_name}"


def default_args(config: WebhookConfig) -> dict[str, Any]:
    """Default arguments of a webhook's tasks; stored in the metadata database, so they hold no credentials."""
    return {
        "owner": config.owner,
        "retries": config.retries,
        "retry_delay": config.retry_delay,
        "retry_exponential_backoff": True,
        "max_retry_delay": config.max_retry_delay,
        "execution_timeout": config.execution_timeout,
    }


def task_arguments(config: WebhookConfig, preflight_id: str | None = None) -> dict[str, Any]:
    """Arguments of every task of a rotation.

    :param preflight_id: the task whose plan the others use; None for that task itself.
    """
    return {
        "webhook": config.name,
        "webhook_id": config.webhook_id or "",  # else the task takes it from the plan
        "featurebase_conn_id": config.featurebase_conn_id,
        "dashboard_url": config.dashboard_url,
        "plan_task_id": preflight_id,
        # A dry run relies on this trigger rule, so default_args must not override it.
        "trigger_rule": "all_success",
    }


def approve_tasks(
    config: WebhookConfig, shared: Mapping[str, Any], preflight: BaseOperator, rotate: RotateWebhookSecretOperator
) -> list[ApproveRotationOperator]:
    """The task that waits for an approval between preflight and rotate; none if none is needed.

    :param shared: arguments of every task.
    """
    if config.approval is None:
        return []
    from featurebase_provider.operators.approve import ApproveRotationOperator  # only files with approval load it

    approve = ApproveRotationOperator(
        task_id="approve",
        **shared,
        timeout=config.approval.timeout,
        approvers=config.approval.approvers,
        notify=config.notify,
        execution_timeout=config.execution_timeout,
    )
    rotate.approve_task_id = approve.task_id
    preflight >> approve >> rotate
    return [approve]


def report_arguments(config: WebhookConfig) -> dict[str, Any]:
    """Arguments of the report task that say who is told; none if nobody is."""
    if not config.notify:
        return {}
    from featurebase_provider.operators.notify import WhenReportFails  # only files with notify load it

    return {"notify": config.notify, "on_failure_callback": WhenReportFails(config.name, config.notify)}


def push_tasks(
    config: WebhookConfig, kind: type[PushWebhookSecretOperator], arguments: Mapping[str, Any]
) -> dict[str, PushWebhookSecretOperator]:
    """One task per store, by the store's label.

    :param arguments: arguments of each of them.
    """
    with TaskGroup("push", tooltip="One task per store, each retried by itself"):
        return {
            store.label: kind(
                task_id=store.label,
                **arguments,
                store=store,
                retries=config.push_retries,
                retry_delay=config.push_retry_delay,
            )
            for store in config.stores
        }

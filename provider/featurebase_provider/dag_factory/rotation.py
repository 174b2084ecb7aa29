"""Builds a rotation Dag for each configured webhook, or a task group for a user's own Dag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pendulum
from airflow.sdk import DAG, TaskGroup, get_parsing_context

from featurebase_provider.config.file import configured_path
from featurebase_provider.config.loading import load_webhooks
from featurebase_provider.config.models import AUDIT_DAG_ID, DAG_ID_PREFIX, EMERGENCY_DAG_ID, WebhookConfig
from featurebase_provider.dag_factory.settings import (
    TAGS,
    approve_tasks,
    default_args,
    push_tasks,
    report_arguments,
    task_arguments,
    trigger_form,
)
from featurebase_provider.dag_factory.texts import rotation_doc, template_safe
from featurebase_provider.operators.distributed import SecretDistributedOperator
from featurebase_provider.operators.outcome import RotationOutcomeOperator
from featurebase_provider.operators.preflight import PreflightRotationOperator
from featurebase_provider.operators.push import PushWebhookSecretOperator
from featurebase_provider.operators.report import RotationReportOperator
from featurebase_provider.operators.rotate import RotateWebhookSecretOperator
from featurebase_provider.rotation.modes import MODES, PAIR_MODES
from featurebase_provider.sensors.webhook_delivery_health import WebhookDeliveryHealthSensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

SENSOR_RETRIES = 2


def rotation_dags(path: str | Path | None = None) -> Iterator[DAG]:
    """Build the Dag of every webhook in the rotation file.

    If Airflow is parsing the file to run one task, only that task's Dag is built.

    :param path: the rotation file; default: ``[featurebase] rotation_config``.
    :raises ConfigError: the file is missing or has errors; the message lists every error with its line.
    """
    wanted = get_parsing_context().dag_id
    if wanted in (AUDIT_DAG_ID, EMERGENCY_DAG_ID):
        return
    webhooks = load_webhooks(path or configured_path())
    for webhook in webhooks:
        if wanted is None or wanted == webhook.dag_id or not wanted.startswith(DAG_ID_PREFIX):
            yield rotation_dag(webhook, others=[other for other in webhooks if other is not webhook])


def rotation_dag(webhook: WebhookConfig | Mapping[str, Any], *, others: Sequence[WebhookConfig] = ()) -> DAG:
    """Build the Dag ``featurebase_rotate__<name>``.

    :param webhook: what to rotate and how; a mapping has the fields of the rotation file.
    :param others: the other entries; a run stops before it changes anything if one of them means the same webhook.
    """
    config = WebhookConfig.of(webhook)
    day = config.start_date
    with DAG(
        dag_id=config.dag_id,
        dag_display_name=f"Rotate the signing secret of webhook {config.name}",
        description=f"Rotates the signing secret of the Featurebase webhook {config.name}",
        doc_md=rotation_doc(config),
        schedule=config.schedule,
        start_date=pendulum.datetime(day.year, day.month, day.day, tz=config.timezone),
        catchup=False,
        max_active_runs=1,
        tags=[*TAGS, *config.tags],
        default_args=default_args(config),
    ) as dag:
        build = _builder(config)
        build(config, mode="{{ params.mode }}", reason="{{ params.reason or '' }}", others=others, strict_conf=True)
    # Afterwards, because Airflow copies the params that a Dag has into each new task, several times.
    dag.params.update(trigger_form(MODES if config.webhook_ids is None else PAIR_MODES))
    return dag


def rotation_task_group(
    webhook: WebhookConfig | Mapping[str, Any],
    *,
    group_id: str | None = None,
    mode: str = "{{ params.mode | default('rotate') }}",
    reason: str = "{{ params.reason | default('', true) }}",
) -> TaskGroup:
    """Add a webhook's rotation as a task group to the Dag that is being built.

    :param webhook: what to rotate and how; a mapping has the fields of the rotation file.
    :param group_id: id of the task group; default: ``rotate_<name>``.
    :param mode: ``rotate``, ``distribute``, ``dry_run``, or ``revert`` for a pair of webhooks. Default: ``mode`` from
        the run's conf or the Dag's params, or else ``rotate``. If the run's conf asks for a different mode, the run
        stops and changes nothing. (templated)
    :param reason: the reason, for the report; default: the param ``reason``. (templated)
    """
    config = WebhookConfig.of(webhook)
    arguments: Any = default_args(config)
    with TaskGroup(group_id or f"rotate_{config.name}".replace("-", "_"), default_args=arguments) as group:
        build = _builder(config)
        build(config, mode=mode, reason=reason)
    return group


def _builder(config: WebhookConfig) -> Callable[..., None]:
    """What makes the tasks of this entry."""
    if config.webhook_ids is None:
        return _build
    from featurebase_provider.dag_factory.pair import build_pair  # only files with a pair spend time on it when parsed

    return build_pair


def _build(
    config: WebhookConfig,
    *,
    mode: str,
    reason: str,
    others: Sequence[WebhookConfig] = (),
    strict_conf: bool = False,
) -> None:
    """Make the tasks and their order."""
    options = config.probe.options if config.probe is not None else None
    preflight = PreflightRotationOperator(
        task_id="preflight",
        **task_arguments(config),
        mode=mode,
        reason=reason,
        webhook_name=config.webhook_name and template_safe(config.webhook_name),
        stores=config.stores,
        probe=config.probe is not None,
        probe_options=options,
        late_start=config.late_start,
        min_age=config.min_age,
        previous_for=config.previous_for,
        allow_inactive=config.allow_inactive,
        others=others,
        strict_conf=strict_conf,
    )
    shared = task_arguments(config, preflight.task_id)
    rotate = RotateWebhookSecretOperator(
        task_id="rotate",
        **shared,
        stores=config.stores,
        refresh_grace=config.refresh_grace,
        late_start=config.late_start,
        allow_inactive=config.allow_inactive,
    )
    preflight.rotate_task_id = rotate.task_id
    approve = approve_tasks(config, shared, preflight, rotate)
    pushes = push_tasks(config, PushWebhookSecretOperator, {**shared, "rotate_task_id": rotate.task_id})
    push_ids = {label: task.task_id for label, task in pushes.items()}
    distributed = SecretDistributedOperator(
        task_id="distributed",
        **shared,
        rotate_task_id=rotate.task_id,
        push_task_ids=list(push_ids.values()),
    )
    after: list[Any] = [distributed]
    probe_id = None
    if config.probe is not None:
        from featurebase_provider.operators.probe import ProbeReceiverOperator  # only files with a probe load it

        probe = ProbeReceiverOperator(
            task_id="probe",
            **shared,
            rotate_task_id=rotate.task_id,
            distributed_task_id=distributed.task_id,
            probe_options=options,
            execution_timeout=config.probe.longest + config.execution_timeout,
        )
        probe_id = probe.task_id
        after.append(probe)
    if config.reactivate:
        from featurebase_provider.operators.settle import SettleWebhookOperator  # only files with reactivate load it

        after.append(
            SettleWebhookOperator(task_id="settle", **shared, rotate_task_id=rotate.task_id, probe_task_id=probe_id)
        )
    verify = WebhookDeliveryHealthSensor(
        task_id="verify_delivery",
        **shared,
        wait=config.verify.timeout,
        poll_interval=config.verify.poll_interval.total_seconds(),
        stores=config.stores,
        rotate_task_id=rotate.task_id,
        push_task_ids=list(push_ids.values()),
        probe_task_id=probe_id,
        retries=min(config.retries, SENSOR_RETRIES),
        # A worker waits as long if the triggerer can't.
        execution_timeout=config.verify.timeout + config.execution_timeout,
    )
    after.append(verify)
    report = RotationReportOperator(
        task_id="report",
        **shared,
        mode=mode,
        reason=reason,
        preflight_task_id=preflight.task_id,
        rotate_task_id=rotate.task_id,
        push_task_ids=push_ids,
        probe_task_id=probe_id,
        verify_task_id=verify.task_id,
        task_ids=[task.task_id for task in (preflight, *approve, rotate, *pushes.values(), *after)],
        **report_arguments(config),
        approve_task_id=rotate.approve_task_id,
    ).as_teardown()
    outcome = RotationOutcomeOperator(task_id="outcome", **shared, report_task_id=report.task_id).as_teardown(
        on_failure_fail_dagrun=True
    )
    preflight >> rotate >> list(pushes.values()) >> distributed
    for earlier, later in zip(after, after[1:], strict=False):
        earlier >> later
    # All push tasks, not just verify: if one has finally failed, the report must still wait for the others.
    [*pushes.values(), verify] >> report >> outcome

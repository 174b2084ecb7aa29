"""Builds the tasks that rotate a pair of webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featurebase_provider.dag_factory.settings import approve_tasks, push_tasks, report_arguments, task_arguments
from featurebase_provider.operators.activate import ActivateStandbyOperator
from featurebase_provider.operators.cut_over import CutOverOperator
from featurebase_provider.operators.distributed import SecretDistributedOperator
from featurebase_provider.operators.outcome import RotationOutcomeOperator
from featurebase_provider.operators.pair_preflight import PreflightPairOperator
from featurebase_provider.operators.pair_probe import ProbePairOperator
from featurebase_provider.operators.pair_push import PushPairOperator
from featurebase_provider.operators.pair_report import PairReportOperator
from featurebase_provider.operators.pair_rotate import RotatePairOperator
from featurebase_provider.rotation.pair_rotate import GRACES_BEFORE_ACTIVE
from featurebase_provider.sensors.pair_delivery_health import PairDeliveryHealthSensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from featurebase_provider.config import WebhookConfig

RETRIES_OF_WAITS = 2


def build_pair(
    config: WebhookConfig,
    *,
    mode: str,
    reason: str,
    others: Sequence[WebhookConfig] = (),
    strict_conf: bool = False,
) -> None:
    """Make the tasks of a pair's rotation and their order.

    :param config: an entry with ``webhook_ids`` and a probe.
    :raises ValueError: it has none.
    """
    if config.webhook_ids is None or config.probe is None:
        raise ValueError(f"the entry {config.name} is no pair, or has no probe")
    options = config.probe.options
    ids = config.webhook_ids[0].lower(), config.webhook_ids[1].lower()
    pair: dict[str, Any] = {"webhook_ids": ids, "previous_for": config.previous_for}
    first = task_arguments(config)
    del first["webhook_id"]
    preflight = PreflightPairOperator(
        task_id="preflight",
        **first,
        **pair,
        mode=mode,
        reason=reason,
        stores=config.stores,
        probe=True,
        probe_options=options,
        late_start=config.late_start,
        min_age=config.min_age,
        others=others,
        strict_conf=strict_conf,
    )
    shared = task_arguments(config, preflight.task_id)
    rotate = RotatePairOperator(
        task_id="rotate",
        **shared,
        **pair,
        stores=config.stores,
        refresh_grace=config.refresh_grace,
        late_start=config.late_start,
    )
    preflight.rotate_task_id = rotate.task_id
    approve = approve_tasks(config, shared, preflight, rotate)
    after_rotate = {**shared, "rotate_task_id": rotate.task_id}
    pushes = push_tasks(config, PushPairOperator, {**after_rotate, **pair})
    push_ids = {label: task.task_id for label, task in pushes.items()}
    distributed = SecretDistributedOperator(
        task_id="distributed", **after_rotate, push_task_ids=list(push_ids.values())
    )
    probe = ProbePairOperator(
        task_id="probe",
        **after_rotate,
        **pair,
        stores=config.stores,
        distributed_task_id=distributed.task_id,
        probe_options=options,
        execution_timeout=config.probe.longest + config.execution_timeout,
    )
    activate = ActivateStandbyOperator(
        task_id="activate",
        **after_rotate,
        **pair,
        stores=config.stores,
        probe_task_id=probe.task_id,
        probe_options=options,
        execution_timeout=GRACES_BEFORE_ACTIVE * config.refresh_grace + config.execution_timeout,
    )
    cut_over = CutOverOperator(
        task_id="cut_over",
        **after_rotate,
        **pair,
        stores=config.stores,
        probe_task_id=probe.task_id,
        first_delivery=config.overlap.first_delivery,
        pending=config.overlap.pending,
        poll_interval=config.verify.poll_interval.total_seconds(),
        # A worker waits as long if the triggerer can't.
        execution_timeout=max(config.overlap.first_delivery, config.overlap.pending) + config.execution_timeout,
    )
    verify = PairDeliveryHealthSensor(
        task_id="verify_delivery",
        **after_rotate,
        wait=config.verify.timeout,
        poll_interval=config.verify.poll_interval.total_seconds(),
        stores=config.stores,
        push_task_ids=list(push_ids.values()),
        probe_task_id=probe.task_id,
        retries=min(config.retries, RETRIES_OF_WAITS),
        execution_timeout=config.verify.timeout + config.execution_timeout,
    )
    steps = [preflight, *approve, rotate, *pushes.values(), distributed, probe, activate, cut_over, verify]
    report = PairReportOperator(
        task_id="report",
        **after_rotate,
        **pair,
        mode=mode,
        reason=reason,
        stores=config.stores,
        preflight_task_id=preflight.task_id,
        push_task_ids=push_ids,
        probe_task_id=probe.task_id,
        verify_task_id=verify.task_id,
        cut_over_task_id=cut_over.task_id,
        task_ids=[task.task_id for task in steps],
        **report_arguments(config),
        approve_task_id=rotate.approve_task_id,
    ).as_teardown()
    outcome = RotationOutcomeOperator(task_id="outcome", **shared, report_task_id=report.task_id).as_teardown(
        on_failure_fail_dagrun=True
    )
    preflight >> rotate >> list(pushes.values()) >> distributed >> probe >> activate >> cut_over >> verify
    # All push tasks, not just verify: if one has finally failed, the report must still wait for the others.
    [*pushes.values(), verify] >> report >> outcome

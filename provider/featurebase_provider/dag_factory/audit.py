"""The Dag that compares all webhooks of the rotation file, and their stores, with Featurebase."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.sdk import DAG, Param, get_parsing_context

from featurebase_provider.config.file import configured_path
from featurebase_provider.config.loading import load_rotation_config
from featurebase_provider.config.models import AUDIT_DAG_ID, DAG_ID_PREFIX, EMERGENCY_DAG_ID
from featurebase_provider.dag_factory.settings import TAGS
from featurebase_provider.operators.audit import AuditFindingsOperator, AuditWebhooksOperator, SelectHealsOperator

if TYPE_CHECKING:
    from pathlib import Path

    from featurebase_provider.config import RotationConfig

TIME_LIMIT = timedelta(minutes=45)
"""Seconds after which no further store is read."""


def audit_dag(path: str | Path | None = None) -> DAG | None:
    """Build the Dag ``featurebase_audit``.

    :param path: the rotation file; default: ``[featurebase] rotation_config``.
    :returns: the Dag; None if Airflow is parsing the file to run a task of another Dag of this provider.
    :raises ConfigError: the file is missing or has errors; the message lists every error with its line.
    """
    wanted = get_parsing_context().dag_id
    if wanted is not None and (wanted == EMERGENCY_DAG_ID or wanted.startswith(DAG_ID_PREFIX)):
        return None
    # Imported here: it loads Airflow's database models, which Dag files without this Dag do not need.
    from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator

    config = load_rotation_config(path or configured_path())
    day = config.audit.start_date
    arguments: dict[str, Any] = {
        "owner": config.audit.owner,
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=5),
        "execution_timeout": timedelta(minutes=10),
    }
    with DAG(
        dag_id=AUDIT_DAG_ID,
        dag_display_name="Audit all webhook signing secrets",
        description="Compares Featurebase's webhooks and the stores of their signing secrets; changes nothing itself",
        doc_md=audit_doc(config),
        schedule=config.audit.schedule,
        start_date=pendulum.datetime(day.year, day.month, day.day, tz=config.audit.timezone),
        catchup=False,
        max_active_runs=1,
        tags=[*TAGS, *config.audit.tags],
        default_args=arguments,
    ) as dag:
        audit = AuditWebhooksOperator(
            task_id="audit",
            webhooks=config.webhooks,
            ignore=config.audit.ignore,
            time_limit=TIME_LIMIT.total_seconds(),
            execution_timeout=TIME_LIMIT + timedelta(minutes=15),
        )
        drifted = SelectHealsOperator(task_id="drifted", audit_task_id=audit.task_id, heal="{{ params.heal }}")
        heal = TriggerDagRunOperator.partial(
            task_id="heal", skip_when_already_exists=True, logical_date=None, deferrable=False
        ).expand_kwargs(drifted.output)
        findings = AuditFindingsOperator(task_id="findings", audit_task_id=audit.task_id, retries=0)
        audit >> drifted >> heal
        audit >> findings
    # Afterwards, because Airflow copies the params that a Dag has into each new task, several times.
    dag.params.update(_trigger_form(heal=config.audit.heal))
    return dag


def _trigger_form(*, heal: bool) -> dict[str, Param]:
    return {
        "heal": Param(
            heal,
            type="boolean",
            title="Heal",
            description_md="Trigger the Dag of each webhook whose stores differ, with mode **distribute**: it updates "
            "the stores to Featurebase's current secret without refreshing.",
        )
    }


def audit_doc(config: RotationConfig) -> str:
    """What the audit checks, and what a failed run means."""
    stores = sum(len(webhook.stores) for webhook in config.webhooks)
    webhooks = sum(len(webhook.webhook_ids or "1") for webhook in config.webhooks)
    ignored = ", ".join(f"`{kind}`" for kind in config.audit.ignore) or "none"
    heals = "triggers" if config.audit.heal else "does not trigger"
    return f"""### Compares {webhooks} webhooks and {stores} stores with Featurebase

Lists every webhook of each connection and reads every store; it **changes nothing**. A run fails if something needs
attention: the log of the task `findings` has a table of the findings, and what to do about each.

* Ignored kinds of findings: {ignored}.
* It {heals} the Dags of webhooks whose stores differ (`heal`), with mode `distribute`, which refreshes nothing. The
  audit's run fails even so; the next run shows whether the findings are gone.
* The report is the result of the task `audit`, and an event of the asset `featurebase://audit/report`.
"""

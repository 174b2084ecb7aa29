"""What the Dags have in common: tags, the tasks' defaults, the trigger form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param

from featurebase_provider.rotation.plan import MODES

if TYPE_CHECKING:
    from featurebase_provider.config import WebhookConfig

TAGS = ("featurebase", "webhook", "secret-rotation")


def trigger_form() -> dict[str, Param]:
    """The fields that Airflow's trigger form shows."""
    return {
        "mode": Param(
            "rotate",
            type="string",
            enum=list(MODES),
            title="Mode",
            description_md="**rotate**: refresh the secret and have it in every store. **distribute**: bring the "
            "stores to Featurebase's current secret without refreshing, for after a rotation by hand. **dry_run**: "
            "preflight and a report; changes nothing.",
        ),
        "reason": Param(
            "",
            type=["null", "string"],
            maxLength=500,
            title="Reason",
            description="Kept in the report. Never put a secret here: Airflow stores and shows it.",
        ),
    }


def default_args(config: WebhookConfig) -> dict[str, Any]:
    """What the tasks of a webhook share; stored in the metadata database, so it holds no credentials."""
    return {
        "owner": config.owner,
        "retries": config.retries,
        "retry_delay": config.retry_delay,
        "retry_exponential_backoff": True,
        "max_retry_delay": config.max_retry_delay,
        "execution_timeout": config.execution_timeout,
    }

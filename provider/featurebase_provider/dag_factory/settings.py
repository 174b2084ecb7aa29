"""What the Dags share: tags, default arguments of tasks, the trigger form."""

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
            description_md="**rotate**: refresh the secret and write it to every store. **distribute**: update the "
            "stores to Featurebase's current secret without refreshing; use it after a rotation by hand. **dry_run**: "
            "run preflight and write a report; changes nothing.",
        ),
        "reason": Param(
            "",
            type=["null", "string"],
            maxLength=500,
            title="Reason",
            description="Kept in the report. Never enter a secret here: Airflow stores and shows it.",
        ),
    }


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

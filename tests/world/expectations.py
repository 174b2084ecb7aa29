"""What the two usual stores of a test hold, and are to hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow

PUSHES = ["push.airflow_variable", "push.object_storage"]


def in_stores(airflow: InProcessAirflow, world: FeaturebaseWorld) -> dict[str, str]:
    """What the two stores hold."""
    return {"variable": airflow.variable(world.variable).val, "file": world.secret_file.read_text()}


def file_with(secret: str) -> str:
    """The receiver's whole file."""
    return f"# what the receiver reads\nNAME=demo\nFEATUREBASE_WEBHOOK_SECRET={secret}\n"


def everywhere(secret: str) -> dict[str, str]:
    """What the two stores are to hold."""
    return {"variable": secret, "file": file_with(secret)}


def asset(world: FeaturebaseWorld, what: str) -> str:
    """The URI of one of the webhook's assets."""
    return f"featurebase://webhooks/{world.name}/{what}"

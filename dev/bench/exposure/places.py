"""The places that each contestant writes, for the benchmark and for the Dag files that Airflow's tasks load."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTESTANTS = ("floor", "ours", "usual")
LATENCIES = (0, 80)
"""Milliseconds that the network adds to each call of Featurebase, Vault and AWS."""
STORES = ("airflow_variable", "object_storage", "hashicorp_vault", "aws_secrets_manager", "aws_ssm")
"""In the order in which rows name them. They are also the labels of our stores."""
VAULT_MOUNT = "secret"
KEY = "FEATUREBASE_WEBHOOK_SECRET"
"""The key in the file and in Vault's secret."""
PLACES_FILE = "EXPOSURE_BENCH_PLACES"
"""Names the file with all places, for tasks."""


@dataclass(frozen=True)
class Place:
    """A webhook of one contestant at one latency, and its five stores.

    :param file: the path of the local file.
    """

    contestant: str
    latency: int
    webhook_id: str
    file: str

    @property
    def dag_id(self) -> str:
        """The Dag that rotates it; also the name of what it writes."""
        return f"exposure_{self.contestant}_{self.latency}"

    @property
    def parameter(self) -> str:
        """The parameter's name in Systems Manager."""
        return f"/exposure/{self.dag_id}"

    @property
    def one_call_secret(self) -> str:
        """The floor's secret in Secrets Manager that is put as the current one: moto takes no label away from it."""
        return f"{self.dag_id}_one_call"

    def conn_id(self, service: str) -> str:
        """The connection to ``featurebase``, ``http`` (Featurebase for the HttpOperator), ``vault`` or ``aws``."""
        return f"exposure_{service}_{self.latency}"


def write_places(path: Path, places: Sequence[Place]) -> None:
    """Write the file for tasks."""
    path.write_text(json.dumps([asdict(place) for place in places]))


def places_of(contestant: str) -> list[Place]:
    """In a task: the contestant's places."""
    rows = json.loads(Path(os.environ[PLACES_FILE]).read_text())
    return [Place(**row) for row in rows if row["contestant"] == contestant]

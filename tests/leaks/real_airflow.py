"""A whole Airflow, all daemons, with several Featurebases around it, and its logs as talkative as they get."""

from __future__ import annotations

import json
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from dev.airflow.local_airflow import LocalAirflow
from dev.airflow.processes import DemoError
from tests.leaks.processes import ProcessWatch
from tests.world.featurebase import FeaturebaseWorld
from tests.world.pair import PairWorld

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LEVELS = "httpx=DEBUG httpcore=DEBUG supervisor=INFO"
"""Everything at DEBUG but Airflow's task supervisor: at DEBUG that writes each Variable which a task sets into the
log of its component, value included and past all masking (3.3.2), whatever the task does."""
RUN_SECONDS = 400.0


class RealAirflow:
    """A context manager; rotates one webhook, or one pair, per world.

    :param folder: for everything that it writes.
    :param dags: the Dags folder.
    :param entries: by name, what differs from the usual rotation file entry.
    :param pairs: the same for pairs of webhooks.
    :param settings: further environment variables.
    """

    def __init__(
        self,
        folder: Path,
        dags: Path,
        entries: Mapping[str, Mapping[str, Any]],
        *,
        pairs: Mapping[str, Mapping[str, Any]] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._entries, self._pair_entries, self._open = entries, pairs or {}, ExitStack()
        self.pairs = {name: PairWorld(folder / name) for name in self._pair_entries}
        self.worlds = {**{name: FeaturebaseWorld(folder / name) for name in entries}, **self.pairs}
        """All worlds, those of pairs too."""
        self._rotation_file = folder / "rotation.yaml"
        self.temporary = folder / "tmp"
        """The folder for temporary files of all its processes."""
        self.temporary.mkdir(parents=True)
        self.airflow = LocalAirflow(
            folder / "airflow",
            dags=dags,
            settings={
                "AIRFLOW__FEATUREBASE__ROTATION_CONFIG": str(self._rotation_file),
                # How long a killed triggerer's triggers wait for another one.
                "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5",
                "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
                "AIRFLOW__LOGGING__NAMESPACE_LEVELS": LEVELS,
                "TMPDIR": str(self.temporary),
                **(settings or {}),
            },
            api_timeout=120,
        )
        self.processes = ProcessWatch(self._process_ids, every=0.2)
        """What its processes showed of themselves, from the start on."""

    def __enter__(self) -> RealAirflow:
        for world in self.worlds.values():
            self._open.enter_context(world)
        entries = [self.worlds[name].entry(**changes, name=name) for name, changes in self._entries.items()]
        entries += [self.pairs[name].pair_entry(**changes, name=name) for name, changes in self._pair_entries.items()]
        self._rotation_file.write_text(json.dumps({"audit": {"schedule": None}, "webhooks": entries}))
        self._open.callback(self.airflow.kill)
        self._open.enter_context(self.processes)
        self.airflow.start()
        for world in self.worlds.values():
            self.airflow.api.add_connection(
                world.conn_id, conn_type="featurebase", host=world.url, password=world.api_key
            )
        for name in self.worlds:
            self.airflow.wait_for_dag(self.dag_id(name))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _process_ids(self) -> list[int]:
        found = []
        for process in [*self.airflow.processes.values()]:
            with suppress(DemoError):  # it was stopped, and may be started again
                found.append(process.pid)
        return found

    def dag_id(self, name: str) -> str:
        """The Dag of one world."""
        return f"featurebase_rotate__{name}"

    def trigger(self, name: str, **conf: Any) -> str:
        """Unpause a world's Dag, trigger it by hand, and return the run's id."""
        self.airflow.api.unpause(self.dag_id(name))
        return self.airflow.api.trigger(self.dag_id(name), conf)

    def wait(self, name: str, run_id: str) -> str:
        """Wait for the end of a run and return its state."""
        return self.airflow.api.wait_for_run(self.dag_id(name), run_id, seconds=RUN_SECONDS)

    def states(self, name: str, run_id: str) -> dict[str, str]:
        """The states of a run's tasks."""
        return {task_id: task["state"] for task_id, task in self.airflow.api.tasks(self.dag_id(name), run_id).items()}

    def report(self, name: str, run_id: str) -> dict[str, Any]:
        """What a run's report task left."""
        return dict(self.airflow.api.xcom(self.dag_id(name), run_id, "report"))

    @property
    def secrets(self) -> dict[str, str]:
        """Everything that must turn up nowhere, by name."""
        return {
            f"{name}: {what}": value for name, world in self.worlds.items() for what, value in world.secrets.items()
        }

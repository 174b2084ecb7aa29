"""One try of a task, with Airflow's side of it in memory: for tests of what an operator asks, and what it leaves.

Stands in for the task runner as far as this provider's operators see it. It is strict where Airflow is: an event
counts only if its asset is an outlet, and a result of a mapped task must be asked for with its map index. Whole Dag
runs are :mod:`tests.world.in_process_airflow`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

from airflow.sdk.execution_time.context import OutletEventAccessors

NOW = datetime(2026, 1, 15, 10, 30, tzinfo=timezone.utc)
UNSET: Any = object()


@dataclass
class RunningTask:
    """A task that is about to run.

    :param operator: the task.
    :param results: what other tasks of the Dag run have left, by task id; of a mapped task a list of all branches'.
    :param states: of the Dag run's tasks.
    :param durations: of its finished tasks in seconds; None where Airflow does not tell (3.1).
    """

    operator: Any
    results: dict[str, Any] = field(default_factory=dict)
    findings: dict[str, Any] = field(default_factory=dict)
    """What other tasks have left for the report beside their results; as ``results``."""
    dag_id: str = "a_dag"
    run_id: str = "manual__1"
    try_number: int = 1
    map_index: int = -1
    run_type: str = "manual"
    run_after: datetime = NOW
    clear_number: int = 0
    params: dict[str, Any] = field(default_factory=dict)
    conf: dict[str, Any] = field(default_factory=dict)
    states: dict[str, str | None] = field(default_factory=dict)
    durations: dict[str, float] | None = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    """How many runs of a Dag are queued, by its id."""
    paused: dict[str, bool] | None = field(default_factory=dict)
    """Which Dags are paused; None where Airflow does not tell (3.1)."""
    pushed: dict[str, Any] = field(default_factory=dict)
    """What the task itself has pushed as XComs, by key; its return value is not among them."""

    def __post_init__(self) -> None:
        self._outlets = OutletEventAccessors()
        self.context: Any = {
            "ti": _TaskInstance(self),
            "run_id": self.run_id,
            "dag": SimpleNamespace(task_dict={**dict.fromkeys(self.states), self.operator.task_id: self.operator}),
            "task": self.operator,
            "dag_run": SimpleNamespace(
                run_type=self.run_type,
                run_after=self.run_after,
                start_date=self.run_after,
                clear_number=self.clear_number,
                conf=self.conf,
            ),
            "params": self.params,
            "outlet_events": self._outlets,
        }

    def execute(self) -> Any:
        """Run the task as Airflow does."""
        return self.operator.execute(self.context)

    def resume(self, event: Mapping[str, Any] | None) -> Any:
        """Run what follows a deferral."""
        return self.operator.execute_complete(self.context, event)

    @property
    def emitted(self) -> dict[str, Any]:
        """The ``extra`` of each event that the task would emit by success, by the asset's name.

        Every outlet gets an event, with an empty ``extra`` where the task said nothing.
        """
        told = {key.name: accessor for key, accessor in self._outlets._dict.items()}
        events: dict[str, Any] = {}
        for outlet in self.operator.outlets:
            accessor = told.get(outlet.name)
            if type(outlet).__name__ == "AssetAlias":
                aliased = accessor.asset_alias_events if accessor is not None else []
                events.update({event.dest_asset_key.name: event.extra for event in aliased})
            else:
                events[outlet.name] = accessor.extra if accessor is not None else {}
        return events


class _TaskInstance:
    def __init__(self, running: RunningTask) -> None:
        self._running = running
        self.task_id, self.dag_id, self.run_id = running.operator.task_id, running.dag_id, running.run_id
        self.try_number, self.map_index = running.try_number, running.map_index
        self.max_tries = getattr(running.operator, "retries", 0)  # of a task that was not cleared

    def xcom_pull(self, task_ids: str | None = None, *, key: str = "return_value", map_indexes: Any = UNSET) -> Any:
        kept = {"return_value": self._running.results, "finding": self._running.findings}[key]
        found = kept.get(self.task_id if task_ids is None else task_ids)
        branches = found if isinstance(found, list) else None
        if map_indexes is UNSET:
            return found  # a list, where the task is mapped
        if branches is None:
            return found if map_indexes == -1 else None
        return branches[map_indexes] if 0 <= map_indexes < len(branches) else None

    def xcom_push(self, key: str, value: Any) -> None:
        self._running.pushed[key] = value

    def get_task_states(self, *, dag_id: str, run_ids: list[str], map_index: int | None = None) -> dict[str, Any]:
        assert dag_id == self.dag_id
        assert map_index == (None if self.map_index < 0 else self.map_index)
        suffix = "" if map_index is None else f"_{map_index}"
        return {run_id: {f"{key}{suffix}": state for key, state in self._running.states.items()} for run_id in run_ids}

    def get_dr_count(self, *, dag_id: str, states: list[str]) -> int:
        assert states == ["queued"]
        return self._running.waiting.get(dag_id, 0)

    def __getattr__(self, name: str) -> Any:
        """What the older minors lack."""
        newer = {"get_task_breadcrumbs": self._running.durations, "get_dag": self._running.paused}
        if newer.get(name) is None:
            raise AttributeError(name)
        return getattr(self, f"_{name}")

    def _get_task_breadcrumbs(self, *, dag_id: str, run_id: str) -> Iterator[dict[str, Any]]:
        assert (dag_id, run_id) == (self.dag_id, self.run_id)
        for task_id, seconds in (self._running.durations or {}).items():
            yield {"task_id": task_id, "map_index": self.map_index, "duration": seconds}

    def _get_dag(self, dag_id: str) -> Any:
        return SimpleNamespace(is_paused=(self._running.paused or {}).get(dag_id, False))

"""What Airflow keeps between tries of a Dag run's tasks, and how the operators feed the core from it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from featurebase_provider.featurebase.errors import FeaturebaseError
from featurebase_provider.rotation.all_stores import StoreOutcome
from featurebase_provider.rotation.plan import RotationPlan, ThisRun
from featurebase_provider.rotation.rotate import RotationOutcome
from tests.properties.stepping import Try

if TYPE_CHECKING:
    from collections.abc import Callable

    from featurebase_provider.featurebase.models import Webhook

Kind = Literal["normal", "distribute", "emergency", "revert", "dry_run"]


@dataclass
class DagRun:
    """A Dag run, as the metadata database has it.

    :param began: when (ISO 8601).
    :param plan: what preflight left.
    :param xcom: results of tasks, by task; cleared when a try begins.
    :param commits: refreshes of this run that Featurebase carried out.
    :param commits_late: whether one of them may commit after the grace, or an emergency's be shown after it.
    :param failed: tasks whose last try failed, as far as Airflow knows.
    :param twins: whether two tries of its rotate were alive at once (a worker that Airflow lost sight of).
    """

    kind: Kind
    run_id: str
    began: str
    plan: RotationPlan | None = None
    xcom: dict[str, Any] = field(default_factory=dict)
    tries: Counter[str] = field(default_factory=Counter)
    commits: int = 0
    commits_late: bool = False
    twins: bool = False
    reported: bool = False
    failed: set[str] = field(default_factory=set)

    @property
    def this_run(self) -> ThisRun:
        return ThisRun("emergency" if self.kind == "emergency" else "rotation", self.run_id, self.began, self.began)

    @property
    def outcome(self) -> RotationOutcome | None:
        return RotationOutcome.from_json(self.xcom["rotate"]) if "rotate" in self.xcom else None

    def pushed(self) -> dict[str, StoreOutcome]:
        return {
            task.removeprefix("push."): StoreOutcome(**result)
            for task, result in self.xcom.items()
            if task.startswith("push.")
        }


class TaskTry(Try):
    """A try of a Dag run's task, and what it knew.

    :param orphan: Airflow lost sight of it: it goes on, and its result is looked at by nobody.
    :param read: fingerprint that it read last from Featurebase.
    :param reads: for a pair, the webhooks as it read them last, by id.
    :param by_hand: how often a person had changed each store of a pair when it began.
    :param read_stale: whether that was not the truth any more.
    :param unready: a store that it could not arm.
    :param asked_log: whether it has read Featurebase's audit log; ``saw_a_refresh``: since the plan, in that log.
    :param leaked: fingerprints that emergency runs had said to have leaked when it began.
    :param wrote: fingerprints that it put into stores.
    """

    def __init__(self, dag_run: DagRun, task: str, run: Callable[[], Any]) -> None:
        dag_run.tries[task] += 1
        self.number = dag_run.tries[task]
        super().__init__(f"{dag_run.run_id} {task} try {self.number}", run, expected=FeaturebaseError)
        self.dag_run, self.task = dag_run, task
        self.orphan = False
        self.read: str | None = None
        self.reads: dict[str, Webhook] = {}
        self.by_hand: dict[str, int] = {}
        self.read_stale = False
        self.unready: str | None = None
        self.asked_log = self.saw_a_refresh = False
        self.leaked: frozenset[str] = frozenset()
        self.wrote: set[str] = set()
        self.recorded = False
        dag_run.xcom.pop(task, None)

    def record(self) -> None:
        """Airflow takes the result of a try that it still knows."""
        self.recorded = True
        if self.orphan or self.dag_run.tries[self.task] != self.number:
            return
        if not self.succeeded:
            self.dag_run.failed.add(self.task)
        else:
            self.dag_run.failed.discard(self.task)
            if self.task == "preflight":
                self.dag_run.plan = RotationPlan.from_json(json.loads(json.dumps(self.result)))
            self.dag_run.xcom[self.task] = json.loads(json.dumps(self.result))

"""A real Airflow whose rotations wait for an approval, and answers through its REST API, as the UI gives them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dev.airflow.local_airflow import USERNAME, LocalAirflow
from dev.airflow.processes import wait_for
from dev.airflow.world import API_KEY, SECRET_KEY, World

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

    from dev.airflow.rest import AirflowApi

ASKED, HASTY = "featurebase_rotate__asked", "featurebase_rotate__hasty"
START_SECONDS, RUN_SECONDS = 300.0, 600.0


class ApprovingAirflow:
    """A context manager. ``asked`` waits for a day, ``hasty`` for a minute.

    :param python: the interpreter whose Airflow is run.
    :param settings: further configuration as environment variables.
    """

    def __init__(
        self, folder: Path, *, python: str = sys.executable, settings: Mapping[str, str] | None = None
    ) -> None:
        file = folder / "rotation.yaml"
        program = Path(sys.executable).with_name("featurebase")
        subprocess.run([program, "example-dags", folder / "dags"], check=True)
        self.world = World(folder)
        self._airflow = LocalAirflow(
            folder / "airflow",
            dags=folder / "dags",
            python=python,
            settings={"AIRFLOW__FEATUREBASE__ROTATION_CONFIG": str(file), **(settings or {})},
            api_timeout=120,
        )
        self.api = self._airflow.api
        self._file = file

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            opened.callback(self.world.stop)
            self.world.start()
            pair = self.world.add_pair()
            entries = [
                self._entry(
                    "asked", self.world.webhook_id, self.world.secret_file, timeout="P1D", approvers=[USERNAME]
                ),
                self._entry("hasty", pair.webhook_ids[0], pair.secret_file, timeout="PT1M"),
            ]
            self._file.write_text(json.dumps({"audit": {"schedule": None}, "webhooks": entries}))
            opened.callback(self._airflow.kill)
            self._airflow.start(seconds=START_SECONDS)
            self.api.add_connection(
                "featurebase_default", conn_type="featurebase", host=self.world.url, password=API_KEY
            )
            for dag_id in (ASKED, HASTY):
                self._airflow.wait_for_dag(dag_id, seconds=START_SECONDS)
                self.api.unpause(dag_id)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def _entry(self, name: str, webhook_id: str, file: Path, **approval: Any) -> dict[str, Any]:
        return {
            "name": name,
            "webhook_id": webhook_id,
            "schedule": None,
            "retries": 0,
            "approval": approval,
            "stores": [{"type": "object_storage", "path": str(file), "format": "dotenv", "key": SECRET_KEY}],
            "probe": {"timeout": "PT1M", "interval": "PT1S"},
            "verify": {"timeout": "PT1S", "poll_interval": "PT1S"},
        }

    def answer(self, dag_id: str, run_id: str, option: str) -> None:
        """Press one of the buttons."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"
        self.api.call("PATCH", path, json={"chosen_options": [option], "params_input": {}})

    def ends(self, dag_id: str, run_id: str) -> tuple[str, dict[str, str], dict[str, Any]]:
        """Wait for the end; the run's state, its tasks' states, and its report."""
        state = self.api.wait_for_run(dag_id, run_id, seconds=RUN_SECONDS)
        tasks = {task_id: str(task["state"]) for task_id, task in self.api.tasks(dag_id, run_id).items()}
        return state, tasks, dict(self.api.xcom(dag_id, run_id, "report"))


def asks(api: AirflowApi, dag_id: str, run_id: str) -> dict[str, Any]:
    """Wait until the run asks; what the UI shows."""
    found: dict[str, Any] = {}

    def is_asking() -> bool:
        details = api.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/hitlDetails")["hitl_details"]
        found.update(details[0] if details else {})
        task = api.tasks(dag_id, run_id).get("approve", {})
        return bool(details) and task.get("state") in ("awaiting_input", "deferred")

    wait_for("the question", is_asking, seconds=RUN_SECONDS)
    # A task that goes on before the scheduler has noted that it waits is failed by the scheduler.
    time.sleep(10)
    return found


def check_approvals(airflow: ApprovingAirflow) -> None:
    """An approval lets the run refresh once; a rejection and no answer leave the secret as it is, and say so."""
    api, world = airflow.api, airflow.world
    unanswered = api.trigger(HASTY)
    approved = api.trigger(ASKED, {"reason": "a *test*"})

    question = asks(api, ASKED, approved)
    before = world.webhook()
    assert question["subject"] == "Rotate the signing secret of webhook asked?"
    assert question["options"] == ["Approve", "Reject"]
    assert question["params"] == {}, "no field of the Dag's trigger form"
    assert [user["id"] for user in question["assigned_users"]] == [USERNAME]
    for part in (world.webhook_id, "webhook.env".replace(".", r"\."), r"a \*test\*"):
        assert part in question["body"]
    assert before["secret"] not in json.dumps(question)
    assert world.refreshes() == []
    airflow.answer(ASKED, approved, "Approve")
    state, tasks, report = airflow.ends(ASKED, approved)
    assert (tasks["approve"], tasks["rotate"], report["outcome"]) == ("success", "success", "rotated"), report["cause"]
    assert (report["approval"]["by"], len(world.refreshes())) == (USERNAME, 1)
    after = world.webhook()["secret"]
    assert after != before["secret"]

    rejected = api.trigger(ASKED)
    asks(api, ASKED, rejected)
    airflow.answer(ASKED, rejected, "Reject")
    state, tasks, report = airflow.ends(ASKED, rejected)
    assert (state, tasks["approve"], tasks["rotate"], report["outcome"]) == ("success", "skipped", "skipped", "skipped")
    assert f"{USERNAME} rejected the rotation; nothing was changed" in report["cause"]
    assert (world.webhook()["secret"], len(world.refreshes())) == (after, 1)

    for mode in ("distribute", "dry_run"):
        state, tasks, report = airflow.ends(ASKED, api.trigger(ASKED, {"mode": mode}))
        assert (tasks["approve"], report["approval"]) == ("success", None), mode
    assert len(world.refreshes()) == 1

    state, tasks, report = airflow.ends(HASTY, unanswered)
    assert (state, tasks["approve"], report["outcome"]) == ("failed", "failed", "nothing_changed")
    assert "nobody approved the rotation within" in report["cause"]
    assert "nothing was changed" in report["cause"]

"""A small client for the parts of Airflow's REST API (v2) that the demo and the tests use."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx

from dev.airflow.processes import DemoError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FINAL_STATES = ("success", "failed")


class AirflowApi:
    """Signed in as a user of the simple auth manager.

    :param base_url: of the API server.
    :param timeout: seconds to wait for an answer.
    """

    def __init__(self, base_url: str, *, username: str, password: str, timeout: float = 30) -> None:
        self.base_url = base_url
        self._credentials = {"username": username, "password": password}
        self._http = httpx.Client(base_url=base_url, timeout=timeout, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def answers(self) -> bool:
        """Whether the API server answers."""
        try:
            return self._http.get("/api/v2/version").status_code == 200
        except httpx.HTTPError:
            return False

    def is_healthy(self) -> bool:
        """Whether the metadata database, scheduler, Dag processor and triggerer are all reported healthy."""
        try:
            answer = self._http.get("/api/v2/monitor/health")
        except httpx.HTTPError:
            return False
        parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        health = answer.json() if answer.status_code == 200 else {}
        return all((health.get(part) or {}).get("status") == "healthy" for part in parts)

    def sign_in(self) -> None:
        """Get a token for the calls that follow."""
        answer = self._http.post("/auth/token", json=self._credentials)
        if answer.status_code >= 300:
            raise DemoError(f"signing in to Airflow failed with {answer.status_code}")
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """Send one call below ``/api/v2`` and return its JSON answer."""
        answer = self._http.request(method, f"/api/v2{path}", **kwargs)
        if answer.status_code >= 300:
            raise DemoError(f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:300]}")
        return answer.json() if answer.content else None

    def page(self, path: str, *, signed_in: bool = True) -> httpx.Response:
        """What a browser gets at an address of Airflow; there the session is a cookie."""
        token = self._http.headers["Authorization"].removeprefix("Bearer ")
        cookies = {"_token": token} if signed_in else {}
        return httpx.get(f"{self.base_url}{path}", cookies=cookies, timeout=self._http.timeout, trust_env=False)

    def add_connection(self, conn_id: str, **fields: Any) -> None:
        """Create a connection."""
        self.call("POST", "/connections", json={"connection_id": conn_id, **fields})

    def set_variable(self, key: str, value: str, description: str | None = None) -> None:
        """Create a Variable."""
        self.call("POST", "/variables", json={"key": key, "value": value, "description": description})

    def has_dag(self, dag_id: str) -> bool:
        """Whether the Dag processor has parsed the Dag."""
        return self._http.get(f"/api/v2/dags/{dag_id}").status_code == 200

    def import_errors(self) -> list[str]:
        """The stack traces of Dag files that did not load."""
        return [error["stack_trace"] for error in self.call("GET", "/importErrors")["import_errors"]]

    def unpause(self, dag_id: str) -> None:
        """Let the Dag run."""
        self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def pause(self, dag_id: str) -> None:
        """Let no further run of the Dag begin."""
        self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": True})

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Trigger a Dag run by hand and return its id."""
        run = self.call("POST", f"/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": dict(conf or {})})
        return str(run["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """A Dag run."""
        return dict(self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}"))

    def run_state(self, dag_id: str, run_id: str) -> str:
        """State of a Dag run."""
        return str(self.run(dag_id, run_id)["state"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """All runs of a Dag."""
        return list(self.call("GET", f"/dags/{dag_id}/dagRuns")["dag_runs"])

    def tasks(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        """Task instances of a Dag run by task id."""
        found = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", params={"limit": 100})
        return {task["task_id"]: task for task in found["task_instances"]}

    def follow(self, dag_id: str, run_id: str, *, seconds: float) -> Iterator[tuple[str, str]]:
        """Yield ``(task id, state)`` at each change until the Dag run has ended."""
        seen: dict[str, str] = {}
        deadline = time.monotonic() + seconds
        while True:
            ended = self.run_state(dag_id, run_id) in FINAL_STATES
            for task_id, task in self.tasks(dag_id, run_id).items():
                state = task["state"]
                if state is not None and seen.get(task_id) != state:
                    seen[task_id] = state
                    yield task_id, state
            if ended:
                return
            if time.monotonic() > deadline:
                raise DemoError(f"the Dag run {run_id} did not end within {seconds:.0f} s; tasks: {seen}")
            time.sleep(0.3)

    def wait_for_run(self, dag_id: str, run_id: str, *, seconds: float) -> str:
        """Wait for the end of a Dag run and return its state."""
        for _ in self.follow(dag_id, run_id, seconds=seconds):
            pass
        return self.run_state(dag_id, run_id)

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """A task's result."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self.call("GET", path, params={"deserialize": "true"})["value"]

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> str:
        """A task's log as text."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        content = self.call("GET", path, params={"full_content": "true"}, headers={"Accept": "application/json"})
        return "\n".join(str(line.get("event", line)) for line in content["content"])

    def clear(self, dag_id: str, run_id: str, task_ids: list[str] | None = None, *, downstream: bool = True) -> None:
        """Clear tasks of a run (all of them by default), as the UI's button does."""
        body: dict[str, Any] = {
            "dry_run": False,
            "dag_run_id": run_id,
            "only_failed": False,
            "only_running": False,
            "include_downstream": downstream,
            "reset_dag_runs": True,
        }
        if task_ids is not None:
            body["task_ids"] = task_ids
        self.call("POST", f"/dags/{dag_id}/clearTaskInstances", json=body)

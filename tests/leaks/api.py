"""Everything that Airflow's REST API, and with it the UI, shows to a signed-in user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from dev.airflow.local_airflow import USERNAME

if TYPE_CHECKING:
    from dev.airflow.local_airflow import LocalAirflow
    from tests.leaks.scanner import LeakScanner

LISTS = (
    "/connections",
    "/variables",
    "/assets",
    "/assets/events",
    "/dagWarnings",
    "/eventLogs",
    "/importErrors",
    "/jobs",
    "/pools",
    "/plugins",
    "/providers",
    "/config",
    "/monitor/health",
)
PAGE = 1000


def crawl(airflow: LocalAirflow, scanner: LeakScanner) -> dict[str, Any]:
    """Ask for every list, each connection and Variable, each Dag with its source, its runs, tasks, XComs and logs.

    :param scanner: looks through each answer, and notes it as a place.
    :returns: what ``GET /connections`` and ``GET /variables`` showed, by their name.
    :raises AssertionError: a call failed on Airflow's side, or nothing was there to be asked for.
    """
    with httpx.Client(base_url=airflow.url, timeout=60, trust_env=False) as http:
        token = http.post("/auth/token", json={"username": USERNAME, "password": airflow.password}).json()
        http.headers["Authorization"] = f"Bearer {token['access_token']}"
        return _Crawl(http, scanner).run()


class _Crawl:
    def __init__(self, http: httpx.Client, scanner: LeakScanner) -> None:
        self._http, self._scanner = http, scanner

    def run(self) -> dict[str, Any]:
        shown = {path: self._ask(path) for path in LISTS}
        for connection in shown["/connections"]["connections"]:
            self._ask(f"/connections/{connection['connection_id']}", "/connections/...")
        for variable in shown["/variables"]["variables"]:
            self._ask(f"/variables/{quote(variable['key'], safe='')}", "/variables/...")
        dags = self._ask("/dags")["dags"]
        assert dags
        for dag in dags:
            self._dag(dag["dag_id"])
        return {"connections": shown["/connections"]["connections"], "variables": shown["/variables"]["variables"]}

    def _dag(self, dag_id: str) -> None:
        for path in ("", "/details", "/tasks", "/dagVersions"):
            self._ask(f"/dags/{dag_id}{path}", f"/dags/...{path}")
        self._ask(f"/dagSources/{dag_id}", "/dagSources/...", accept="text/plain")
        for run in self._ask(f"/dags/{dag_id}/dagRuns", "/dags/.../dagRuns")["dag_runs"]:
            self._run(f"/dags/{dag_id}/dagRuns/{quote(run['dag_run_id'], safe='')}", "/dags/.../dagRuns/...")

    def _run(self, run: str, shown: str) -> None:
        for path in ("", "/upstreamAssetEvents"):
            self._ask(f"{run}{path}", f"{shown}{path}")
        for entry in self._ask(f"{run}/taskInstances/~/xcomEntries", f"{shown}/xcomEntries")["xcom_entries"]:
            path = f"/taskInstances/{entry['task_id']}/xcomEntries/{quote(entry['key'], safe='')}"
            for how in ("deserialize", "stringify"):
                options = {how: "true", "map_index": str(entry["map_index"])}
                self._ask(f"{run}{path}", f"{shown}/taskInstances/.../xcomEntries/...", **options)
        for task in self._ask(f"{run}/taskInstances", f"{shown}/taskInstances")["task_instances"]:
            path, named = f"{run}/taskInstances/{task['task_id']}", f"{shown}/taskInstances/..."
            which = {"map_index": str(task["map_index"])}
            one = f"/{task['map_index']}" if task["map_index"] >= 0 else ""
            self._ask(f"{path}{one}/tries", f"{named}/tries")
            self._ask(f"{path}/links", f"{named}/links", **which)
            for number in range(1, task["try_number"] + 1):
                self._ask(f"{path}/logs/{number}", f"{named}/logs/...", full_content="true", **which)

    def _ask(self, path: str, shown: str | None = None, *, accept: str = "application/json", **params: str) -> Any:
        answer = self._http.get(f"/api/v2{path}", params={"limit": str(PAGE), **params}, headers={"Accept": accept})
        assert answer.status_code < 500, f"{answer.status_code} to GET {path}"
        self._scanner.scan_data("REST API answer", f"GET {shown or path}", answer.content)
        return answer.json() if answer.is_success and accept == "application/json" else None

"""How many calls of the Featurebase API a rotation and an audit make, counted where they arrive."""

from __future__ import annotations

import json
import re
import statistics
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx

from dev.airflow.processes import DemoError
from dev.airflow.world import API_VERSION
from featurebase_provider.sandbox.server import SandboxServer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from dev.airflow.rest import AirflowApi

Calls = Counter[tuple[str, str, str]]
"""How many, by task (or triggerer), method and path."""

AUDIT, AUDIT_FILE = "featurebase_audit", "FEATUREBASE_BENCH_AUDIT_FILE"
WORKSPACES, WEBHOOKS = 10, 10
"""Featurebase's limit is 10 webhooks a workspace, so 100 of them are behind 10 connections."""
AUDIT_SECONDS = 120.0
BETWEEN = "(triggerer)"


def by_task(calls: Iterable[Mapping[str, Any]], processes: Sequence[Mapping[str, Any]]) -> Calls:
    """Sum calls up by the task whose process was at work then; between them the triggerer was.

    :param calls: from the sandbox's journal.
    :param processes: what the task processes of one run wrote; see :mod:`dev.bench.task_clock`.
    """
    found: Calls = Counter()
    for call in calls:
        at = call["at"] / 1000
        tasks = [one["task"] for one in processes if one["running"] <= at <= one["over"]]
        # Tasks of one kind run side by side; all others one after the other.
        task = re.sub(r"^push\..*", "push.*", tasks[0]) if tasks else BETWEEN
        found[task, call["method"], path_of(call["path"])] += 1
    return found


def path_of(path: str) -> str:
    """A call's path with a placeholder for the webhook's id."""
    return re.sub(r"/[0-9a-f]{24}(?=/|$)", "/{id}", path)


def rows_of(what: str, counted: Sequence[Calls]) -> list[dict[str, Any]]:
    """A row for each kind of call, and one for all: the median of several runs, and the most and fewest."""
    kinds = sorted({kind for calls in counted for kind in calls}, key=lambda kind: kind[1:] + kind[:1])
    rows = [_row(what, *kind, [calls[kind] for calls in counted]) for kind in kinds]
    return [*rows, _row(what, "(all)", "", "", [calls.total() for calls in counted])]


def _row(what: str, task: str, method: str, path: str, numbers: Sequence[int]) -> dict[str, Any]:
    return {
        "what": what,
        "task": task,
        "method": method,
        "path": path,
        "calls": round(statistics.median(numbers)),
        "fewest": min(numbers),
        "most": max(numbers),
    }


class Audited:
    """100 webhooks in as many workspaces as they need, and what an audit of them calls. A context manager.

    :param folder: where the rotation file of the audit is written.
    """

    def __init__(self, folder: Path) -> None:
        self.rotation_file = folder / "audited.json"
        self._open = ExitStack()

    def __enter__(self) -> Audited:
        self._servers = [self._open.enter_context(SandboxServer()) for _ in range(WORKSPACES)]
        self._made = [[_webhook(server, number) for number in range(WEBHOOKS)] for server in self._servers]
        entries = [
            {
                "name": f"audited-{workspace}-{number}",
                "webhook_id": webhook["id"],
                "featurebase_conn_id": f"workspace_{workspace}",
                "schedule": None,
                "stores": [{"type": "airflow_variable", "name": f"audited_{workspace}_{number}"}],
            }
            for workspace, webhooks in enumerate(self._made)
            for number, webhook in enumerate(webhooks)
        ]
        self.rotation_file.write_text(json.dumps({"audit": {"schedule": None}, "webhooks": entries}))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def connect(self, api: AirflowApi) -> None:
        """Make the connections, and Variables that hold the secrets."""
        for workspace, (server, webhooks) in enumerate(zip(self._servers, self._made, strict=True)):
            api.add_connection(
                f"workspace_{workspace}", conn_type="featurebase", host=server.url, password=server.api_key
            )
            for number, webhook in enumerate(webhooks):
                api.set_variable(f"audited_{workspace}_{number}", webhook["secret"])

    def count(self, api: AirflowApi) -> Calls:
        """Run the audit's Dag, and count.

        :raises DemoError: the audit did not cover all webhooks.
        """
        before = [len(server.state.journal.calls) for server in self._servers]
        run_id = api.trigger(AUDIT)
        api.wait_for_run(AUDIT, run_id, seconds=AUDIT_SECONDS)
        covered = len(api.xcom(AUDIT, run_id, "audit")["webhooks"])
        if covered != WORKSPACES * WEBHOOKS:
            raise DemoError(f"the audit covered {covered} webhooks, not {WORKSPACES * WEBHOOKS}")
        return Counter(
            ("audit", call.method, path_of(call.path))
            for server, earlier in zip(self._servers, before, strict=True)
            for call in server.state.journal.calls[earlier:]
        )


def _webhook(server: SandboxServer, number: int) -> dict[str, Any]:
    body = {"name": f"Webhook {number}", "url": f"{server.url}/nobody", "topics": ["post.created"]}
    headers = {"Authorization": f"Bearer {server.api_key}", "Featurebase-Version": API_VERSION}
    answer = httpx.post(f"{server.url}/v2/webhooks", json=body, headers=headers, trust_env=False)
    return dict(answer.raise_for_status().json())

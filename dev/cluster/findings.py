"""What the runs came to: per rotation, and whether any secret lies where none may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table

from dev.airflow.processes import DemoError
from dev.cluster.airflow import DATABASE
from tests.contract.s3_cases import client_of
from tests.crash.judge import UNABLE
from tests.leaks.scanner import LeakScanner
from tests.servers import postgres, redis_server

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import redis

    from dev.cluster.airflow import ClusterAirflow
    from dev.cluster.lanes import Lane
    from dev.cluster.play import Play
    from tests.crash.judge import Judge


@dataclass
class Finding:
    """What one rotation came to.

    :param tried_again: tasks with more than one try.
    :param refused: delivery attempts that the receiver refused.
    :param problem: what is wrong; empty if nothing is.
    """

    lane: Lane
    state: str
    tried_again: list[str]
    refreshes: int
    refused: int
    events: int = 0
    accepted: int = 0
    problem: str = ""


def finding_of(lane: Lane, judge: Judge, play: Play) -> Finding:
    """Look at one rotation whose run has ended."""
    api, run_id = play.airflow.api, play.runs[lane.name]
    tasks = api.tasks(lane.dag_id, run_id)
    attempts = lane.sandbox.state.journal.attempts
    found = Finding(
        lane,
        play.states[lane.name],
        sorted(f"{task_id} ({row['try_number']})" for task_id, row in tasks.items() if row["try_number"] > 1),
        lane.refreshes(),
        sum(one.status_code not in (None, 200, UNABLE) for one in attempts),
    )
    try:
        assert found.state == "success", f"the run {found.state}: {_unwell(tasks)}"  # noqa: S101 - as the judge says it
        judge.check(dict(api.xcom(lane.dag_id, run_id, "report")))
        assert lane.vendor_is_right(), f"{lane.vendor.type} holds something else"  # noqa: S101
        found.events, found.accepted = judge.events_accepted()
        assert found.accepted == found.events, "events were lost"  # noqa: S101
        log = api.log(lane.dag_id, run_id, "report", tasks["report"]["try_number"])
        assert lane.fingerprint in log, "the API server doesn't show the log of the task report"  # noqa: S101
    except (AssertionError, DemoError) as problem:
        found.problem = str(problem) or type(problem).__name__
    return found


def _unwell(tasks: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {task_id: row["state"] for task_id, row in tasks.items() if row["state"] not in ("success", "skipped")}


def table(findings: Sequence[Finding]) -> Table:
    """For people."""
    made = Table(box=None, pad_edge=False)
    for name in ("rotation", "beside it", "run", "tasks tried again (tries)"):
        made.add_column(name, no_wrap=True)
    for name in ("refreshes", "refused", "events", "accepted"):
        made.add_column(name, justify="right")
    made.add_column("as it should be")
    for one in findings:
        figures = (one.refreshes, one.refused, one.events, one.accepted)
        again = ", ".join(one.tried_again) or "-"
        made.add_row(one.lane.name, one.lane.vendor.type, one.state, again, *map(str, figures), one.problem or "yes")
    return made


def leaks(airflow: ClusterAirflow, lanes: Sequence[Lane], bucket: str) -> LeakScanner:
    """Look for secrets in the database, the broker, the uploaded task logs, and all that the hosts have written."""
    scanner = LeakScanner({name: value for lane in lanes for name, value in lane.secrets.items()})
    for (name,) in postgres.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1", dbname=DATABASE
    ):
        # Binary columns come as hexadecimal text, which is one of the forms that are looked for.
        rows = postgres.execute(f'SELECT "{name}"::text FROM "{name}"', dbname=DATABASE)  # noqa: S608 - names of tables
        scanner.scan_data("database table", str(name), "\n".join(str(row) for (row,) in rows).encode())
    with redis_server.admin(db=0) as client:
        scan_broker(scanner, client)
    s3 = client_of("s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for found in page.get("Contents", []):
            text = s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
            scanner.scan_data("uploaded task log", found["Key"], text)
    scanner.scan_folder(airflow.hosts, kind="host")
    scanner.scan_folder(airflow.logs, kind="daemon's output")
    return scanner


def scan_broker(scanner: LeakScanner, client: redis.Redis) -> None:
    """Look through all that Redis holds, of whatever type."""
    client.config_set("rdbcompression", "no")  # else DUMP compresses what it gives, and nothing would be found in it
    for key in client.scan_iter():
        scanner.scan_data("broker", key.decode(errors="replace"), client.dump(key) or b"")

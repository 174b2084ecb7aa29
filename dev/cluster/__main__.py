"""Rotate on a cluster, some of whose hosts die: ``python -m dev.cluster``.

Exit status 1 if anything is not as it should be.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import signal
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from dev.airflow.processes import DemoError
from dev.cluster.airflow import ROOT, ClusterAirflow
from dev.cluster.findings import finding_of, leaks, table
from dev.cluster.journal import Journal
from dev.cluster.lanes import lanes
from dev.cluster.play import Play
from featurebase_provider.cli.example_dags import DAG_FILES
from tests.contract.s3_cases import client_of, moto_server
from tests.crash.airflow import tell
from tests.crash.judge import judge_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dev.cluster.lanes import Lane

FOLDER = ROOT / ".cluster"
BUCKET, LOGS_CONNECTION = "task-logs", "cluster_logs"
START_SECONDS = 900.0
WIDTH = 170


def main() -> int:
    """Run it and return the exit status."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends what it started, as Ctrl-C does
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # moto's access log
    journal = Journal()
    shutil.rmtree(FOLDER, ignore_errors=True)
    try:
        with ExitStack() as opened:
            playing = [*lanes(FOLDER, refreshes=options.refresh, pairs=options.pairs)]
            for lane in playing:
                opened.enter_context(lane)
            is_well = _play(_start(playing, journal, opened), playing, journal)
    except DemoError as problem:
        journal.note(f"FAILED: {problem}")
        return 1
    if options.page is not None and is_well:
        journal.write_into(options.page)
    return 0 if is_well else 1


def _start(playing: Sequence[Lane], journal: Journal, opened: ExitStack) -> ClusterAirflow:
    rotation_file = FOLDER / "rotation.yaml"
    entries = [lane.entry() for lane in playing]
    rotation_file.write_text(json.dumps({"audit": {"schedule": None}, "webhooks": entries}))
    client_of("s3").create_bucket(Bucket=BUCKET)
    s3 = {"endpoint_url": moto_server()[1], "region_name": "us-east-1"}
    airflow = ClusterAirflow(
        FOLDER,
        dags=DAG_FILES,
        settings={
            "AIRFLOW__FEATUREBASE__ROTATION_CONFIG": str(rotation_file),
            "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
            "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": f"s3://{BUCKET}/logs",
            "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": LOGS_CONNECTION,
            f"AIRFLOW_CONN_{LOGS_CONNECTION.upper()}": json.dumps(
                {"conn_type": "aws", "login": "root", "password": "root", "extra": s3}
            ),
        },
    )
    opened.callback(airflow.end)
    airflow.start(journal.note, seconds=START_SECONDS)
    for lane in playing:
        tell(airflow.api, lane)
    for conn_id, fields in {lane.vendor.conn_id: lane.vendor.connection() for lane in playing}.items():
        airflow.api.add_connection(conn_id, **fields)
    for lane in playing:
        airflow.wait_for_dag(lane.dag_id, seconds=START_SECONDS)
        airflow.api.unpause(lane.dag_id)
    return airflow


def _play(airflow: ClusterAirflow, playing: Sequence[Lane], journal: Journal) -> bool:
    """Play it and tell what came of it; whether all is as it should be."""
    judges = {lane.name: judge_of(airflow, lane) for lane in playing}
    for judge in judges.values():
        judge.begin("rotate")
    play = Play(airflow, playing, journal)
    try:
        play.play()
    except DemoError as problem:
        journal.note(f"NOT AS IT SHOULD BE: {problem}")
        _tell_tasks(play, journal)
        return False
    findings = [finding_of(lane, judges[lane.name], play) for lane in playing]
    scanner = leaks(airflow, playing, BUCKET)
    console = Console(width=WIDTH)
    with console.capture() as captured:
        console.print(table(findings))
    journal.add(f"\n{captured.get()}")
    places = ", ".join(f"{kind}: {count}" for kind, count in Counter(one.kind for one in scanner.places).items())
    journal.add(f"secrets looked for: {scanner.secrets}; in: {places}; found: {len(scanner.leaks)}")
    for leak in scanner.leaks:
        journal.add(f"LEAK of {leak.secret}, {leak.form}, in {leak.place}")
    return not scanner.leaks and not any(one.problem for one in findings)


def _tell_tasks(play: Play, journal: Journal) -> None:
    for lane in play.lanes:
        tasks = play.airflow.api.tasks(lane.dag_id, play.runs[lane.name]) if lane.name in play.runs else {}
        states = ", ".join(f"{name} {row['state']} ({row['hostname']})" for name, row in tasks.items())
        journal.note(f"{lane.name}: {states}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.cluster", description=__doc__)
    parser.add_argument("--refresh", type=int, default=4, help="webhooks that are refreshed (at least 2)")
    parser.add_argument("--pairs", type=int, default=3, help="pairs of webhooks, whose deliveries move")
    parser.add_argument("--page", type=Path, default=None, help="a Markdown page for the journal, if all is well")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

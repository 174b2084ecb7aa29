"""Run the demo: ``python -m dev.demo``, or ``python -m dev.demo --keep`` to leave everything running."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from dotenv import dotenv_values

from dev.airflow.local_airflow import USERNAME, LocalAirflow
from dev.airflow.processes import DemoError
from dev.airflow.world import API_KEY, SECRET_KEY, World
from dev.demo.act import SPEED, Act
from dev.demo.story import Story
from featurebase_provider.cli.example_dags import DAG_FILES

if TYPE_CHECKING:
    from dev.airflow.world import Receiver

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".demo"
DAG_ID, PAIR_DAG_ID = "featurebase_rotate__production", "featurebase_rotate__pair"
ROTATION_FILE = """\
# The rotation file of the demo; every field is described in docs/configuration.md.
defaults:
  featurebase_conn_id: featurebase_default
  schedule: "0 6 1 * *"
  timezone: Europe/Tallinn
webhooks:
  - name: production
    webhook_id: {webhook_id}
    stores:
      - {{type: airflow_variable, name: featurebase_webhook_signing_secret}}
      - {{type: object_storage, path: "{secret_file}", format: dotenv, key: FEATUREBASE_WEBHOOK_SECRET}}
    probe: {{timeout: PT1M, interval: PT1S, steady: PT3S}}
    verify: {{timeout: PT1M, poll_interval: PT1S}}
"""
PAIR_ENTRY = """\
  - name: pair
    strategy: overlap
    webhook_ids: [{webhook_ids}]
    stores:
      - type: airflow_variable
        name: {variable}
        format: json
        key: current
        previous_key: previous
      - type: object_storage
        path: "{secret_file}"
        format: dotenv
        key: FEATUREBASE_WEBHOOK_SECRET
        previous_key: FEATUREBASE_WEBHOOK_SECRET_PREVIOUS
    probe: {{timeout: PT1M, interval: PT1S, steady: PT3S}}     # left out, steady is PT2M
    overlap: {{first_delivery: PT1M, pending: PT1M}}           # left out, these are PT5M and PT1H
    verify: {{timeout: PT1M, poll_interval: PT1S}}             # left out, these are PT15M and PT15S
"""
PAIR_VARIABLE = "featurebase_webhook_signing_secrets"
SHORTENED = (
    "Waits are shortened, so that the demo fits into 4 minutes: probe.steady is 3 s (2 min by default with overlap), "
    "overlap.first_delivery 1 min (5 min), verify.poll_interval 1 s (15 s)."
)


def main() -> int:
    """Run the demo and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m dev.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    keep = parser.parse_args().keep
    signal.signal(signal.SIGTERM, _interrupt)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    story = Story()
    world = World(FOLDER)
    airflow: LocalAirflow | None = None
    try:
        story.step("Starting the sandbox Featurebase and two receivers that verify signatures")
        world.start()
        pair = world.add_pair()
        world.control("POST", "/clock", json={"speed": SPEED})
        airflow = _start_airflow(world, pair, story)
        succeeded = _rotate(world, pair, airflow, story)
        if keep:
            _stay(world, pair, airflow, story)
        return 0 if succeeded else 1
    except DemoError as exc:
        story.step(f"[red]Failed:[/red] {exc}")
        story.step(f"Logs: {FOLDER}/logs, {FOLDER}/airflow/component-logs, {FOLDER}/airflow/logs")
        return 1
    except KeyboardInterrupt:
        story.step("Stopping")
        return 130
    finally:
        if airflow is not None:
            airflow.stop()
        world.stop()


def _start_airflow(world: World, pair: Receiver, story: Story) -> LocalAirflow:
    rotation_file = FOLDER / "rotation.yaml"
    single = ROTATION_FILE.format(webhook_id=world.webhook_id, secret_file=world.secret_file)
    both = PAIR_ENTRY.format(
        webhook_ids=", ".join(pair.webhook_ids), variable=PAIR_VARIABLE, secret_file=pair.secret_file
    )
    rotation_file.write_text(single + both)
    airflow = LocalAirflow(
        FOLDER / "airflow",
        dags=DAG_FILES,
        settings={"AIRFLOW__FEATUREBASE__ROTATION_CONFIG": str(rotation_file)},
    )
    try:
        airflow.start(lambda text: story.step(f"Airflow: {text}"))
        airflow.api.add_connection("featurebase_default", conn_type="featurebase", host=world.url, password=API_KEY)
        # A pair's stores hold the live secret before a rotation; mode=distribute would write it, too.
        live = dotenv_values(pair.secret_file)[SECRET_KEY]
        airflow.api.set_variable(PAIR_VARIABLE, json.dumps({"current": live}))
        story.step("Airflow: waiting for the rotation Dags")
        for dag_id in (DAG_ID, PAIR_DAG_ID):
            airflow.wait_for_dag(dag_id)
    except BaseException:
        airflow.stop()
        raise
    return airflow


def _rotate(world: World, pair: Receiver, airflow: LocalAirflow, story: Story) -> bool:
    """Rotate by both strategies, and compare; whether all is as it should be."""
    acts = [Act("refresh", DAG_ID, world.single), Act("overlap", PAIR_DAG_ID, pair)]
    played = {act.strategy: act.play(world, airflow, story) for act in acts}
    story.compare({strategy: figures for strategy, (figures, _) in played.items()})
    story.step(SHORTENED)
    problems = [problem for _, found in played.values() for problem in found]
    for problem in problems:
        story.step(f"[red]Not as it should be:[/red] {problem}")
    _where_to_look(story)
    return not problems


def _where_to_look(story: Story) -> None:
    story.console.print(
        f"\nThe whole reports are in the logs of the tasks [bold]report[/bold]: {FOLDER.name}/airflow/logs\n"
        f"The rotation file: {FOLDER.name}/rotation.yaml. The same with the UI left running: [bold]make up[/bold]"
    )


def _stay(world: World, pair: Receiver, airflow: LocalAirflow, story: Story) -> None:
    story.console.rule("Left running")
    story.console.print(
        f"Airflow    {airflow.url}   login [bold]{USERNAME}[/bold]  password [bold]{airflow.password}[/bold]\n"
        f"Dags       {airflow.url}/dags/{DAG_ID}\n"
        f"           {airflow.url}/dags/{PAIR_DAG_ID}\n"
        f"Sandbox    {world.url}   API key {API_KEY}   journal {world.url}/_sandbox/deliveries\n"
        f"Receivers  {world.single.url}/received  {pair.url}/received\n"
        "Press Ctrl-C to stop all of it."
    )
    while True:
        for process in airflow.processes.values():
            process.check_alive()
        time.sleep(1)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

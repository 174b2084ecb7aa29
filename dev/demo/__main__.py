"""Run the demo: ``python -m dev.demo``, or ``python -m dev.demo --keep`` to leave everything running."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from dev.airflow.local_airflow import USERNAME, LocalAirflow
from dev.airflow.processes import DemoError, wait_for
from dev.airflow.world import API_KEY, World
from dev.demo.story import Story
from dev.demo.timeline import make_timeline
from featurebase_provider.cli.example_dags import DAG_FILES

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".demo"
DAG_ID = "featurebase_rotate__production"
EVENTS_PER_SECOND = 20.0
EVENT_SECONDS = 170.0
SPEED = 30.0
RUN_SECONDS = 150.0
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
        story.step("Starting the sandbox Featurebase and a receiver that verifies signatures")
        world.start()
        airflow = _start_airflow(world, story)
        succeeded = _rotate(world, airflow, story)
        if keep:
            _stay(world, airflow, story)
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


def _start_airflow(world: World, story: Story) -> LocalAirflow:
    rotation_file = FOLDER / "rotation.yaml"
    rotation_file.write_text(ROTATION_FILE.format(webhook_id=world.webhook_id, secret_file=world.secret_file))
    airflow = LocalAirflow(
        FOLDER / "airflow",
        dags=DAG_FILES,
        settings={"AIRFLOW__FEATUREBASE__ROTATION_CONFIG": str(rotation_file)},
    )
    try:
        airflow.start(lambda text: story.step(f"Airflow: {text}"))
        airflow.api.add_connection("featurebase_default", conn_type="featurebase", host=world.url, password=API_KEY)
        story.step("Airflow: waiting for the rotation Dag")
        airflow.wait_for_dag(DAG_ID)
    except BaseException:
        airflow.stop()
        raise
    return airflow


def _rotate(world: World, airflow: LocalAirflow, story: Story) -> bool:
    """Trigger the Dag while events flow, and report; whether all is as it should be."""
    story.step(f"{EVENTS_PER_SECOND:.0f} events a second flow from Featurebase to the receiver")
    world.control("POST", "/clock", json={"speed": SPEED})
    world.emit(per_second=EVENTS_PER_SECOND, seconds=EVENT_SECONDS)
    airflow.api.unpause(DAG_ID)
    run_id = airflow.api.trigger(DAG_ID, {"mode": "rotate", "reason": "make demo"})
    story.step(f"Triggered {DAG_ID} through Airflow's REST API")
    for task_id, state in airflow.api.follow(DAG_ID, run_id, seconds=RUN_SECONDS):
        story.task(task_id, state)
    state = airflow.api.run_state(DAG_ID, run_id)
    story.step(f"The Dag run ended: {state}")
    time.sleep(2)
    world.stop_emitting()
    wait_for("the delivery of every event", lambda: all(event["delivered"] for event in world.events()), seconds=30)
    problems = _report(world, airflow, story, run_id)
    if state != "success":
        problems.append(f"the Dag run ended as {state}; read {airflow.home}/logs")
    for problem in problems:
        story.step(f"[red]Not as it should be:[/red] {problem}")
    _where_to_look(airflow, story)
    return not problems


def _report(world: World, airflow: LocalAirflow, story: Story, run_id: str) -> list[str]:
    """Print the report and return what is not as it should be."""
    rotation: dict[str, Any] = airflow.api.xcom(DAG_ID, run_id, "report")
    refreshes = world.refreshes()
    if len(refreshes) != 1:
        return [f"the secret was refreshed {len(refreshes)} times, not once; read {airflow.home}/logs"]
    timeline = make_timeline(
        world.events(), world.deliveries(), refreshed_at=refreshes[0]["at"], fingerprint=rotation["after"]
    )
    story.report(rotation=rotation, timeline=timeline, tasks=airflow.api.tasks(DAG_ID, run_id), speed=SPEED)
    problems = []
    if timeline.lost:
        problems.append(f"{len(timeline.lost)} events were never accepted; read {FOLDER}/logs/receiver.log")
    if rotation["outcome"] != "rotated":
        problems.append(f"the outcome is {rotation['outcome']!r}: {rotation['advice']}")
    if rotation["before"] == rotation["after"]:
        problems.append("the secret did not change")
    if any(one["fingerprint"] != rotation["after"] for one in rotation["stores"]):
        problems.append("a store does not hold the new secret")
    return problems


def _where_to_look(airflow: LocalAirflow, story: Story) -> None:
    story.console.print(
        f"\nThe whole report is in the log of the task [bold]report[/bold]: {FOLDER.name}/airflow/logs\n"
        f"The rotation file: {FOLDER.name}/rotation.yaml. The same with the UI left running: [bold]make up[/bold]"
    )


def _stay(world: World, airflow: LocalAirflow, story: Story) -> None:
    story.console.rule("Left running")
    story.console.print(
        f"Airflow    {airflow.url}   login [bold]{USERNAME}[/bold]  password [bold]{airflow.password}[/bold]\n"
        f"Dag        {airflow.url}/dags/{DAG_ID}\n"
        f"Sandbox    {world.url}   API key {API_KEY}   journal {world.url}/_sandbox/deliveries\n"
        f"Receiver   {world.receiver_url}/received\n"
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

"""How a pair's run ended, and what must hold then: at home, taken back, or waiting for a person."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING

from tests.faults.cases import BY_AIRFLOW, BY_HAND, DONE, NOT_STARTED
from tests.faults.pair_calls import TAKEN_BACK
from tests.faults.runs import ADVICE, message_of, normalised

LONG = timedelta(hours=9)
"""After this no delivery that was signed before is tried again, and ``previous_for`` is over."""

if TYPE_CHECKING:
    from tests.faults.pair_stage import PairStage
    from tests.faults.pair_world import FaultyPair
    from tests.world.in_process_airflow import InProcessAirflow, Run

ALL_AFTER_PREFLIGHT = (
    "rotate", "push.scripted", "push.other", "distributed", "probe", "activate", "cut_over", "verify_delivery",
    "report", "outcome",
)  # fmt: skip


def outcome_of_pair(run: Run, world: FaultyPair, *, refreshed: bool) -> str:
    """How a run ended whose fault is over.

    :param refreshed: whether it had refreshed before the case began.
    """
    if "failed" not in run.states.values():
        return BY_AIRFLOW if run.errors else DONE
    if not refreshed and not world.has_changed:
        return NOT_STARTED
    return BY_HAND if world.has_begun_to_move else TAKEN_BACK


def message_of_pair(run: Run, task: str) -> str:
    """What the user reads first. An earlier case may have left its notes in rotate's result, which other tasks keep."""
    return message_of(run, task) if run.errors or task == "rotate" else str(run.report["advice"])


def bring_home(airflow: InProcessAirflow, run: Run, outcome: str) -> None:
    """What the messages ask of a person."""
    if outcome == TAKEN_BACK:
        airflow.clear(run, ALL_AFTER_PREFLIGHT)
        return
    failed = [task for task, state in run.states.items() if state in ("failed", "upstream_failed")]
    asked = ["push.scripted", "push.other"] if "lear their push tasks" in str(run.errors) else []
    airflow.clear(run, [*asked, *failed, "report"])


def check_home(run: Run, world: FaultyPair) -> None:
    """The deliveries have moved to the standby, every store holds both secrets, and the run is green."""
    assert (run.state, "failed" in run.states.values()) == ("success", False), run.errors
    assert world.statuses == ["paused", "active"]
    both = {world.secret_of(half) for half in world.ids}
    for place in world.places:
        assert set(place.slots) == both, "a store does not hold both secrets"
        assert place.value == world.secret_of(world.webhook_id), "a secret that is still needed has left its place"
    assert run.report["outcome"] == "rotated", run.report
    check_no_secret(run, world)


def check_taken_back(run: Run, world: FaultyPair) -> None:
    """The deliveries are where they were, and so are the stores, or the report names where a secret was left."""
    assert world.statuses == ["active", "paused"]
    live, standby = (world.secret_of(half) for half in world.ids)
    said = f"{run.report['advice']} {run.report['pair']['taken_back']}"
    for place, label in zip(world.places, ("scripted", "other"), strict=True):
        assert place.value == live
        if place.previous is not None:
            assert place.previous == standby
            assert label in said or "may still be in the stores" in said, said
    check_no_secret(run, world)


def check_drained(stage: PairStage) -> None:
    """After the drain no store holds the secret of a half that does not deliver."""
    world = stage.world
    (live,) = (webhook for webhook in world.sandbox.state.webhooks.all() if webhook.status == "active")
    for _ in range(2):
        world.wait(LONG)
        run = stage.run("distribute")
        assert run.state == "success", run.errors
    assert [place.slots for place in world.places] == [(live.secret, None)] * len(world.places)
    world.judge.check()


def check_no_secret(run: Run, world: FaultyPair) -> None:
    """No secret is in a message or a result."""
    shown = json.dumps([run.errors, run.xcoms], default=str)
    assert not [name for name, secret in world.secrets.items() if secret in shown]


STATE = (
    r"[Nn]othing was (changed|refreshed)|was not refreshed|[Nn]o delivery was refused|[Nn]othing is refused|"
    r"[Dd]eliver(ies|s) (go|have|as)|[Dd]elivers as before|stores? (hold|keep|(was|were) updated)|was not changed|"
    r"nothing was written|most likely nothing was refreshed|may still have taken effect|was not written|"
    r"was not set active|can't be undone|not every store is known to hold it"
)


def check_pair_message(outcome: str, text: str) -> None:
    """It says where, what state things are in now, and what to do."""
    if outcome == DONE:
        return
    assert re.search(r"Featurebase|webhook|store", text), text
    assert re.search(STATE, text), text
    assert re.search(rf"{ADVICE}|[Tt]rigger |name the other webhook", text), text


def normalised_pair(text: str, world: FaultyPair) -> str:
    """The text without what differs from run to run."""
    text = text.replace(world.standby_id, "{standby}").replace(world.webhook_id, "{live}")
    return normalised(text, world)

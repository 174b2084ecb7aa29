"""Whole Dag runs over real stores that go down, or that somebody else changes, at every stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from featurebase_provider.config.stores import parse_stores
from tests.faults.cases import BY_HAND, NOT_STARTED
from tests.faults.real_store_faults import FAULTS, PLACES, SECTION, RealFault
from tests.faults.runs import (
    FaultyWorld,
    Row,
    check_always,
    check_message,
    failed_tasks,
    message_of,
    normalised,
    outcome_of,
)
from tests.faults.store_faults import THEIRS
from tests.faults.table import IS_FULL, settle_with_table

if TYPE_CHECKING:
    from tests.world.in_process_airflow import InProcessAirflow

SHORT = ("local file, dotenv", "after")


@pytest.mark.parametrize(
    ("place", "fault"),
    [(place, fault) for place, fault in FAULTS if IS_FULL or (place, fault.key) == SHORT],
    ids=lambda value: getattr(value, "key", value),
)
def test_real_store(airflow: InProcessAirflow, world: FaultyWorld, place: str, fault: RealFault) -> None:
    """Nothing is refreshed for a store that is away; one that goes later gets the secret when it is back."""
    store = PLACES[place](world)
    try:
        store.put(world.secret)
        entry = store.entry()
        (config,) = parse_stores([entry])
        dag = airflow.load(world.entry(stores=[entry]))
        run = airflow.start(dag, pause_after=fault.pause_after) if fault.pause_after else None
        if fault.what == "down":
            store.down()
        else:
            store.put(THEIRS)
        run = airflow.go_on(run) if run else airflow.start(dag)
        outcome, text = outcome_of(run, world), message_of(run, fault.task or f"push.{config.label}")
        check_always(run, world)
        if fault.what == "down":
            store.up()
        else:
            assert store.value() == THEIRS
            store.put(world.issued[0])
        assert store.value() == (world.issued[0] if outcome == NOT_STARTED or fault.what == "theirs" else world.secret)
        if outcome == BY_HAND:
            airflow.clear(run, failed_tasks(run))
            assert run.state == "success", run.errors
            assert (store.value(), run.report["outcome"]) == (world.secret, "rotated")
            check_always(run, world)
    finally:
        store.close()
    words = normalised(text.replace(f"store {config.full_name}", "store {label} ({target})"), world)
    settle_with_table(Row(SECTION, f"{place}: {fault.words}", outcome, words))
    assert outcome == fault.expected, text
    check_message(outcome, text)

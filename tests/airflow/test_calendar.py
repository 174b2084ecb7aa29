"""A year of one webhook's rotations as Dag runs, its clock moved on between them, each rule checked each time.

Monthly on schedule, some days in a row, by hand at Featurebase, pauses, late ticks, audits: what holds within minutes
has to hold over months.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.featurebase.signing_secret import fingerprint_of
from tests.world.featurebase import KEY, FeaturebaseWorld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.world.in_process_airflow import InProcessAirflow, Run

PREVIOUS = f"{KEY}_PREVIOUS"
MONTH, DAY, HOUR = timedelta(days=30), timedelta(days=1), timedelta(hours=1)


@dataclass
class Year:
    """What happens to the webhook, and what is counted."""

    airflow: InProcessAirflow
    world: FeaturebaseWorld
    figures: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("runs", "rotations", "previous kept"), 0))

    @property
    def entry(self) -> dict[str, Any]:
        return self.world.entry(stores=[self.world.file_store(previous_key=PREVIOUS)])

    @property
    def held(self) -> tuple[str | None, str | None]:
        """The current and the previous secret in the receiver's file."""
        text = self.world.secret_file.read_text()
        found = [re.search(rf"^{key}=(.+)$", text, re.MULTILINE) for key in (KEY, PREVIOUS)]
        return tuple(one[1] if one else None for one in found)  # type: ignore[return-value]

    def run(self, mode: str = "rotate", *, scheduled: bool = False, late: timedelta = timedelta()) -> Run:
        due = self.world.now - late if scheduled else None
        run = self.airflow.start(self.airflow.load(self.entry), {} if scheduled else {"mode": mode}, run_after=due)
        self.figures["runs"] += 1
        return run

    def rotates(self, **how: Any) -> None:
        """A run that refreshes, while an event happens just before: its retry is signed with the old secret."""
        before, refreshes = self.world.secret, self.world.refreshes()
        run = self.run(**how)
        assert run.state == "success", run.errors
        assert self.world.refreshes() == refreshes + 1
        assert run.report["outcome"] == "rotated"
        self.figures["rotations"] += 1
        self.keeps(before)

    def keeps(self, before: str) -> None:
        """The store holds what Featurebase holds, and beside it what that has just replaced."""
        assert self.held == (self.world.secret, before)
        self.figures["previous kept"] += 1
        self.world.emit()
        assert self.world.secret_file.read_text().startswith("# what the receiver reads\nNAME=demo\n")

    def by_hand(self) -> None:
        """Somebody refreshes in Featurebase's dashboard, and a run brings the store there."""
        before = self.world.secret
        self.world.api("POST", f"/v2/webhooks/{self.world.webhook_id}/secret")
        run = self.run("distribute")
        assert run.state == "success", run.errors
        assert run.report["outcome"] == "distributed"
        self.keeps(before)

    def is_skipped(self, **how: Any) -> None:
        refreshes, held = self.world.refreshes(), self.held
        run = self.run(scheduled=True, **how)
        assert (run.report["outcome"], self.world.refreshes(), self.held) == ("skipped", refreshes, held)

    def stops(self) -> None:
        refreshes, held = self.world.refreshes(), self.held
        run = self.run(scheduled=True)
        assert (run.states["preflight"], self.world.refreshes(), self.held) == ("failed", refreshes, held)

    def previous_is_dropped(self) -> None:
        """What the audit of the next day finds, and a run without a refresh mends."""
        refreshes = self.world.refreshes()
        assert self.run("distribute").state == "success"
        assert (self.held, self.world.refreshes()) == ((self.world.secret, None), refreshes)


@pytest.fixture
def year(airflow: InProcessAirflow, tmp_path: Path) -> Iterator[Year]:
    with FeaturebaseWorld(tmp_path, previous_key=PREVIOUS, moves_on=True) as world:
        airflow.connect(world.conn_id, host=world.url, password=world.api_key)
        yield Year(airflow, world)


def test_a_year_of_rotations(year: Year, record_property: Any) -> None:
    """The previous secret is kept by every rotation, however long ago the last one was, and dropped when it is due."""
    world = year.world
    year.rotates()
    for month in range(12):
        world.wait(MONTH)
        if month % 4 == 1:
            year.previous_is_dropped()
        year.rotates(scheduled=True)
        if month % 4 == 2:
            world.wait(HOUR)
            year.is_skipped()  # a secret younger than min_age
            world.wait(10 * DAY)
            year.by_hand()
        if month % 4 == 3:
            world.wait(12 * DAY)
            year.is_skipped(late=3 * HOUR)
            world.force(status="paused")
            year.stops()
            world.force(status="active")
    for _ in range(3):
        world.wait(DAY + HOUR)
        year.rotates(scheduled=True)
    world.wait(timedelta(hours=9))
    year.previous_is_dropped()
    lost = [one["id"] for one in world.control("GET", "/events") if not one["delivered"]]
    assert lost == []
    issued = {fingerprint_of(one.secret) for one in world.sandbox.state.webhooks.issued}
    assert len(issued) == year.figures["rotations"] + 3 + 1
    assert year.figures == {"runs": 32, "rotations": 16, "previous kept": 19}
    record_property("calendar", str(year.figures))


def test_a_secret_that_a_run_found_refreshed_is_young(year: Year) -> None:
    """The worker died after the refresh: the next try found it done, and the next tick leaves the secret alone."""
    world = year.world
    run = year.airflow.start(year.airflow.load(year.entry), pause_after="preflight")
    world.api("POST", f"/v2/webhooks/{world.webhook_id}/secret")
    year.airflow.go_on(run)
    assert run.report["how"] == "already_done"
    world.wait(HOUR)
    year.is_skipped()
    world.wait(DAY)
    year.rotates(scheduled=True)


def test_a_previous_secret_whose_place_is_no_longer_named_is_told_of(year: Year) -> None:
    """Nobody removes it there: a run says so, also after an emergency."""
    year.rotates()
    run = year.airflow.start(year.airflow.load(year.world.entry(stores=[year.world.file_store()])))
    assert run.state == "success", run.errors
    assert any(PREVIOUS in note and "no longer names" in note for note in run.report["notes"])

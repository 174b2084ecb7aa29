"""Judges of a case: what must hold after it, and after all that a person does next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from featurebase_provider.featurebase.signing_secret import fingerprint_of
from tests.crash.pair_world import PairCrashWorld
from tests.crash.world import STORES, CrashWorld

if TYPE_CHECKING:
    from tests.crash.case import Result
    from tests.crash.points import Mode

UNABLE = 503
"""What a receiver answers that is unable to serve, whatever the signature."""


class Variables(Protocol):
    """An Airflow with the Variables of lanes."""

    def variable(self, world: CrashWorld) -> str | None:
        """What the lane's Variable holds, if it has one."""

    def set_variable(self, world: CrashWorld) -> None:
        """Bring the lane's Variable to Featurebase's current secret, as a person would."""


class Judge:
    """Judges a run with one webhook, whose secret is refreshed.

    :param refreshes: how many of them the run may make.
    """

    def __init__(self, airflow: Variables, world: CrashWorld, *, refreshes: int = 1) -> None:
        self.airflow, self._allowed = airflow, refreshes
        self._lane = world
        self._before = ""
        self._refreshes = self._events = 0
        self._written: dict[str, int] = {}

    def begin(self, mode: Mode) -> None:
        """Look at what is there before a run.

        :param mode: the run's.
        """
        world = self._lane
        self._before = world.fingerprint
        self._refreshes = world.refreshes()
        self._events = len(world.sandbox.state.journal.events)
        self._written = {store: len(world.service.history[store]) for store in STORES}

    def check(self, report: dict[str, Any]) -> None:
        """Check what the run has led to.

        :param report: the result of its report task.
        """
        world = self._lane
        self._check_refreshes(self._allowed)
        current = world.fingerprint
        for store in STORES:
            assert world.service.values[store]["value"] == world.secret, f"{store} holds another secret"
            assert world.service.values[store]["previous"] != world.secret, f"{store}: previous equals current"
            written = world.service.history[store][self._written[store] :]
            assert self._before not in written, f"{store}: the old secret was written again"
            assert set(written[written.index(current) :]) == {current}, f"{store}: an old secret over the new one"
        held = self.airflow.variable(world)
        assert held is None or fingerprint_of(held) == current, "the Variable holds another secret"
        assert (report["outcome"], report["after"]) == ("rotated", current), report["outcome"]

    def _check_refreshes(self, expected: int) -> None:
        refreshes = self._lane.refreshes() - self._refreshes
        assert refreshes == expected, f"{refreshes} refreshes"

    def count(self, result: Result) -> None:
        """Put figures into the table's row."""
        result.refreshes = self._lane.refreshes() - self._refreshes

    def events_accepted(self) -> tuple[int, int]:
        """The events since the begin, and how many of them were accepted in the end."""
        return self._lane.events_accepted(self._events)

    def put_right(self) -> None:
        """Bring the stores to Featurebase's secret, as a person would, so that the lane can play the next case."""
        for store in STORES:
            self._lane.service.put(store, self._lane.secret)
        self.airflow.set_variable(self._lane)


class PairRunJudge(Judge):
    """Judges a run with a pair of webhooks, whose deliveries move."""

    def __init__(self, airflow: Variables, world: PairCrashWorld) -> None:
        super().__init__(airflow, world)
        self.world = world
        self._mode: Mode = "rotate"
        self._slots: tuple[tuple[str | None, str | None], ...] = ()
        self._changes = self._attempts = 0
        self._ended_with: int | None = None

    def begin(self, mode: Mode) -> None:
        """Bring the pair to where a run of this mode begins, and look at what is there."""
        self.world.start_anew(mode)
        super().begin(mode)
        self._mode, self._ended_with = mode, None
        self._slots = self.world.slots
        self._changes = self.world.changes()
        self._attempts = len(self.world.sandbox.state.journal.attempts)

    def check(self, report: dict[str, Any]) -> None:
        """Check what the run has led to, and what was seen at each change of a store or a webhook."""
        world = self.world
        assert world.judge.broken == [], world.judge.broken
        assert self._refused() == [], self._refused()
        self._check_refreshes(1 if self._mode == "rotate" else 0)
        assert world.statuses == {world.webhook_id: "active", world.other_id: "paused"}, world.statuses
        assert self.world.slots == tuple(map(self._wanted, self._slots)), "a store holds something else"
        outcome = "rotated" if self._mode == "rotate" else "distributed"
        assert (report["outcome"], report["after"]) == (outcome, world.fingerprint), report["outcome"]
        assert report["pair"]["statuses"] == world.statuses
        self._check_moves()

    def _wanted(self, before: tuple[str | None, str | None]) -> tuple[str | None, str | None]:
        """What a store must hold now."""
        new, old = self.world.secret, self.world.webhook(self.world.other_id).secret
        if self._mode == "distribute":
            return new, new
        return (old, new) if self._mode == "rotate" else before

    def _check_moves(self) -> None:
        """Deliveries move once: what a person clears after that changes no status again."""
        changes = self.world.changes() - self._changes
        assert changes >= (0 if self._mode == "distribute" else 2), f"{changes} changes of a status"
        assert self._mode != "distribute" or changes == 0, "a status was changed"
        assert self._ended_with in (None, changes), "a status was changed again"
        self._ended_with = changes

    def _refused(self) -> list[str]:
        tried = self.world.sandbox.state.journal.attempts[self._attempts :]
        return [
            f"{self.world.name_of(one.webhook_id)}: {one.status_code}"
            for one in tried
            if one.status_code not in (None, 200, UNABLE)
        ]

    def count(self, result: Result) -> None:
        """Put figures into the table's row."""
        super().count(result)
        result.changes, result.refused = self.world.changes() - self._changes, len(self._refused())

    def put_right(self) -> None:
        """The next case begins anew anyway."""


def judge_of(airflow: Variables, world: CrashWorld, *, refreshes: int = 1) -> Judge:
    """The judge of a run in this lane; see :class:`Judge`."""
    if isinstance(world, PairCrashWorld):
        return PairRunJudge(airflow, world)
    return Judge(airflow, world, refreshes=refreshes)

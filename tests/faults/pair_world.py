"""A Featurebase with a pair of webhooks, two scripted stores, and a judge that sees every change of either."""

from __future__ import annotations

import copy
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.sandbox.behaviour import Behaviour
from featurebase_provider.sandbox.webhooks import new_signing_secret
from tests.faults.cases import GRACE_SECONDS, TIMEOUT_SECONDS
from tests.faults.store import PLACES, Place, Slots
from tests.world.featurebase import KEY, TOPIC
from tests.world.pair import PREVIOUS_KEY, PairWorld
from tests.world.pair_judge import PairJudge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow.sdk import DAG

    from featurebase_provider.sandbox.webhooks import Webhook
    from tests.world.in_process_airflow import InProcessAirflow

RECORDS = "featurebase_rotation__"
PER_SECOND = 5.0


@dataclass(frozen=True)
class State:
    """Everything that a run changes."""

    webhooks: dict[str, Webhook]
    slots: tuple[Slots, ...]
    records: dict[str, str]


class FaultyPair(PairWorld):
    """A context manager. The receiver reads the second store, which never fails; the first is the one that does."""

    def __init__(self, airflow: InProcessAirflow, folder: Path) -> None:
        super().__init__(folder, moves_on=True)
        self.airflow = airflow
        self.places = (Place(), Place())
        self.place, self.other = self.places
        self.judge = PairJudge(self)
        self._calls = 0
        self._slots: list[int] = []

    def __enter__(self) -> FaultyPair:
        super().__enter__()
        for key in self.records():  # an earlier pair's would count as this one's
            self.airflow.delete_variable(key)
        self.airflow.connect(
            self.conn_id,
            host=self.url,
            password=self.api_key,
            extra=json.dumps({"timeout": TIMEOUT_SECONDS, "max_retries": 0}),
        )
        for number, place in enumerate(self.places):
            PLACES[f"{self.name}-{number}"] = place
            place.put(self.secret)
        self._write_through(self.other)
        for place in self.places:
            place.on_change = self._changed
        self.judge.watch(self.sandbox.state.webhooks)
        for half in self.ids:
            self.webhook_of(half).timeout_ms = 10_000  # a busy machine must not fail a delivery
        self.behave_as_usual()
        self.emit_steadily()
        return self

    def __exit__(self, *_: object) -> None:
        for number in range(len(self.places)):
            PLACES.pop(f"{self.name}-{number}")
        super().__exit__()

    @property
    def slots(self) -> tuple[Slots, ...]:
        """What each store holds now."""
        return tuple(place.slots for place in self.places)

    def _changed(self, place: Place) -> None:
        self._write_through(place)
        self.judge.look(by_us=not place.theirs)

    def _write_through(self, place: Place) -> None:
        """Have the receiver read what the second store holds."""
        if place is self.other:
            fresh = self.secret_file.with_suffix(f".{threading.get_ident()}")
            fresh.write_text(f"{KEY}={place.value or ''}\n{PREVIOUS_KEY}={place.previous or ''}\n")
            fresh.replace(self.secret_file)

    @contextmanager
    def by_hand(self) -> Iterator[None]:
        """What happens meanwhile is a person's doing, not the run's."""
        self.judge.is_by_hand = True
        try:
            yield
        finally:
            self.judge.is_by_hand = False

    def load(self, **changes: Any) -> DAG:
        """The pair's Dag, which sends fewer probe events than a rotation file can ask for."""
        dag = self.airflow.load(self.entry_of_pair(**changes))
        for task in dag.tasks:
            options: Any = getattr(task, "probe_options", None)
            if options:
                options["successes"] = 2
            task.retry_exponential_backoff = 0  # type: ignore[attr-defined]
        return dag

    def entry_of_pair(self, **changes: Any) -> dict[str, Any]:
        """The pair's entry: the scripted stores, and one retry of each task."""
        stores = [
            {"type": "scripted", "place": f"{self.name}-{number}", "previous_secret": True, **label}
            for number, label in enumerate(({}, {"label": "other"}))
        ]
        return self.pair_entry(
            **{
                "stores": stores,
                "retries": 1,
                "push_retries": 1,
                "refresh_grace": f"PT{GRACE_SECONDS:g}S",
                "probe": {"timeout": "PT5S", "interval": "PT0.1S", "steady": "PT0S"},
                **changes,
            }
        )

    def webhook_of(self, half: str) -> Webhook:
        """A half by its id."""
        found = self.sandbox.state.webhooks.find(half)
        assert found is not None
        return found

    def half(self, which: str) -> str:
        """The id of the half that was ``live`` at first, or of the ``standby``."""
        return self.webhook_id if which == "live" else self.standby_id

    def name_of(self, half: str) -> str:
        """Names a half: ``live`` or ``standby``, as it was at first."""
        return "live" if half == self.webhook_id else "standby"

    def put_up(self, *, method: str, half: str, suffix: str = "", **how: Any) -> None:
        """Let calls of one half go wrong."""
        self.control("POST", "/faults", method=method, path=f"/v2/webhooks/{self.half(half)}{suffix}", **how)

    @property
    def issued_of(self) -> dict[str, list[str]]:
        """All secrets of each half, the oldest first."""
        found: dict[str, list[str]] = {half: [] for half in self.ids}
        for one in self.sandbox.state.webhooks.issued:
            found[one.webhook_id].append(one.secret)
        return found

    def records(self) -> dict[str, str]:
        """What the pair's runs have recorded: its Variables."""
        return self.airflow.variables(RECORDS)

    def snapshot(self) -> State:
        """Everything that a run changes, as it is now."""
        webhooks = {half: copy.deepcopy(self.webhook_of(half)) for half in self.ids}
        return State(webhooks, self.slots, self.records())

    def start_anew(self, state: State) -> None:
        """Bring everything back to what it was, but with new secrets: Airflow's asset events name the old ones."""
        secrets = {half: new_signing_secret() for half in self.ids}
        self.put_back(
            replace(state, webhooks={half: replace(one, secret=secrets[half]) for half, one in state.webhooks.items()})
        )
        with self.by_hand():
            self.issued[:] = [self.secret]
            for place in self.places:
                place.put(self.secret)
        self.judge.begin()

    def put_back(self, state: State) -> None:
        """Bring everything back to what it was, as if the run had not gone on."""
        for key in self.records():
            self.airflow.delete_variable(key)
        for key, value in state.records.items():
            self.airflow.set_variable(key, value)
        self.stop_events()
        with self.by_hand():
            for place, slots in zip(self.places, state.slots, strict=True):
                place.put(*slots)
            self.judge.put_back(self.sandbox.state.webhooks, state.webhooks)
        self.emit_steadily()
        self.judge.begin()

    def act(self, act: str, half: str) -> None:
        """What a person can do to a half."""
        path = f"/v2/webhooks/{half}"
        if act == "refresh":
            self.api("POST", f"{path}/secret")
        elif act == "delete":
            self.api("DELETE", path)
        else:
            self.api("PATCH", path, json={"status": {"pause": "paused", "activate": "active"}[act]})

    def behave_as_usual(self) -> None:
        """Set every switch back."""
        self.control("POST", "/behaviour", **{**Behaviour().model_dump(mode="json"), "pause_after": 0})

    def begin_case(self) -> None:
        """From here on counts what is new."""
        self._calls = len(self.sandbox.state.journal.calls)
        self._slots = [place.version for place in self.places]
        self.judge.begin()

    def new_refreshes(self) -> int:
        """How many refreshes took effect in this case."""
        calls = self.sandbox.state.journal.calls[self._calls :]
        return sum(call.committed and call.path.endswith("/secret") for call in calls)

    @property
    def has_changed(self) -> bool:
        """Whether the case has changed a webhook or a store."""
        committed = any(call.committed for call in self.sandbox.state.journal.calls[self._calls :])
        return committed or [place.version for place in self.places] != self._slots

    @property
    def has_begun_to_move(self) -> bool:
        """Whether the deliveries have begun to move, or were about to."""
        is_recorded = any(name.endswith("__activated") for name in self.records())
        return is_recorded or self.statuses != ["active", "paused"]

    def stop_events(self) -> None:
        """Let no more events happen, and wait for the end of every attempt to deliver one."""
        self.control("DELETE", "/events")
        give_up = time.monotonic() + 30
        while any(one.status_code is None and one.error is None for one in self.sandbox.state.journal.attempts):
            assert time.monotonic() < give_up
            time.sleep(0.01)

    def emit_steadily(self) -> None:
        """Let events happen from now on."""
        self.control("DELETE", "/events")
        self.control("POST", "/events", topic=TOPIC, count=100_000, per_second=PER_SECOND)

    def receiver_fails(self, deliveries: int = 3) -> set[str]:
        """Have the receiver refuse deliveries for a moment; give the ids of these events."""
        attempts, begin = self.sandbox.state.journal.attempts, len(self.sandbox.state.journal.attempts)
        good = self.secret_file.read_text()
        self.secret_file.write_text(f"{KEY}=of another service\n")
        give_up = time.monotonic() + 30
        while len(failed := {one.event_id for one in attempts[begin:] if one.status_code == 401}) < deliveries:
            assert time.monotonic() < give_up
            time.sleep(0.05)
        self.secret_file.write_text(good)
        return failed

    def wait_for_success(self) -> None:
        """Until the webhook that delivers has delivered something now."""
        attempts, begin = self.sandbox.state.journal.attempts, len(self.sandbox.state.journal.attempts)
        give_up = time.monotonic() + 30
        while not any(one.status_code == 200 for one in attempts[begin:]):
            assert time.monotonic() < give_up
            time.sleep(0.05)

    def undelivered(self, ids: set[str]) -> set[str]:
        """Those of these events that are not delivered, after a moment for attempts that are under way."""
        give_up = time.monotonic() + 3
        while True:
            left = ids - {one.id for one in self.sandbox.state.journal.events if one.delivered}
            if not left or time.monotonic() > give_up:
                return left
            time.sleep(0.05)

    def deliver_late(self) -> None:
        """Let the half that was set active have delivered nothing yet: events take a while from now on."""
        self.behave(delivery_lag=1.5)
        self.emit_steadily()
        self.webhook_of(self.standby_id).health.last_success_at_ms = None

    @contextmanager
    def noting_tasks(self, seen: dict[str, list[tuple[str, str]]]) -> Iterator[None]:
        """Note which task sends which calls: method, and ``live`` or ``standby``."""
        from airflow.sdk.definitions import dag as dag_module

        run_task, calls = dag_module._run_task, self.sandbox.state.journal.calls
        names = {f"/v2/webhooks/{self.half(which)}": which for which in ("live", "standby")}

        def noted(*, ti: Any, **how: Any) -> Any:
            begin = len(calls)
            try:
                return run_task(ti=ti, **how)
            finally:
                made = [(call.method, call.path.removesuffix("/secret")) for call in calls[begin:]]
                found = [(method, names[path]) for method, path in made if path in names]
                seen.setdefault(ti.task_id, []).extend(found)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dag_module, "_run_task", noted)
            yield

    def wait_for_effect(self, method: str) -> None:
        """Until the case's first call with this method has taken effect."""
        calls = self.sandbox.state.journal.calls
        call = next(call for call in calls[self._calls :] if call.method == method)
        give_up = time.monotonic() + 60
        while not call.committed:
            assert time.monotonic() < give_up, call
            time.sleep(0.05)

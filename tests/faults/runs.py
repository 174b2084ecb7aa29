"""Runs one case of the fault matrix as a whole Dag run, checks what always holds, and says how it ended."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.faults.cases import BY_AIRFLOW, BY_HAND, DONE, GRACE_SECONDS, NOT_STARTED, TIMEOUT_SECONDS
from tests.faults.store import PLACES, Place
from tests.world.featurebase import KEY, FeaturebaseWorld

if TYPE_CHECKING:
    from pathlib import Path

    from tests.world.in_process_airflow import InProcessAirflow, Run


@dataclass(frozen=True)
class Row:
    """One case as it ended.

    :param section: the heading that it belongs under.
    :param fault: what went wrong.
    :param outcome: one of those of ``fault_cases``.
    :param message: what the user reads, without what differs from run to run.
    """

    section: str
    fault: str
    outcome: str
    message: str


class FaultyWorld(FeaturebaseWorld):
    """A Featurebase with one webhook and a scripted store; notes every secret in the order in which it was issued."""

    def __init__(self, airflow: InProcessAirflow, folder: Path) -> None:
        super().__init__(folder)
        self.airflow = airflow
        self.places = (Place(), Place())

    def __enter__(self) -> FaultyWorld:
        super().__enter__()
        webhooks = self.sandbox.state.webhooks
        refresh = webhooks.refresh_secret

        def noted(webhook_id: str, **how: Any) -> Any:
            webhook = refresh(webhook_id, **how)
            self.issued.append(webhook.secret)
            return webhook

        webhooks.refresh_secret = noted  # type: ignore[method-assign]
        self.connect(max_retries=0)
        self.place, self.other = self.places
        for number, place in enumerate(self.places):
            PLACES[f"{self.name}-{number}"] = place
            place.put(self.secret)
        self.mark()
        return self

    def __exit__(self, *_: object) -> None:
        for number in range(len(self.places)):
            PLACES.pop(f"{self.name}-{number}")
        super().__exit__()

    def connect(self, **extra: Any) -> None:
        """Give Airflow the connection, with a short timeout."""
        extra = {"timeout": TIMEOUT_SECONDS, **extra}
        self.airflow.connect(self.conn_id, host=self.url, password=self.api_key, extra=json.dumps(extra))

    def entry(self, **changes: Any) -> dict[str, Any]:
        """The webhook's entry: the scripted store, one retry of each task, no probe."""
        entry = super().entry(
            stores=[self.scripted_store(0), *([self.file_store()] if changes.get("probe") else [])],
            retries=1,
            push_retries=1,
            refresh_grace=f"PT{GRACE_SECONDS:g}S",
            probe=None,
        )
        entry |= changes
        return {key: value for key, value in entry.items() if value is not None or key == "probe"}

    def mark(self) -> None:
        """From here on counts what is new: one world serves several cases, one after the other."""
        self._refreshes, self._writes = self.refreshes(), self._written()
        self._calls = len(self.sandbox.state.journal.calls)

    def wait_for_effect(self, method: str) -> None:
        """Until this case's first call with this method has taken effect."""
        call = next(call for call in self.sandbox.state.journal.calls[self._calls :] if call.method == method)
        give_up = time.monotonic() + 60
        while not call.committed:
            assert time.monotonic() < give_up, call
            time.sleep(0.05)

    def new_refreshes(self) -> int:
        """How many refreshes took effect in this case."""
        return self.refreshes() - self._refreshes

    def new_writes(self) -> int:
        """How often a scripted store was written in this case."""
        return self._written() - self._writes

    def _written(self) -> int:
        return sum(len(place.history) for place in self.places)

    def deliver(self) -> None:
        """Have the receiver learn the secret, and an event delivered that counts for every push of the next minute."""
        self.secret_file.write_text(f"{KEY}={self.secret}\n")
        give_up = time.monotonic() + 120
        self.emit()
        while not self.webhook["health"]["lastSuccessAt"]:
            assert time.monotonic() < give_up, self.webhook["lastStatus"]
            time.sleep(0.05)
        self._date_success(60_000)

    def deliver_unseen(self) -> None:
        """The same for every read but a stale one."""
        self._date_success(None)
        self.force(topics=["post.created"])
        self._date_success(60_000)

    def _date_success(self, later_ms: int | None) -> None:
        webhook = self.sandbox.state.webhooks.find(self.webhook_id)
        assert webhook is not None
        now_ms = int(self.sandbox.state.settings.now() * 1000)
        webhook.health.last_success_at_ms = None if later_ms is None else now_ms + later_ms

    def scripted_store(self, number: int, **changes: Any) -> dict[str, Any]:
        """One of the scripted stores; the first has the label scripted."""
        return {"type": "scripted", "place": f"{self.name}-{number}", **changes}

    def put_up(self, *, method: str, path: str, **how: Any) -> None:
        """Let calls go wrong."""
        self.control("POST", "/faults", method=method, path=path.format(id=self.webhook_id), **how)

    def pause(self, run: Run) -> None:
        """Have Featurebase pause the webhook after a delivery that was refused in the moment after the refresh."""
        webhook = self.sandbox.state.webhooks.find(self.webhook_id)
        assert webhook is not None
        rotated = run.xcoms["rotate"]
        moment = max(datetime.fromisoformat(rotated[name]) for name in ("refreshed_at", "updated_at"))
        moment += timedelta(seconds=0.5)
        last = {"code": 401, "message": "Unauthorized", "timestamp": moment.isoformat()}
        self.force(status="paused", lastStatus=last, health={"consecutiveFailures": 50, "errorsSinceLastSuccess": 50})
        webhook.updated_at_ms = int(moment.timestamp() * 1000)


def outcome_of(run: Run, world: FaultyWorld, *, refreshed: bool = False) -> str:
    """How a run ended whose fault is over.

    :param refreshed: whether it had refreshed before the case began.
    """
    if "failed" not in run.states.values():  # one task cleared in a run that has ended leaves the run green
        return BY_AIRFLOW if run.errors else DONE
    untouched = not refreshed and world.new_refreshes() == 0 and not world.new_writes()
    return NOT_STARTED if untouched else BY_HAND


def message_of(run: Run, task: str) -> str:
    """What the user reads first: why the task's first try failed, else the report's notes, else its advice."""
    if run.errors:
        return run.errors.get(task, next(iter(run.errors.values())))[0]
    return " ".join(run.report["notes"]) or run.report["advice"]


def failed_tasks(run: Run) -> list[str]:
    """What a person clears: what failed, and what comes after it."""
    return [task for task, state in run.states.items() if state in ("failed", "upstream_failed")] + ["report"]


def check_always(run: Run, world: FaultyWorld, *, refreshes: int = 1) -> None:
    """What holds for every case and at any time: at most one refresh, no way back, a report, and no secret shown."""
    assert world.new_refreshes() <= refreshes
    check_history(world)
    assert run.states["report"] == "success", run.errors
    shown = json.dumps([run.errors, run.xcoms], default=str)
    assert not [name for name, secret in world.secrets.items() if secret in shown]


def check_history(world: FaultyWorld) -> None:
    """A store never went from a newer secret of Featurebase to an older one."""
    ages = {secret: age for age, secret in enumerate(world.issued)}
    for place in world.places:
        history = [ages[str(value)] for value in place.history]
        assert history == sorted(history), history


def check_converged(run: Run, world: FaultyWorld) -> None:
    """The end of every story: a green run, Featurebase's secret in the store and in the report, an active webhook."""
    assert (run.state, "failed" in run.states.values()) == ("success", False), run.errors
    assert world.place.value == world.secret == world.issued[-1]
    assert (run.report["outcome"], run.report["after"]) == ("rotated", world.fingerprint)
    assert world.control("GET", "/faults") == []
    assert world.webhook["status"] == "active"


AFTER_THE_REFRESH = r"can't be undone|The stores (hold|were updated to) the new secret|can't be restored"
AT_A_STORE = r"was not changed|nothing was written|whether a write arrived|and then showed|secret is sha256"
STATE = {
    NOT_STARTED: r"[Nn]othing was changed|[Nn]othing was refreshed|was not refreshed",
    BY_AIRFLOW: r"most likely nothing was refreshed|[Nn]othing was changed|can't be read|may still have taken effect|"
    f"{AFTER_THE_REFRESH}|{AT_A_STORE}",
    BY_HAND: f"{AFTER_THE_REFRESH}|{AT_A_STORE}",
}
ADVICE = (
    r"read the webhook|[Cc]heck |[Cc]lear |Create |adopt: true|[Rr]etry|[Ss]et it|[Ff]ix |[Ss]ee |"
    r"Nothing to do"
)


def check_message(outcome: str, text: str) -> None:
    """It says where, what state things are in now, and what to do."""
    if outcome == DONE:
        return
    assert re.search(r"Featurebase|webhook|store", text), text
    assert re.search(STATE[outcome], text), text
    assert re.search(ADVICE, text), text


def normalised(text: str, world: FeaturebaseWorld) -> str:
    """The text without what differs from run to run, nor what only the sandbox would say."""
    for found, instead in (
        (re.escape(world.webhook_id), "{id}"),
        (re.escape(world.name), "{name}"),
        (re.escape(world.url), "{host}"),
        (r"sha256:[0-9a-f]{16}", "sha256:..."),
        (r"(featurebase_rotation__|__plan_)[0-9a-f]{8,12}", r"\1{hash}"),
        (r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", "{time}"),
        (r"(answered) [45]\d\d\b", r"\1 {status}"),
        (r" \(type \w+(, code sandbox_fault)?\)", ""),
        (r"(: )The sandbox was told to return this error", r"\1{Featurebase's words}"),
        (r"\b(Read|Remote|Connect|Write)(Timeout|ProtocolError|Error)\b", "{error}"),
        (r"(/[\w.-]+)*/featurebase-store-[^\s;,]+", "{path}"),
        (r"asks to wait \d+ s", "asks to wait {n} s"),
        (r"(for|within|For) \d+(\.\d+)? s\b", r"\1 {n} s"),
        (r"the body is not JSON|the body broke off \(\{error\}\)", "{what is wrong with it}"),
        (r"fields missing or of the wrong kind: [^.;]+?\)(?=[.;)]| \(|$)", "{what is wrong with it}"),
    ):
        text = re.sub(found, instead, text)
    return text

"""The records that tasks keep about a webhook for later tasks and runs. None of them holds a secret.

Records are named by a hash of host, team and webhook id, so that renamed webhooks, webhooks with the same name and
other teams' webhooks don't share records. Each record has one kind of writer: preflight (or a rotate task that works
alone) writes plans; rotate, after it wrote the stores, and report write ``history``; the emergency writes ``leaked``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol

from featurebase_provider.rotation.errors import MemorySpoilt, MemoryUnknown, PlanUnreadable
from featurebase_provider.rotation.history import History, proven_over
from featurebase_provider.rotation.plan import RotationPlan
from featurebase_provider.rotation.records import instant_of, items_of, texts_of
from featurebase_provider.rotation.store import MANAGED_BY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from featurebase_provider.rotation.plan import ThisRun

LARGEST_RECORD = 32 * 1024
"""Largest record in bytes; Airflow takes about 20 ms to set and get one of this size."""
MOST_LEAKED = 1000


class Memory(Protocol):
    """Storage for records. A missing record is None; if it is unknown whether a record exists, that is an error."""

    def read(self, name: str) -> str | None:
        """The record's text; None only if the record certainly does not exist.

        :raises MemoryUnknown: it could not be read.
        """

    def write(self, name: str, text: str) -> None:
        """Write the record, and check that a later read returns it.

        :raises MemoryUnknown: it is unknown whether the record was written, or something else hides it.
        """


def plan_key(dag_id: str, task_id: str, branch: int | str | None = None) -> str:
    """The key of one task's plan among a webhook's plans: 8 hex digits.

    :param task_id: the task that makes the plan, including its groups.
    :param branch: its map index, or another value that identifies the branch; None outside of a mapped group.
    """
    return _digest([dag_id, task_id, branch], 8)


@dataclass(frozen=True, slots=True)
class WebhookMemory:
    """The records of one webhook.

    :param memory: the storage.
    :param host: base URL of the Featurebase API.
    :param webhook_id: 24 hex digits.
    :param team: Airflow's team, where there are several.
    """

    memory: Memory
    host: str
    webhook_id: str
    team: str | None = None

    @property
    def prefix(self) -> str:
        """The prefix of the names of all its records."""
        return f"featurebase_rotation__{_digest([self.host, self.team, self.webhook_id.lower()], 12)}__"

    def read(self, what: str) -> Mapping[str, Any] | None:
        """A record, or None if it certainly does not exist.

        :raises MemoryUnknown: it could not be read, or is not a record of this webhook.
        """
        name = self.prefix + what
        text = self.memory.read(name)
        if text is None:
            return None
        try:
            record = json.loads(text)
        except ValueError:  # its text would quote the content
            record = None
        if not isinstance(record, Mapping) or record.get("by") != MANAGED_BY:
            raise self._spoilt(name, "holds something that this provider did not write")
        if record.get("webhook_id") != self.webhook_id:
            raise self._spoilt(name, "holds a record of another webhook")
        return record

    def write(self, what: str, record: Mapping[str, Any]) -> None:
        """Write a record.

        :raises MemoryUnknown: the Variable holds something else, or it is unknown whether the record was written.
        """
        self.read(what)  # unknown is never overwritten
        self._put(what, record)

    def _put(self, what: str, record: Mapping[str, Any]) -> None:
        text = json.dumps({"by": MANAGED_BY, "version": 1, "webhook_id": self.webhook_id, **record})
        self.memory.write(self.prefix + what, text)

    def plan(self, key: str) -> RotationPlan | None:
        """The plan under this key, of any Dag run; None if there is none.

        :raises MemoryUnknown: it is unknown whether there is one.
        """
        record = self.read(f"plan_{key}")
        if record is None or record.get("plan") is None:
            return None
        try:
            return RotationPlan.from_json(record["plan"])
        except PlanUnreadable:
            raise self._spoilt(f"{self.prefix}plan_{key}", "holds a plan that this version can't read") from None

    def keep_plan(self, key: str, plan: RotationPlan) -> RotationPlan:
        """Replace the plan of an earlier run; the plan of a run that was due later stays.

        :returns: the plan that the run must use. It is another one if another try of the run, of which Airflow lost
            track, has written one meanwhile: the run may have refreshed by that plan.
        :raises MemoryUnknown: as :meth:`write`.
        """
        found = self.plan(key)
        if found is not None and found.is_of_run_of(plan) and not found.is_same_as(plan):
            return found
        if found is None or not found.is_due_after(plan):
            self._put(f"plan_{key}", {"plan": plan.as_json()})
        return plan

    def forget_plan(self, key: str) -> None:
        """Mark the plan under this key as no longer valid.

        :raises MemoryUnknown: as :meth:`write`.
        """
        self.write(f"plan_{key}", {"plan": None})

    def leaked(self) -> frozenset[str]:
        """Fingerprints of the secrets that emergency runs recorded as leaked.

        :raises MemoryUnknown: the record can't be read.
        """
        return frozenset(texts_of((self.read("leaked") or {}).get("leaked")))

    def add_leaked(self, fingerprints: Iterable[str]) -> None:
        """Record these as leaked, permanently.

        :raises MemoryUnknown: as :meth:`write`.
        """
        before = texts_of((self.read("leaked") or {}).get("leaked"))
        every = list(dict.fromkeys([*before, *sorted(fingerprints)]))[-MOST_LEAKED:]
        if every != before:
            self.write("leaked", {"leaked": every})

    def _spoilt(self, name: str, what: str) -> MemorySpoilt:
        return MemorySpoilt(self.webhook_id, name, what)


def _digest(parts: list[Any], digits: int) -> str:
    return sha256(json.dumps(parts).encode()).hexdigest()[:digits]


def recall(
    memory: WebhookMemory,
    *,
    plan_keys: Iterable[str] = (),
    plans_in: WebhookMemory | None = None,
    events: Callable[[], tuple[Sequence[Any], Sequence[Any]]] | None = None,
    tolerate: Callable[[MemoryUnknown], None] | None = None,
) -> History:
    """Read what earlier runs recorded about a webhook.

    :param plan_keys: plans whose runs may have died before they left other records; see ``memory.plan_key``.
    :param plans_in: the records that hold these plans: those of the pair, if the webhook is one of a pair. Default:
        ``memory``.
    :param events: returns reports and plans from asset events, oldest first; called only if there is no history record
        yet.
    :param tolerate: called with the error if a record can't be read; the record then counts as missing. Without it the
        error is raised.
    :raises MemoryUnknown: a record can't be read, or holds something else.
    """

    def attempt(read: Callable[..., Any], *arguments: str, otherwise: Any) -> Any:
        try:
            return read(*arguments)
        except MemoryUnknown as exc:
            if tolerate is None:
                raise
            tolerate(exc)
            return otherwise

    record = attempt(memory.read, "history", otherwise={})
    if record is not None:
        history = History.from_json(record, memory.webhook_id)
    else:
        history = history_of_events(memory.webhook_id, *(events() if events is not None else ((), ())))
    history = history.knowing(leaked=attempt(memory.leaked, otherwise=frozenset()))
    for key in plan_keys:
        plan: RotationPlan | None = attempt((plans_in or memory).plan, key, otherwise=None)
        if plan is not None:
            history = history.knowing(known=_before(plan, memory.webhook_id), leaked=plan.leaked)
    return history


def _before(plan: RotationPlan, webhook_id: str) -> list[str]:
    """The webhook's secret that the plan saw: of a pair, the half that the run refreshes is not the only one."""
    if plan.pair is None:
        return [plan.before]
    half = plan.pair.webhooks.get(webhook_id.lower())
    return [half.before] if half is not None else []


def history_of_events(webhook_id: str, reports: Iterable[Any], plans: Iterable[Any] = ()) -> History:
    """The history from reports and plans that version 0.1.0 and older left as asset events, oldest first.

    Users can create asset events with any content, so what does not fit is ignored.
    """
    history = History(webhook_id)
    for plan in _of_webhook(plans, webhook_id):
        history = history.knowing(known=texts_of([plan.get("before"), *items_of(plan.get("known"))]))
        history = history.knowing(leaked=_leaked_in(plan))
    for report in _of_webhook(reports, webhook_id):
        before, after = report.get("before"), report.get("after")
        history = history.seeing(
            after if isinstance(after, str) and after else None,
            instant_of(report.get("at")),
            refreshed_at=instant_of(report.get("refreshed_at")),
            replaced=proven_over(report.get("how"), before),
            known=texts_of([*items_of(report.get("known")), before]),
        ).knowing(leaked=_leaked_in(report))
    return history


def _of_webhook(records: Iterable[Any], webhook_id: str) -> Iterator[Mapping[str, Any]]:
    for record in records:
        if isinstance(record, Mapping) and record.get("webhook_id") == webhook_id:
            yield record


def _leaked_in(record: Mapping[str, Any]) -> list[str]:
    """The fingerprints that a plan or report records as leaked; in an emergency, every secret up to then."""
    own = [record.get("before")] if record.get("mode") == "emergency" else []
    return texts_of([*items_of(record.get("leaked")), *own])


def own_plan(
    memory: WebhookMemory,
    key: str,
    run: ThisRun,
    *,
    rotate_was_started: Callable[[], bool],
    of_result: Callable[[], RotationPlan | None] = lambda: None,
) -> RotationPlan | None:
    """The plan that another try made in this Dag run, or None if a new one may be made.

    :param rotate_was_started: whether there is any record that the run's rotate task was started before.
    :param of_result: the plan in the result of the run's rotate task, if it left one.
    :raises PlanUnreadable: the plan is gone, and the run may already have refreshed; a new plan could refresh twice.
    :raises MemoryUnknown: the record can't be read.
    """
    found = memory.plan(key)
    if found is not None and run.made(found):
        return found
    if not run.later_try:
        if found is not None and run.has_id_of(found):
            # It belongs to a deleted run that had the same id. A later try of this run must not take it for its own.
            memory.forget_plan(key)
        return None
    left = of_result()
    if left is not None:
        return left
    later = found is not None and found.is_due_after(run)
    if later or rotate_was_started():
        why = "a later Dag run has made its own" if later else "its rotate task was started, and its plan is gone"
        raise PlanUnreadable(
            memory.webhook_id,
            f"this Dag run no longer has a plan ({why}), so it is unknown whether it has refreshed the secret; this "
            "try changed nothing. Trigger a new run: with mode=distribute to update the stores, with mode=rotate to "
            "rotate",
        )
    return None

"""The report of one Dag run: what was rotated, the result for every store, and what to do. Holds no secret."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.advice import advise
from featurebase_provider.rotation.report_tables import as_page, found_table, store_table, task_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from featurebase_provider.rotation.advice import Outcome
    from featurebase_provider.rotation.all_stores import StoreOutcome
    from featurebase_provider.rotation.approval import Approval
    from featurebase_provider.rotation.found import Found
    from featurebase_provider.rotation.pair_report import PairFacts
    from featurebase_provider.rotation.refresh_count import RefreshCount
    from featurebase_provider.rotation.report_tables import TaskRow
    from featurebase_provider.rotation.rotate import RotationOutcome
    from featurebase_provider.rotation.run_facts import RunFacts

REPORT_VERSION = 1
PAIRS_OWN: frozenset[Outcome] = frozenset({"rotated", "distributed", "incomplete", "failed", "webhook_gone"})
"""Outcomes after which a pair is in another state than a single webhook, so that other advice is right."""


@dataclass(frozen=True, slots=True)
class RotationReport:
    """What one Dag run did; see :func:`make_report`.

    :param before: fingerprint of the secret that preflight saw.
    :param cause: id and message of the first task that failed, or else of the first that was skipped with a reason.
    :param status: the webhook's status at the end, or None if it was not read.
    :param found: what preflight found before anything was changed.
    :param known: fingerprints of the webhook's secrets that the run saw or wrote, including ``before`` and ``after``;
        a store may hold any of them.
    :param refreshes: how often the secret was refreshed since the plan.
    :param refusals_seen: how many failed deliveries the run saw. Featurebase keeps no log of deliveries, so there may
        have been more. None if none could be seen.
    :param approval: who approved the run, if that was needed and happened.
    :param by: the Airflow user who triggered the run, or how Airflow did.
    :param task_id: the task that made the report; ``map_index`` is its branch of a mapped group.
    """

    webhook: str
    dag_id: str
    run_id: str
    outcome: Outcome
    advice: str
    at: str
    webhook_id: str | None
    host: str | None
    mode: str | None
    reason: str
    before: str | None
    after: str | None
    how: str | None
    refreshed_at: str | None
    receiver_exposure_ms: float | None
    probe: Mapping[str, Any] | None
    delivery: Mapping[str, Any] | None
    stores: tuple[StoreOutcome, ...]
    tasks: tuple[TaskRow, ...]
    notes: tuple[str, ...]
    known: tuple[str, ...]
    cause: str | None
    status: str | None
    found: Found | None
    refreshes: RefreshCount
    pair: PairFacts | None = None
    refusals_seen: int | None = None
    approval: Approval | None = None
    by: str | None = None
    task_id: str = "report"
    map_index: int | None = None
    version: int = REPORT_VERSION

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready mapping, for XCom and the asset event."""
        raw = asdict(self)
        raw["stores"] = [asdict(store) for store in self.stores]
        raw["tasks"] = [asdict(task) for task in self.tasks]
        raw["notes"] = list(self.notes)
        raw["known"] = list(self.known)
        raw["refreshes"] = self.refreshes.as_json()
        raw["found"] = self.found.as_json() if self.found is not None else None
        raw["pair"] = self.pair.as_json() if self.pair is not None else None
        return raw

    def as_text(self, width: int = 120) -> str:
        """The report as plain text tables, for the task log."""
        tables = []
        if self.stores:
            tables.append(store_table(self.stores))
        elif self.found is not None and self.found.stores:
            tables.append(found_table(self.found.stores))
        if self.tasks:
            tables.append(task_table(self.tasks))
        said = [f"{task.task_id} ({task.state}): {task.why}" for task in self.tasks if task.why]
        return as_page(self._head(), tables, (*self.notes, *said), width=width)

    def _head(self) -> Iterator[tuple[str, str]]:
        exposure, before = self.receiver_exposure_ms, self.found.probe if self.found is not None else None
        rows = {
            "webhook": f"{self.webhook} ({self.webhook_id or 'id not read'}) at {self.host or 'unknown host'}",
            "outcome": self.outcome,
            "cause": self.cause,
            "what to do": self.advice,
            "mode": self.mode or "unknown",
            "triggered by": self.by,
            "reason": self.reason,
            "approved by": str(self.approval) if self.approval is not None else None,
            "secret before": self.before or "not read",
            "secret after": self.after or "not read",
            "refreshed at": self.refreshed_at,
            "refreshes": self.refreshes.summary,
            "receiver exposure": None if exposure is None else f"at most {exposure:.0f} ms",
            "probe before": None if self.probe else _judged(before),
            "probe": _judged(self.probe),
            "deliveries": _judged(self.delivery),
            **(self.pair.rows if self.pair is not None else {}),
        }
        return ((name, value) for name, value in rows.items() if value)


def make_report(
    findings: RunFacts,
    *,
    webhook: str,
    dag_id: str,
    run_id: str,
    at: str,
    mode: str | None,
    tasks: Sequence[TaskRow] = (),
    skipped: bool = False,
    reason: str = "",
    rotate_began: bool = False,
    by: str | None = None,
    task_id: str = "report",
    map_index: int | None = None,
) -> RotationReport:
    """Summarise a Dag run.

    :param at: time of the report (ISO 8601).
    :param tasks: the run's tasks with their states.
    :param skipped: whether the run was skipped before preflight.
    :param rotate_began: whether the rotate task was started.
    :param by: the Airflow user who triggered the run, or how Airflow did.
    :param task_id: the task that makes the report; ``map_index`` is its branch of a mapped group.
    """
    plan, rotation, found = findings.plan, findings.rotation, findings.found
    written = {**(rotation.stores if rotation else {}), **findings.pushed}
    failed = [row.task_id for row in tasks if row.state in ("failed", "upstream_failed")]
    pushed = next((store.fingerprint for store in findings.pushed.values() if store.fingerprint), None)
    after = findings.current or pushed or (rotation.after if rotation else None)
    stores = {label: _as_compared(store, findings.delivery, after) for label, store in written.items()}
    outcome = _outcome(findings, stores, after, failed, skipped)
    mode = plan.mode if plan else mode
    webhook_id = plan.webhook_id if plan else found.webhook_id if found else None
    cause = _cause(tasks)
    left = _left(stores, after)
    emergency = mode == "emergency"
    if findings.pair is not None and findings.pair.still_valid and outcome in PAIRS_OWN:
        advice = findings.pair.warn(left)
    elif findings.pair is not None and outcome in PAIRS_OWN and (not emergency or outcome == "webhook_gone"):
        advice = findings.pair.advise(outcome, cause=cause, left=left)
    else:
        advice = advise(
            outcome,
            emergency=emergency,
            mode=mode,
            webhook_id=webhook_id,
            found=found,
            status=findings.status,
            proven=findings.proven,
            cause=cause,
            rotate_began=rotate_began,
            rotated=rotation is not None,
            left=left,
        )
    return RotationReport(
        webhook=webhook,
        dag_id=dag_id,
        run_id=run_id,
        outcome=outcome,
        advice=advice,
        at=at,
        webhook_id=webhook_id,
        host=plan.host if plan else found.host if found else None,
        mode=mode,
        reason=plan.reason if plan else reason,
        before=plan.before if plan else found.current if found else None,
        after=after,
        how=rotation.how if rotation else None,
        refreshed_at=rotation.refreshed_at if rotation else None,
        receiver_exposure_ms=findings.receiver_exposure_ms,
        probe=findings.probe,
        delivery=findings.delivery,
        stores=tuple(stores.values()),
        tasks=tuple(tasks),
        notes=_notes(findings, after),
        known=_seen(findings, stores, after),
        cause=cause,
        status=findings.status,
        found=found,
        refreshes=findings.refreshes,
        pair=findings.pair,
        refusals_seen=findings.refusals_seen,
        approval=findings.approval,
        by=by,
        task_id=task_id,
        map_index=map_index,
    )


def _notes(findings: RunFacts, after: str | None) -> tuple[str, ...]:
    rotation, difference = findings.rotation, findings.refreshes.difference
    said = (*rotation.notes, *_later_refresh(rotation, after)) if rotation else ()
    return said if difference is None else (*said, difference)


def _as_compared(outcome: StoreOutcome, delivery: Mapping[str, Any] | None, after: str | None) -> StoreOutcome:
    """The store as the last comparison found it; another run, an emergency's say, may have written it meanwhile."""
    found = (delivery or {}).get("stores_hold")
    if (
        found is None
        or found != after
        or not outcome.holds_secret
        or outcome.detail is not None
        or outcome.fingerprint == found
    ):
        return outcome
    return replace(outcome, result="unchanged", fingerprint=found)


def _left(stores: Mapping[str, StoreOutcome], after: str | None) -> tuple[StoreOutcome, ...]:
    """Stores that are not known to hold the current secret."""
    return tuple(store for store in stores.values() if not store.holds_secret or store.fingerprint != after)


def _cause(tasks: Sequence[TaskRow]) -> str | None:
    """The message of the first task that failed, else of the first that was skipped with a reason."""
    explained = [row for row in tasks if row.why and row.state in ("failed", "skipped")]
    first = next(iter(sorted(explained, key=lambda row: not row.failed)), None)
    return f"{first.task_id}: {first.why}" if first is not None else None


def _later_refresh(rotation: RotationOutcome, after: str | None) -> tuple[str, ...]:
    """Notes that the secret was refreshed after rotate ended."""
    if after == rotation.after:
        return ()
    note = (
        f"when rotate ended, Featurebase's secret was {rotation.after}; now it is {after}. It was refreshed again in "
        "between (by a person, by a try that Airflow lost track of, by a refresh that took effect late, or by an "
        "emergency rotation)"
    )
    return (note,)


def _seen(findings: RunFacts, stores: Mapping[str, StoreOutcome], after: str | None) -> tuple[str, ...]:
    """The secrets that this run saw, without those known only from earlier reports, which would pile up."""
    plan, rotation = findings.plan, findings.rotation
    reported = set(plan.known) if plan else set()
    seen = [fingerprint for fingerprint in rotation.known if fingerprint not in reported] if rotation else []
    held = [store.fingerprint for store in stores.values()]
    return tuple(dict.fromkeys(filter(None, (plan.before if plan else None, *seen, *held, after))))


def _outcome(
    findings: RunFacts, stores: Mapping[str, StoreOutcome], after: str | None, failed: Sequence[str], skipped: bool
) -> Outcome:
    rotation = findings.rotation
    if skipped:
        return "skipped"
    if failed and (findings.pair.gone if findings.pair is not None else findings.gone):
        return "webhook_gone"
    if rotation is None:
        return _outcome_without_rotation(findings, failed)
    if findings.pair is not None and findings.pair.still_valid:
        return "incomplete"
    if _left(stores, after) and (findings.pair is None or findings.pair.taken_back is None):
        return "incomplete"
    if failed:
        return "failed"
    return "distributed" if rotation.how == "not_asked" else "rotated"


def _outcome_without_rotation(findings: RunFacts, failed: Sequence[str]) -> Outcome:
    """The outcome if rotate left no result: it did not run, or it died, perhaps after the refresh."""
    plan = findings.plan
    if plan is None:
        return "nothing_changed"
    if plan.mode == "dry_run":
        return "nothing_changed" if failed else "dry_run"
    if findings.current is None:
        return "unknown"
    return "nothing_changed" if findings.current == plan.before else "incomplete"


def _judged(facts: Mapping[str, Any] | None) -> str | None:
    return f"{facts.get('result') or facts.get('kind')}: {facts.get('detail')}" if facts else None

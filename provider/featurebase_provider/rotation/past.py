"""The runs of the past year of one webhook, for people: when, by whom, why, and with what result. Holds no secret.

Nothing decides by this record; it is only shown. The task ``report`` writes it, and the audit's report hands it on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import FiniteFloat  # noqa: TC002 - read_record resolves it

from featurebase_provider.featurebase.text import one_line
from featurebase_provider.rotation.all_stores import exposure_in
from featurebase_provider.rotation.memory import LARGEST_RECORD
from featurebase_provider.rotation.records import Instant, Text, items_of, read_record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from featurebase_provider.rotation.memory import WebhookMemory

RECORD = "runs"
KEPT_FOR = timedelta(days=366)
MOST_RUNS = 60
"""How many runs of a webhook are kept: a weekly rotation's year."""
LONGEST_REASON = 120
_ROOM = 1024
"""Bytes of the largest record that its own frame may take."""
NOT_KEPT = frozenset({"skipped", "dry_run"})
"""Outcomes of runs that were not meant to change anything, or did not begin."""


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run that was meant to change the webhook's secret or its stores.

    :param at: when it ended, by Featurebase's clock (ISO 8601).
    :param outcome: see :data:`~featurebase_provider.rotation.advice.Outcome`.
    :param by: the Airflow user who triggered it, or how Airflow did.
    :param exposure_ms: milliseconds until the last store's readers had the new secret, from the refresh on.
    :param receiver_exposure_ms: milliseconds until the receiver accepted the new secret, at most.
    :param refused: how many failed deliveries the run saw; None if it can't know.
    :param task_id: the report task, whose result has the details; ``map_index`` is its branch, or None.
    """

    at: Instant
    outcome: Text
    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    map_index: int | None = None
    mode: str | None = None
    by: str | None = None
    reason: str = ""
    exposure_ms: FiniteFloat | None = None
    receiver_exposure_ms: FiniteFloat | None = None
    refused: int | None = None

    @classmethod
    def of_report(cls, report: Mapping[str, Any]) -> PastRun | None:
        """The run of a rotation report's JSON, of this or an older version; None for anything else."""
        exposures = map(exposure_in, items_of(report.get("stores")))
        return read_record(
            cls,
            {
                **{name: report[name] for name in cls.__slots__ if name in report},
                "reason": one_line(str(report.get("reason") or ""), LONGEST_REASON),
                "exposure_ms": max((exposure for exposure in exposures if exposure is not None), default=None),
                "refused": report.get("refusals_seen"),
            },
        )

    @property
    def moment(self) -> datetime:
        """When it ended, as a datetime."""
        return datetime.fromisoformat(self.at)

    @property
    def place(self) -> tuple[str, str, str, int | None]:
        """The task that reported it: a cleared run reports again."""
        return (self.dag_id, self.run_id, self.task_id, self.map_index)

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)


def past_runs(memory: WebhookMemory) -> tuple[PastRun, ...] | None:
    """The recorded runs of a webhook, oldest first; None if there is no record yet.

    :raises MemoryUnknown: the record can't be read.
    """
    record = memory.read(RECORD)
    if record is None:
        return None
    read = (read_record(PastRun, raw) for raw in items_of(record.get("runs")))
    return tuple(run for run in read if run is not None)


def runs_of_reports(reports: Iterable[Any]) -> tuple[PastRun, ...]:
    """The runs that reports (asset events of older versions) tell of, oldest first."""
    read = (PastRun.of_report(report) for report in reports if isinstance(report, Mapping))
    return tuple(run for run in read if run is not None and run.outcome not in NOT_KEPT)[-MOST_RUNS:]


def keep_run(memory: WebhookMemory, run: PastRun, earlier: Iterable[PastRun]) -> None:
    """Record one more run, and forget those that are older than a year.

    :param earlier: what was recorded before.
    :raises MemoryUnknown: it is unknown whether it was recorded.
    """
    since = run.moment - KEPT_FOR
    kept = [other for other in earlier if other.place != run.place and other.moment >= since]
    entries = [_without_none(entry) for entry in (*kept, run)][-MOST_RUNS:]
    while len(json.dumps(entries)) > LARGEST_RECORD - _ROOM:
        entries = entries[1:]
    memory.write(RECORD, {"runs": entries})


def _without_none(run: PastRun) -> dict[str, Any]:
    return {name: value for name, value in run.as_json().items() if value not in (None, "")}

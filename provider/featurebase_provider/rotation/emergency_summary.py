"""The result of an emergency run for every webhook, in one table. Holds no secret."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from featurebase_provider.featurebase.text import one_line
from featurebase_provider.rotation.advice import NOTHING_TO_DO
from featurebase_provider.rotation.all_stores import exposure_in
from featurebase_provider.rotation.errors import EmergencyNotDone

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class BranchRow:
    """One webhook of an emergency run.

    :param outcome: the report's outcome; ``no report`` if the branch left none; ``wrong entry`` if the webhook's entry
        in the rotation file is invalid.
    :param stores_left: labels of the stores that do not hold the new secret.
    :param exposure_ms: the longest of its stores' exposures, where this run sent the refresh.
    """

    webhook: str
    outcome: str
    before: str | None = None
    after: str | None = None
    stores_done: int = 0
    stores_left: tuple[str, ...] = ()
    exposure_ms: float | None = None
    advice: str = ""

    @property
    def done(self) -> bool:
        """Whether the leaked secret is replaced everywhere."""
        return self.outcome == "rotated"

    @classmethod
    def of(cls, webhook: str, report: Mapping[str, Any] | None, *, wrong: str | None = None) -> BranchRow:
        """Summarise one branch's report, or its absence.

        :param wrong: what is wrong with the webhook's entry in the rotation file, or None.
        """
        if wrong is not None:
            advice = (
                f"Nothing was changed. Its entry in the rotation file is invalid: {wrong}. Fix it, then trigger the "
                "Dag again."
            )
            return cls(webhook, "wrong entry", advice=advice)
        if report is None:
            return cls(
                webhook,
                "no report",
                advice="Read the log of the branch's first failed task, then clear the branch's failed tasks.",
            )
        after, stores = report.get("after"), report.get("stores", [])
        done = [
            store for store in stores if store["result"] in ("written", "unchanged") and store["fingerprint"] == after
        ]
        exposures = [exposure for exposure in map(exposure_in, done) if exposure is not None]
        return cls(
            webhook,
            str(report["outcome"]),
            report.get("before"),
            after,
            len(done),
            tuple(store["label"] for store in stores if store not in done),
            max(exposures, default=None),
            str(report.get("advice", "")),
        )

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return {**asdict(self), "stores_left": list(self.stores_left)}


def summary_text(rows: Sequence[BranchRow], width: int = 160) -> str:
    """The table, followed by what to do for each webhook that needs something."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False, emoji=False)
    table = Table(title="Emergency rotation", title_justify="left")
    for column in ("webhook", "outcome", "secret before", "secret after", "stores done", "stores left", "exposure"):
        table.add_column(column, overflow="fold")
    for row in rows:
        exposure = "" if row.exposure_ms is None else f"{row.exposure_ms:.0f} ms"
        table.add_row(
            escape(one_line(row.webhook)),
            row.outcome,
            row.before or "",
            row.after or "",
            str(row.stores_done),
            ", ".join(row.stores_left),
            exposure,
        )
    console.print(table)
    for row in rows:
        if row.advice != NOTHING_TO_DO:
            console.print(f"- {escape(one_line(row.webhook))}: {escape(row.advice)}", soft_wrap=True)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines())


def check_done(rows: Sequence[BranchRow]) -> None:
    """Check that every webhook is done.

    :raises EmergencyNotDone: a webhook is not done, or there is none.
    """
    left = [f"{one_line(row.webhook)} ({row.outcome})" for row in rows if not row.done]
    if left or not rows:
        raise EmergencyNotDone(left, len(rows))

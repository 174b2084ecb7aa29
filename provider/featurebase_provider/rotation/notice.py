"""What the team is told: a headline, and a text of a few lines. Holds no secret."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from featurebase_provider.featurebase.text import one_line
from featurebase_provider.rotation.advice import DONE

if TYPE_CHECKING:
    from collections.abc import Mapping

UNCHANGED = frozenset({"dry_run", "skipped"})
"""Outcomes of a run that did what it should, and of which nobody needs to know."""
_LONGEST = 1500


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to the team.

    :param event: what it is about, as in the rotation file: ``failure``, ``success``, ``finding``, ``due`` or
        ``approval_needed``.
    :param headline: a line, such as ``Webhook production: rotated``.
    :param text: what happened and what to do first, in lines.
    """

    event: str
    headline: str
    text: str

    def as_json(self) -> dict[str, str]:
        """As the templates of a notifier see it."""
        return asdict(self)


def notice_of_run(report: Mapping[str, Any]) -> Notice | None:
    """The notice about a run; None if there is nothing to tell.

    :param report: the run's report as JSON.
    """
    outcome = report["outcome"]
    if outcome in UNCHANGED:
        return None
    lines = [report["advice"]]
    if report.get("cause") and outcome not in DONE:
        lines.append(f"Cause: {report['cause']}")
    if report.get("before") != report.get("after") and report.get("after"):
        lines.append(f"Secret: {report.get('before') or 'not read'} -> {report['after']}")
    lines += [
        f"Store {store['label']} ({store['target']}): {store['result']}"
        for store in report.get("stores", ())
        if store["result"] not in ("written", "unchanged")
    ]
    if report.get("reason"):
        lines.append(f"Reason of the run: {report['reason']}")
    lines.append(f"Dag {report['dag_id']}, run {report['run_id']}")
    words = str(outcome).replace("_", " ")
    return Notice(
        "success" if outcome in DONE else "failure",
        f"Webhook {report['webhook']}: {words}",
        "\n".join(one_line(line, _LONGEST) for line in lines),
    )


def report_missing(webhook: str, dag_id: str, run_id: str) -> dict[str, Any]:
    """What is known of a run whose report could not be written; has the fields that templates of reports use."""
    return {
        "webhook": webhook,
        "dag_id": dag_id,
        "run_id": run_id,
        "outcome": "unknown",
        "advice": "The report of this run could not be written, so it is not known here how the run ended. Read the "
        "log of its report task, then clear that task: it writes the report and changes nothing.",
        "cause": None,
        "stores": [],
    }

"""What the person on call is to do about a run, from what was seen and from nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from featurebase_provider.rotation.errors import RunNotDone

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from featurebase_provider.rotation.all_stores import StoreOutcome
    from featurebase_provider.rotation.found import Found

Outcome = Literal[
    "rotated",
    "distributed",
    "incomplete",
    "failed",
    "unknown",
    "webhook_gone",
    "dry_run",
    "skipped",
    "nothing_changed",
]
DONE: frozenset[Outcome] = frozenset({"rotated", "distributed", "dry_run", "skipped"})
"""Outcomes with which a Dag run is a success."""

NOTHING_TO_DO = "Nothing to do."
UNKNOWN = (
    "Whether the secret was refreshed could not be read. Clear the rotate task: it compares before it refreshes, and "
    "distributes what is current."
)
WEBHOOK_GONE = (
    "Featurebase has no such webhook any more, so it signs nothing with its secret and nothing is left to rotate. If "
    "it was deleted, take it out of the rotation file; if not, check that the API key belongs to its workspace, then "
    "clear what failed."
)
NO_WAY_BACK = "The old secret is gone and can't be restored: the way out is forward."
STILL_VALID = "THE LEAKED SECRET IS STILL VALID. Mend what failed, then clear this webhook's failed tasks."
STILL_ACCEPTED = (
    "The leaked secret is void at Featurebase, and stores that do not hold the new one make receivers go on accepting "
    "it. Mend each store that is named, then clear the push task."
)
UNPROVEN = (
    "Every store took the current secret, and nothing has shown that the receiver accepts it: no probe has passed and "
    "no delivery was seen to succeed. See that the next delivery succeeds, or configure a probe, which shows it in "
    "each run."
)


def set_active(status: str, webhook_id: str | None) -> str:
    """How deliveries come back to a webhook that is not active."""
    return (
        f"The webhook is {status!r}, so Featurebase delivers nothing. Once its receiver has the current secret, set it "
        f'active on its page in the Featurebase dashboard, or with PATCH /v2/webhooks/{webhook_id} {{"status": '
        '"active"}.'
    )


def advise(
    outcome: Outcome,
    *,
    emergency: bool = False,
    mode: str | None = None,
    webhook_id: str | None = None,
    found: Found | None = None,
    status: str | None = None,
    proven: bool = False,
    cause: str | None = None,
    rotate_began: bool = False,
    rotated: bool = True,
    left: Sequence[StoreOutcome] = (),
) -> str:
    """What to do about a run that ended so.

    :param found: what preflight found, or None where it found nothing.
    :param status: the webhook's status at the end, or None where it was not read.
    :param proven: whether a probe passed, or a delivery succeeded, with the secret that is current.
    :param cause: the message of the first task that failed, or was skipped with a reason.
    :param rotate_began: whether the rotate task was tried.
    :param rotated: whether it left a result.
    :param left: stores that are not known to hold the current secret.
    """
    if outcome == "webhook_gone":
        return WEBHOOK_GONE
    if outcome == "unknown":
        return UNKNOWN.replace("the secret", "the leaked secret") if emergency else UNKNOWN
    if outcome == "skipped":
        return "Nothing was changed. Trigger the Dag by hand to rotate now."
    if outcome == "dry_run":
        return _joined("Nothing was changed.", *_standing(found), "Trigger the Dag with mode=rotate to rotate.")
    if outcome == "nothing_changed":
        if emergency:
            return STILL_VALID
        return _joined(
            _what_was_done(mode, rotate_began), *_standing(found), _mend(cause, "clear it, or trigger the Dag again")
        )
    inactive = set_active(status, webhook_id) if status not in (None, "active") else None
    if outcome == "incomplete":
        return _joined(_forward(emergency, rotated, left), inactive)
    if outcome == "failed":
        holds = "the new secret" if emergency else "the current secret"
        return _joined(f"Every store holds {holds}; what failed came after.", _mend(cause, "clear it"), inactive)
    return _joined(None if proven else UNPROVEN, inactive) or NOTHING_TO_DO


def _forward(emergency: bool, rotated: bool, left: Sequence[StoreOutcome]) -> str:
    names = ", ".join(one.label for one in left)
    if not rotated:
        return (
            f"{NO_WAY_BACK} Rotate left no result, so what the stores hold is not settled. Clear the rotate task: it "
            "compares before it refreshes, and brings the stores up to date."
        )
    if all(one.holds_secret for one in left):
        return (
            f"Featurebase's secret was refreshed again after {names} had been seen to. Clear the push tasks with all "
            "that follows them (or trigger the Dag with mode=distribute): they write what is behind."
        )
    if emergency:
        return f"{STILL_ACCEPTED} Not settled: {names}."
    return (
        f"{NO_WAY_BACK} Not settled: {names}. Mend the store, then clear its push task (or trigger the Dag with "
        "mode=distribute)."
    )


def _what_was_done(mode: str | None, rotate_began: bool) -> str:
    if not rotate_began:
        return "This run changed nothing."
    if mode == "distribute":
        return "Nothing was refreshed; rotate failed on the way to the stores, so what they hold is not settled."
    return "Nothing was refreshed: Featurebase's secret is the one from before, and no store was written."


_PROBED: Mapping[str, str] = {
    "accepted": "The receiver accepted an event signed with Featurebase's current secret.",
    "refused": "The receiver refuses Featurebase's current secret, so deliveries fail now.",
    "topic_refused": "The receiver verifies Featurebase's current secret, and refuses the probe's event.",
    "verifies_nothing": "The receiver takes events with a wrong signature too.",
}


def _standing(found: Found | None) -> list[str]:
    """How things stood at the receiver, as far as preflight saw it."""
    if found is None:
        return ["How stores and receiver stand was not looked at."]
    said = []
    if found.status != "active":
        said.append(set_active(found.status, found.webhook_id))
    if found.stores is None:
        said.append("What the stores hold was not looked at.")
    elif found.behind_said is not None:
        said.append(f"{found.behind_said}.")
    if found.probe is None:
        said.append("No probe has tried whether the receiver accepts Featurebase's current secret.")
    else:
        undecided = "No answer of the receiver has told whether it accepts Featurebase's current secret."
        said.append(_PROBED.get(found.probe.get("result", ""), undecided))
    return said


def _mend(cause: str | None, then: str) -> str:
    first = f"Mend what failed ({cause.partition(':')[0]}; its message is the cause)" if cause else "Mend what failed"
    return f"{first}, then {then}."


def _joined(*sentences: str | None) -> str:
    return " ".join(one for one in sentences if one)


def check_outcome(webhook: str, report: Mapping[str, Any] | None) -> str:
    """The outcome of a Dag run that is a success.

    :param webhook: names it in the message.
    :param report: the run's report as JSON, or None where there is none.
    :raises RunNotDone: something is left to do, or there is no report.
    """
    if report is None:
        raise RunNotDone(
            webhook, "the report task left no report, so how this run ended is not shown. Clear the report task"
        )
    outcome = str(report.get("outcome"))
    if outcome not in DONE:
        raise RunNotDone(webhook, f"this run's outcome is {outcome}. {report.get('advice')}")
    return outcome

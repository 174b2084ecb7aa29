"""Tells the person on call what to do about a run, based only on what the run observed."""

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
"""Outcomes of a successful Dag run."""

NOTHING_TO_DO = "Nothing to do."
UNKNOWN = (
    "It is unknown whether the secret was refreshed. Clear the rotate task: it compares before it refreshes, and "
    "writes the current secret to the stores."
)
WEBHOOK_GONE = (
    "The webhook no longer exists in Featurebase, so there is nothing left to rotate. If it was deleted, remove it "
    "from the rotation file. If not, check that the API key belongs to its workspace, then clear the failed tasks."
)
NO_WAY_BACK = "The old secret can't be restored, so the stores must get the new one."
STILL_VALID = "THE LEAKED SECRET IS STILL VALID. Fix what failed, then clear this webhook's failed tasks."
STILL_ACCEPTED = (
    "Featurebase no longer signs with the leaked secret, but receivers accept it until their store holds the new one. "
    "Fix each store named here, then clear the push task."
)
UNPROVEN = (
    "Every store has the current secret, but it is not proven that the receiver accepts it: no probe passed and no "
    "successful delivery was seen. Check that the next delivery succeeds, or configure a probe, which tests this in "
    "every run."
)


def set_active(status: str, webhook_id: str | None) -> str:
    """How to make a webhook that is not active receive deliveries again."""
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
    """What to do about a run with this outcome.

    :param found: what preflight found, or None if it found nothing.
    :param status: the webhook's status at the end, or None if it was not read.
    :param proven: whether a probe passed, or a delivery succeeded, with the current secret.
    :param cause: the message of the first task that failed, or was skipped with a reason.
    :param rotate_began: whether the rotate task was started.
    :param rotated: whether the rotate task left a result.
    :param left: stores that are not known to hold the current secret.
    """
    if outcome == "webhook_gone":
        return WEBHOOK_GONE
    if outcome == "unknown":
        return UNKNOWN.replace("the secret", "the leaked secret") if emergency else UNKNOWN
    if outcome == "skipped":
        return "Nothing was changed. Trigger the Dag by hand to rotate now."
    if outcome == "dry_run":
        return _joined("Nothing was changed.", *_preflight_said(found), "Trigger the Dag with mode=rotate to rotate.")
    if outcome == "nothing_changed":
        if emergency:
            return STILL_VALID
        return _joined(
            _what_was_done(mode, rotate_began),
            *_preflight_said(found),
            _fix(cause, "clear it, or trigger the Dag again"),
        )
    inactive = set_active(status, webhook_id) if status not in (None, "active") else None
    if outcome == "incomplete":
        return _joined(_forward(emergency, rotated, left), inactive)
    if outcome == "failed":
        holds = "the new secret" if emergency else "the current secret"
        return _joined(f"Every store holds {holds}; a later task failed.", _fix(cause, "clear it"), inactive)
    return _joined(None if proven else UNPROVEN, inactive) or NOTHING_TO_DO


def _forward(emergency: bool, rotated: bool, left: Sequence[StoreOutcome]) -> str:
    names = ", ".join(store.label for store in left)
    if not rotated:
        return (
            f"{NO_WAY_BACK} Rotate left no result, so it is unknown what the stores hold. Clear the rotate task: it "
            "compares before it refreshes, and updates the stores."
        )
    if all(store.holds_secret for store in left):
        return (
            f"Featurebase's secret was refreshed again after these stores were written: {names}. Clear the push tasks "
            "and all tasks after them (or trigger the Dag with mode=distribute): they update the stores."
        )
    if emergency:
        return f"{STILL_ACCEPTED} Not known to hold it: {names}."
    return (
        f"{NO_WAY_BACK} Not known to hold it: {names}. Fix the store, then clear its push task (or trigger the Dag "
        "with mode=distribute)."
    )


def _what_was_done(mode: str | None, rotate_began: bool) -> str:
    if not rotate_began:
        return "This run changed nothing."
    if mode == "distribute":
        return "Nothing was refreshed. Rotate failed while it updated the stores, so it is unknown what they hold."
    return "Nothing was refreshed: Featurebase's secret is unchanged, and no store was written."


_PROBED: Mapping[str, str] = {
    "accepted": "The receiver accepted an event signed with Featurebase's current secret.",
    "refused": "The receiver refuses Featurebase's current secret, so deliveries fail now.",
    "topic_refused": "The receiver accepts Featurebase's current secret, but refuses the probe's event.",
    "verifies_nothing": "The receiver also accepts events with a wrong signature.",
}


def _preflight_said(found: Found | None) -> list[str]:
    """What preflight found about the webhook, its stores and its receiver."""
    if found is None:
        return ["Stores and receiver were not checked."]
    said = []
    if found.status != "active":
        said.append(set_active(found.status, found.webhook_id))
    if found.stores is None:
        said.append("The stores were not checked.")
    elif found.behind_said is not None:
        said.append(f"{found.behind_said}.")
    if found.probe is None:
        said.append("No probe has tested whether the receiver accepts Featurebase's current secret.")
    else:
        undecided = "The probe could not find out whether the receiver accepts Featurebase's current secret."
        said.append(_PROBED.get(found.probe.get("result", ""), undecided))
    return said


def _fix(cause: str | None, then: str) -> str:
    first = f"Fix what failed ({cause.partition(':')[0]}; its message is the cause)" if cause else "Fix what failed"
    return f"{first}, then {then}."


def _joined(*sentences: str | None) -> str:
    return " ".join(sentence for sentence in sentences if sentence)


def check_outcome(webhook: str, report: Mapping[str, Any] | None) -> str:
    """Return the outcome of a successful Dag run; raise for any other.

    :param webhook: the webhook's name, for the message.
    :param report: the run's report as JSON, or None if there is none.
    :raises RunNotDone: something is left to do, or there is no report.
    """
    if report is None:
        raise RunNotDone(
            webhook, "the report task left no report, so this run's outcome is unknown. Clear the report task"
        )
    outcome = str(report.get("outcome"))
    if outcome not in DONE:
        raise RunNotDone(webhook, f"this run's outcome is {outcome}. {report.get('advice')}")
    return outcome

"""What the report of a pair's run says beside that of a single webhook: which half delivers, and the way back."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - asdict copies it
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.errors import HALF_DELETED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from featurebase_provider.rotation.advice import Outcome
    from featurebase_provider.rotation.all_stores import StoreOutcome

BOTH_DELIVER = (
    "Both webhooks deliver, so each event arrives twice; nothing is refused. Clear the failed task, or trigger the "
    "Dag with mode=distribute to finish, or with mode=revert to go back."
)
NONE_DELIVERS = (
    "No webhook of the pair is active, and this run paused none without another one that delivered. Find out who "
    "paused them, then set one active in Featurebase."
)
BOTH_BY_HAND = (
    "Both webhooks deliver, so each event arrives twice, and no run has begun to move the deliveries. The stores hold "
    "both secrets. Pause one of the webhooks in Featurebase."
)
BOTH_AGAIN = (
    "Both webhooks deliver, so each event arrives twice: after this run had moved the deliveries, somebody has set a "
    "webhook active again. The stores hold both secrets. Pause one of the webhooks in Featurebase."
)
NONE_LEFT_DELIVERS = (
    "Nothing is delivered. Trigger the Dag with mode=distribute, which updates the stores, then set that webhook "
    "active in Featurebase."
)
NOT_DELETED = "If not, check that the API key belongs to its workspace, then clear the failed tasks."
UNREAD = "Featurebase could not be read at the end, so it is not known which webhook delivers."


@dataclass(frozen=True, slots=True)
class PairFacts:
    """Both halves of a pair at the end of a run; holds no secret.

    :param was_live: id of the half that delivered before.
    :param moves_to: id of the half to which the run moves deliveries; the same one if it moves none.
    :param mode: the run's mode.
    :param statuses: the status of each half at the end, by id; a half that could not be read is missing.
    :param gone: ids of halves that no longer exist.
    :param activated_at: when this run set a half active (ISO 8601), if it did.
    :param paused_at: when it paused one (ISO 8601), if it did.
    :param keeps_until: until when stores keep both secrets, and there is a way back (ISO 8601).
    :param polls: how many reads of both halves this run made while both delivered.
    :param refused: how many failed deliveries those reads saw. Featurebase keeps no log of deliveries.
    :param taken_back: what was done to remove a secret that never signed anything from the stores; None if nothing.
    :param still_valid: of an emergency: why the leaked secret of a half was not replaced, by id.
    """

    was_live: str
    moves_to: str
    mode: str
    statuses: Mapping[str, str] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    activated_at: str | None = None
    paused_at: str | None = None
    keeps_until: str | None = None
    polls: int | None = None
    refused: int | None = None
    taken_back: str | None = None
    still_valid: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        raw = {**asdict(self), "statuses": dict(self.statuses), "still_valid": dict(self.still_valid)}
        return {**raw, "gone": list(self.gone)}

    @property
    def active(self) -> tuple[str, ...]:
        """Ids of the halves that deliver."""
        return tuple(half for half, status in self.statuses.items() if status == "active")

    @property
    def rows(self) -> dict[str, str | None]:
        """Rows for the report's text."""
        halves = ", ".join(f"{half} is {status}" for half, status in self.statuses.items())
        seen = None if self.polls is None else f"{self.refused} failed deliveries seen in {self.polls} reads"
        return {
            "pair": halves or "not read",
            "set active at": self.activated_at,
            "paused at": self.paused_at,
            "refusals": seen,
            "both secrets until": self.keeps_until,
        }

    def advise(self, outcome: Outcome, *, cause: str | None, left: Sequence[StoreOutcome]) -> str:
        """What to do about a run with this outcome.

        :param cause: the message of the first task that failed, or was skipped with a reason.
        :param left: stores that are not known to hold what they must.
        """
        if outcome == "webhook_gone":
            return self._without_half(left)
        fix = f"Fix what failed ({cause.partition(':')[0]}; its message is the cause)." if cause else None
        if not self.active:
            return _joined(NONE_DELIVERS if self.statuses else UNREAD, fix)
        is_done = outcome in ("rotated", "distributed")
        if len(self.active) > 1:
            if not is_done:
                return _joined(BOTH_DELIVER, fix)
            return BOTH_BY_HAND if self.was_live == self.moves_to else BOTH_AGAIN
        if is_done:
            return self._done()
        moved = self.moves_to in self.active and self.was_live != self.moves_to
        stays = self.active[0]
        lacking = f"Not known to hold both secrets: {', '.join(store.label for store in left)}." if left else None
        if moved:
            return _joined(
                f"Webhook {stays} delivers, and the stores hold both secrets.",
                lacking,
                fix,
                None if self.keeps_until is None else f"Until {self.keeps_until} mode=revert goes back.",
            )
        if self.was_live == self.moves_to:
            # Nothing says that none was refused: the stores may have lacked the secret before the run.
            return _joined(f"Webhook {stays} delivers; this run moved no deliveries.", lacking, fix)
        if self.activated_at is None:
            as_before, kept = "No delivery was refused:", self.taken_back
        else:
            as_before, kept = "The deliveries did not move:", "The stores keep both secrets, which is harmless"
        return _joined(
            f"{as_before} webhook {stays} delivers as before.",
            None if kept is None else f"{kept}.",
            lacking if self.taken_back is None else None,
            fix,
        )

    def _without_half(self, left: Sequence[StoreOutcome]) -> str:
        """What to do if a half, or both, no longer exist."""
        names = " and ".join(self.gone)
        if not self.statuses:
            return (
                f"Neither webhook of the pair exists in Featurebase any more ({names}). If they were deleted, remove "
                f"the entry from the rotation file. {NOT_DELETED}"
            )
        lacking = f"Not known to hold what they must: {', '.join(store.label for store in left)}." if left else None
        stays = ", ".join(f"webhook {half} is {status}" for half, status in self.statuses.items())
        return _joined(
            f"Webhook {names} of the pair no longer exists in Featurebase; {stays}.",
            None if self.active else NONE_LEFT_DELIVERS,
            lacking,
            "Its secret may still be in the stores, which is harmless; mode=distribute removes it.",
            f"If webhook {names} was deleted, {HALF_DELETED}. {NOT_DELETED}",
        )

    def warn(self, left: Sequence[StoreOutcome]) -> str:
        """What to do if the leaked secret of a half was not replaced in an emergency.

        :param left: stores that are not known to hold what they must.
        """
        lacking = f"Not known to hold what it must: {', '.join(store.label for store in left)}." if left else None
        return _joined(
            *(
                f"THE LEAKED SECRET OF WEBHOOK {half} IS STILL VALID: {why.rstrip('.')}."
                for half, why in self.still_valid.items()
            ),
            "Fix that (a paused webhook that can't be refreshed can be deleted in Featurebase), then clear rotate and "
            "all tasks after it.",
            lacking,
        )

    def _done(self) -> str:
        if self.keeps_until is None:
            return "Nothing to do."
        return (
            f"Nothing to do now. The stores keep both secrets until {self.keeps_until}; until then mode=revert goes "
            "back. After that the audit with heal, or mode=distribute, lets the stores forget the old one."
        )


def _joined(*sentences: str | None) -> str:
    return " ".join(sentence for sentence in sentences if sentence)

"""What a pair and its store were like at every moment, from the sandbox's log and what task processes told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from featurebase_provider.featurebase.signing_secret import fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

OURS = "airflow-provider-featurebase"
RACE_MS = 3000
"""How long before a run's step a person's change may have come, so that the run could not know of it."""
TICK_MS = 2
"""Two processes' times of the same moment may differ by this."""


@dataclass(frozen=True)
class Change:
    """A change of a webhook that took effect.

    :param at: Unix milliseconds.
    :param by_hand: whether a person made it.
    :param status: the webhook's afterwards; ``fingerprint`` likewise.
    """

    at: int
    webhook_id: str
    by_hand: bool
    status: str
    fingerprint: str
    was: tuple[str, str] | None = None

    @property
    def refreshed(self) -> bool:
        """Whether the secret was refreshed."""
        return self.was is not None and self.was[1] != self.fingerprint

    @property
    def activated(self) -> bool:
        """Whether the webhook was set active."""
        return self.status == "active" and self.was is not None and self.was[0] != "active"

    @property
    def paused(self) -> bool:
        """Whether it was set paused."""
        return self.status == "paused" and self.was is not None and self.was[0] != "paused"


@dataclass(frozen=True)
class Written:
    """A write of a store: between these two moments it began to hold these two secrets."""

    began: int
    ended: int
    held: tuple[str | None, str | None]


def changes_of(log: Iterable[Mapping[str, Any]]) -> list[Change]:
    """Read the audit log of the sandbox, oldest entry first."""
    return [
        Change(
            at=int(datetime.fromisoformat(entry["createdAt"].replace("Z", "+00:00")).timestamp() * 1000),
            webhook_id=str(entry["resource"]["id"]),
            by_hand=not str(entry["request"]["userAgent"]).startswith(OURS),
            status=_state(entry["metadata"]["after"])[0],
            fingerprint=_state(entry["metadata"]["after"])[1],
            was=_state(entry["metadata"]["before"]) if entry["metadata"]["before"] else None,
        )
        for entry in log
    ]


def _state(document: Mapping[str, Any]) -> tuple[str, str]:
    return str(document["status"]), fingerprint_of(str(document["secret"]))


@dataclass
class Timeline:
    """One pair's changes and the writes of its store, judged at each of these moments.

    Rules: the store holds the secret of every active half; no run leaves none active; no run gives the store a secret
    of neither half. What a person makes of it counts only until a run has mended it.

    :param ids: the ids of both halves.
    :param changes: of both, oldest first.
    :param writes: oldest first; the first one is what the store held at first.
    """

    ids: tuple[str, str]
    changes: Sequence[Change]
    writes: Sequence[Written]
    theirs: set[str] = field(default_factory=set)
    """Fingerprints of the secrets that a person made valid, or made invalid, at once."""
    broken: list[str] = field(default_factory=list)

    def judge(self) -> Timeline:
        """Go through all moments, from when the pair is complete: both halves were made, and one was paused."""
        halves: dict[str, Change] = {}
        excused: set[str] = set()
        complete = False
        for at, change in self._moments():
            was_active = any(half.status == "active" for half in halves.values())
            if change is not None:
                halves[change.webhook_id] = change
                complete = complete or change.paused
                self._note(change)
            if not complete:
                continue
            excused -= self._certainly(at)
            excused |= self._lacking(at, halves.values(), excused)
            ended = was_active and not any(half.status == "active" for half in halves.values())
            if ended and not self._person_before(at):
                self._break(at, "a run left no webhook of the pair active")
        self._judge_writes()
        return self

    def _lacking(self, at: int, halves: Iterable[Change], excused: set[str]) -> set[str]:
        """The secrets of active halves that the store lacks, but for those of which that is known."""
        found = set()
        for half in halves:
            if half.status != "active" or half.fingerprint in self._possibly(at) | excused:
                continue
            found.add(half.fingerprint)
            if self._person_before(at):
                self.theirs.add(half.fingerprint)
            else:
                self._break(at, f"the store lacked the secret {half.fingerprint} of the active {half.webhook_id}")
        return found

    def _judge_writes(self) -> None:
        for before, write in zip(self.writes, self.writes[1:], strict=False):
            for value in set(write.held) - set(before.held) - {None}:
                if value not in self._valid(write.began - RACE_MS, write.ended):
                    self._break(write.ended, f"the store was given {value}, a secret of neither webhook")

    def _moments(self) -> Iterator[tuple[int, Change | None]]:
        """Each change, and each write once it has certainly ended, in order."""
        moments: list[tuple[int, Change | None]] = [(write.ended + 2 * TICK_MS, None) for write in self.writes]
        moments += [(change.at, change) for change in self.changes]
        yield from sorted(moments, key=lambda moment: (moment[0], moment[1] is not None))

    def _note(self, change: Change) -> None:
        if change.by_hand:
            if change.refreshed:
                self.theirs |= {change.fingerprint, *([change.was[1]] if change.was else [])}
            if change.activated and change.fingerprint not in self._certainly(change.at):
                self.theirs.add(change.fingerprint)

    def _person_before(self, at: int) -> bool:
        return any(
            change.by_hand and change.was is not None and at - RACE_MS <= change.at <= at for change in self.changes
        )

    def _possibly(self, at: int) -> set[str | None]:
        """What the store may have held at that moment: a write of it may have been under way."""
        found: set[str | None] = set()
        for write in self.writes:
            if write.ended <= at - TICK_MS:
                found = set(write.held)
            elif write.began <= at + TICK_MS:
                found |= set(write.held)
        return found

    def _certainly(self, at: int) -> set[str]:
        """What it held whether or not a write was under way."""
        last = [write for write in self.writes if write.ended <= at][-1:]
        return {value for write in last for value in write.held if value is not None}

    def _valid(self, begin: int, end: int) -> set[str]:
        """The secrets of both halves in that time."""
        found: set[str] = set()
        for half in self.ids:
            own = [change for change in self.changes if change.webhook_id == half]
            before = [change for change in own if change.at <= begin][-1:]
            found |= {change.fingerprint for change in (*before, *own) if change.at <= end and change.at > begin}
            found |= {change.fingerprint for change in before}
        return found

    def _break(self, at: int, what: str) -> None:
        self.broken.append(f"at {datetime.fromtimestamp(at / 1000).astimezone():%H:%M:%S.%f}: {what}")

"""What earlier runs tell of a webhook's secrets: which are ours, replaced or leaked, and how old the current one is.

The one place that answers this, for preflight, rotate, push, report, emergency, audit and check-stores. No clock, no
Airflow. Times are those of Featurebase's server, so that no worker's clock counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.age import SecretAge
from featurebase_provider.rotation.current import LONGEST_LAG, SecretOrder
from featurebase_provider.rotation.records import Instant, Text, items_of, moment_of, read_record, texts_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from featurebase_provider.rotation.plan import RotationPlan, ThisRun
    from featurebase_provider.rotation.report import RotationReport
    from featurebase_provider.rotation.rotate import RotationOutcome

MOST_SECRETS = 80
MOST_RUNS = 60
MOST_PLACES = 20
"""Kept of each, the newest: with these a record stays within what memory takes."""

CLOCK_STEPS = timedelta(seconds=2)
"""Featurebase's ``Date`` has whole seconds: what two tasks saw in turn may seem to be in reverse order by as much."""

SAW_ANOTHER = ("answered", "found_after_lost_answer", "already_done")
"""How a rotation ended (see ``rotation.refresh``) that saw another secret than the one it set out from."""


@dataclass(frozen=True, slots=True)
class KnownSecret:
    """One of the webhook's secrets, as far as runs have seen it.

    :param refreshed_at: when a run of ours refreshed to it.
    :param first_seen: when a run first saw it as Featurebase's current secret.
    :param last_seen: when a run last did.
    :param replaced_at: when a run saw it replaced.
    """

    fingerprint: Text
    refreshed_at: Instant | None = None
    first_seen: Instant | None = None
    last_seen: Instant | None = None
    replaced_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What earlier runs tell of one webhook.

    :param secrets: its secrets, the one that was seen current last at the end.
    :param leaked: fingerprints that must be left in no store.
    :param runs: Dag runs in which rotate was started, by ``ThisRun.mark``.
    :param previous_in: where stores were to keep the previous secret, as ``Store.previous_target`` names it.
    """

    webhook_id: str
    secrets: tuple[KnownSecret, ...] = ()
    leaked: frozenset[str] = frozenset()
    runs: tuple[str, ...] = ()
    previous_in: tuple[str, ...] = ()

    @property
    def known(self) -> tuple[str, ...]:
        """Fingerprints of all secrets that are ours, oldest first; a store may hold any of them."""
        return tuple(one.fingerprint for one in self.secrets)

    @property
    def replaced(self) -> frozenset[str]:
        """Fingerprints of the secrets that a run saw replaced."""
        return frozenset(one.fingerprint for one in self.secrets if one.replaced_at is not None)

    def older_than(self, fingerprint: str) -> tuple[str, ...]:
        """Fingerprints of the secrets that were seen current before this one was, the oldest first."""
        seen = [one.fingerprint for one in self.secrets if one.first_seen is not None]
        return tuple(seen[: seen.index(fingerprint)] if fingerprint in seen else seen)

    def order(self, now: datetime) -> SecretOrder:
        """What is known of the order of the secrets, to tell a stale read.

        :param now: server time.
        """
        seen = [one for one in self.secrets if one.first_seen is not None]
        over = {one.fingerprint: one.replaced_at for one in self.secrets if one.replaced_at is not None}
        over |= {one.fingerprint: one.replaced_at or str(seen[-1].first_seen) for one in seen[:-1]}
        settled = {
            fingerprint for fingerprint, at in over.items() if (then := moment_of(at)) and now - then > LONGEST_LAG
        }
        return SecretOrder(replaced=over, doubtful=settled)

    def age(self, fingerprint: str, *, now: datetime, created_at: datetime | None = None) -> SecretAge:
        """Bound the age of the secret with this fingerprint.

        Exact where a run of ours refreshed it. Else it is at least as old as the first run that saw it, and younger
        than the last run before that which saw another secret, and than the webhook.

        :param created_at: when the webhook was made.
        :param now: server time.
        """
        none = timedelta()
        own = self._find(fingerprint)
        if own is not None and (exact := moment_of(own.refreshed_at)) is not None:
            return SecretAge(max(now - exact, none), max(now - exact, none))
        first = moment_of(own.first_seen) if own is not None else None
        bounds = [moment for moment in (created_at, self._last_seen_otherwise(fingerprint, first)) if moment]
        at_least = max(now - first, none) if first is not None else none
        at_most = max(now - max(bounds), none) if bounds else None
        return SecretAge(at_least if at_most is None else min(at_least, at_most), at_most)

    def current_since(self, fingerprint: str) -> datetime | None:
        """When the secret became current, or was first seen to be."""
        own = self._find(fingerprint)
        return (moment_of(own.refreshed_at) or moment_of(own.first_seen)) if own is not None else None

    def refreshed_after(self, moment: str) -> frozenset[str]:
        """Fingerprints of the secrets to which a run of ours refreshed after this moment (ISO 8601)."""
        since = datetime.fromisoformat(moment)
        return frozenset(
            one.fingerprint for one in self.secrets if (at := moment_of(one.refreshed_at)) is not None and at > since
        )

    def left_behind(self, previous_in: Collection[str | None]) -> str | None:
        """What to say of places that may still hold a previous secret, and that no store names any more; or None.

        :param previous_in: where each store keeps the previous secret now; None for one that keeps none.
        """
        left = [place for place in self.previous_in if place not in previous_in]
        if not left:
            return None
        return (
            f"earlier runs were to keep the previous secret in {', '.join(left)}, which the rotation file no longer "
            "names, so nobody removes it there. Remove it, or name the place again and trigger mode=distribute"
        )

    def previous_is_over(self, fingerprint: str, *, now: datetime, previous_for: timedelta) -> bool:
        """Whether a previous secret, kept since ``fingerprint`` became current, has had its time."""
        since = self.current_since(fingerprint)
        return since is not None and now - since > previous_for

    def seeing(
        self,
        current: str | None,
        at: str | None,
        *,
        refreshed_at: str | None = None,
        replaced: Iterable[str] = (),
        known: Iterable[str] = (),
        run: str | None = None,
    ) -> History:
        """The same and what one more run saw.

        A secret that is seen current again is no longer called replaced: what Featurebase shows is the evidence.

        :param current: fingerprint of Featurebase's secret at the end of the run, where it was read.
        :param at: when that was.
        :param refreshed_at: when the run refreshed to it, if it did.
        :param replaced: fingerprints that it saw replaced.
        :param known: fingerprints that are ours for other reasons.
        :param run: the run's mark, if its rotate task was started.
        """
        secrets = {one.fingerprint: one for one in self.secrets}
        for fingerprint in (*known, *replaced):
            secrets.setdefault(fingerprint, KnownSecret(fingerprint))
        for fingerprint in replaced:
            one = secrets[fingerprint]
            secrets[fingerprint] = replace(one, replaced_at=one.replaced_at or at)
        if current is not None:
            one = secrets.pop(current, KnownSecret(current))
            secrets[current] = replace(
                one,
                refreshed_at=refreshed_at or one.refreshed_at,
                first_seen=one.first_seen or at,
                last_seen=at or one.last_seen,
                replaced_at=None,
            )
        runs = self.runs if run is None else (*(one for one in self.runs if one != run), run)
        return replace(self, secrets=tuple(secrets.values())[-MOST_SECRETS:], runs=runs[-MOST_RUNS:])

    def after_rotation(
        self, outcome: RotationOutcome, *, run: str | None = None, previous_in: Iterable[str] = ()
    ) -> History:
        """The same and what a rotate task saw and did.

        :param run: the run's mark.
        :param previous_in: where its stores keep the previous secret.
        """
        places = tuple(dict.fromkeys((*self.previous_in, *previous_in)))[-MOST_PLACES:]
        return (
            replace(self, previous_in=places)
            ._having_seen(outcome.plan.before, outcome.plan.planned_at)
            .seeing(
                outcome.after,
                outcome.distributed_at,
                refreshed_at=outcome.refreshed_at,
                replaced=proven_over(outcome.how, outcome.plan.before),
                known=outcome.known,
                run=run,
            )
        )

    def _having_seen(self, fingerprint: str, at: str) -> History:
        """The same, where a secret that was current at that moment has its place in the order."""
        secrets = {one.fingerprint: one for one in self.secrets}
        one = secrets.get(fingerprint, KnownSecret(fingerprint))
        if one.first_seen is None:
            secrets[fingerprint] = replace(one, first_seen=at, last_seen=at)
        return replace(self, secrets=tuple(secrets.values()))

    def after_report(self, report: RotationReport, *, run: str | None = None) -> History:
        """The same and what the end of a Dag run shows.

        :param run: the run's mark, if its rotate task was started.
        """
        return self.seeing(
            report.after,
            report.at,
            refreshed_at=report.refreshed_at,
            replaced=proven_over(report.how, report.before),
            known=report.known,
            run=run,
        )

    def tells_of(self, run: ThisRun) -> bool:
        """Whether the rotate task of this Dag run was started."""
        return run.mark in self.runs or (run.cleared and any(one.startswith(f"{run.name} ") for one in self.runs))

    def knowing(self, *, known: Iterable[str] = (), leaked: Iterable[str] = ()) -> History:
        """The same with more fingerprints that are ours, or have leaked. They are older than what it has."""
        new = [KnownSecret(one) for one in dict.fromkeys(known) if one not in self.known]
        return replace(self, secrets=(*new, *self.secrets), leaked=self.leaked | set(leaked))

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that :meth:`from_json` reads back."""
        return {
            "secrets": [
                {name: value for name in KnownSecret.__slots__ if (value := getattr(one, name)) is not None}
                for one in self.secrets
            ],
            "leaked": sorted(self.leaked),
            "runs": list(self.runs),
            "previous_in": list(self.previous_in),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any], webhook_id: str) -> History:
        """Read a history back; entries that do not fit are left out."""
        return cls(
            webhook_id,
            tuple(
                one for entry in items_of(raw.get("secrets")) if (one := read_record(KnownSecret, entry)) is not None
            ),
            frozenset(texts_of(raw.get("leaked"))),
            tuple(texts_of(raw.get("runs"))),
            tuple(texts_of(raw.get("previous_in"))),
        )

    def _find(self, fingerprint: str) -> KnownSecret | None:
        return next((one for one in self.secrets if one.fingerprint == fingerprint), None)

    def _last_seen_otherwise(self, fingerprint: str, until: datetime | None) -> datetime | None:
        others = (one for one in self.secrets if one.fingerprint != fingerprint)
        moments = (moment_of(text) for one in others for text in (one.first_seen, one.last_seen))
        limit = until + CLOCK_STEPS if until is not None else None
        earlier = [min(at, until or at) for at in moments if at is not None and (limit is None or at < limit)]
        return max(earlier, default=None)


def order_of(
    plan: RotationPlan, rotated: RotationOutcome | None, history: History | None = None, now: datetime | None = None
) -> SecretOrder:
    """What is known of the webhook's secrets: a read that shows a replaced one is stale.

    :param rotated: what rotate left in this Dag run.
    :param history: what other runs tell, later ones among them.
    :param now: server time.
    """
    known = history.order(now) if history is not None and now is not None else SecretOrder()
    if rotated is None or rotated.after == plan.before:
        return known.with_replaced(plan.older if rotated is not None else ())
    newest = rotated.after if rotated.after not in known.seen else None
    return known.with_replaced(
        {plan.before, *plan.older, *plan.leaked} - {rotated.after},
        newest=newest,
        updated_at=moment_of(rotated.updated_at) if newest else None,
        doubtful={plan.before} if _is_doubtful(rotated, now) else (),
    )


def _is_doubtful(rotated: RotationOutcome, now: datetime | None) -> bool:
    """Whether this run did not refresh the secret itself, and found it replaced too long ago for a lag."""
    at = moment_of(rotated.distributed_at)
    return rotated.how == "already_done" and at is not None and now is not None and now - at > LONGEST_LAG


def proven_over(how: object, before: object) -> list[str]:
    """What a run set out from, if it then saw another; one that is current all the same is not called replaced."""
    return texts_of([before]) if how in SAW_ANOTHER else []

"""What earlier runs recorded about a webhook's secrets: which are known, replaced or leaked, and the current one's age.

Preflight, rotate, push, report, emergency, audit and check-stores all ask this module. It needs no clock and no
Airflow. All times are those of Featurebase's server, so that the workers' clocks don't matter.
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

MOST_SECRETS = 75
MOST_RUNS = 60
MOST_PLACES = 20
"""How many of each are kept, the newest ones; with these limits a record fits the largest allowed size."""

CLOCK_STEPS = timedelta(seconds=2)
"""Featurebase's ``Date`` has whole seconds, so the times of two tasks may appear in reverse order by this much."""

SAME_REFRESH = timedelta(minutes=2)
"""Two times of one refresh, a run's and the audit log's, differ by less: the request takes at most half a minute."""

SAW_ANOTHER = ("answered", "found_after_lost_answer", "already_done")
"""Results of a refresh (see ``rotation.refresh``) that show that the plan's secret was replaced."""


@dataclass(frozen=True, slots=True)
class KnownSecret:
    """What runs recorded about one of the webhook's secrets.

    :param refreshed_at: when a run of this provider refreshed to it.
    :param first_seen: when a run first saw it as Featurebase's current secret.
    :param last_seen: when a run last saw it as Featurebase's current secret.
    :param replaced_at: when a run saw that it was replaced.
    :param refreshed_by: the run whose rotate task refreshed to it; see ``ThisRun.name``.
    """

    fingerprint: Text
    refreshed_at: Instant | None = None
    first_seen: Instant | None = None
    last_seen: Instant | None = None
    replaced_at: Instant | None = None
    refreshed_by: Text | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What earlier runs recorded about one webhook.

    :param secrets: its secrets; the one that was current last is at the end.
    :param leaked: fingerprints that must not stay in any store.
    :param runs: Dag runs in which rotate was started, by ``ThisRun.mark``.
    :param previous_in: where stores were configured to keep the previous secret; see ``Store.previous_target``.
    """

    webhook_id: str
    secrets: tuple[KnownSecret, ...] = ()
    leaked: frozenset[str] = frozenset()
    runs: tuple[str, ...] = ()
    previous_in: tuple[str, ...] = ()

    @property
    def known(self) -> tuple[str, ...]:
        """Fingerprints of all known secrets of the webhook, oldest first; a store may hold any of them."""
        return tuple(secret.fingerprint for secret in self.secrets)

    @property
    def replaced(self) -> frozenset[str]:
        """Fingerprints of the secrets that a run saw replaced."""
        return frozenset(secret.fingerprint for secret in self.secrets if secret.replaced_at is not None)

    def older_than(self, fingerprint: str) -> tuple[str, ...]:
        """Fingerprints of the secrets that were current before this one, oldest first."""
        seen = [secret.fingerprint for secret in self.secrets if secret.first_seen is not None]
        return tuple(seen[: seen.index(fingerprint)] if fingerprint in seen else seen)

    def order(self, now: datetime) -> SecretOrder:
        """What is known about the order of the secrets, to recognise a stale read.

        :param now: server time.
        """
        seen = [secret for secret in self.secrets if secret.first_seen is not None]
        over = {secret.fingerprint: secret.replaced_at for secret in self.secrets if secret.replaced_at is not None}
        over |= {secret.fingerprint: secret.replaced_at or str(seen[-1].first_seen) for secret in seen[:-1]}
        settled = {
            fingerprint for fingerprint, at in over.items() if (then := moment_of(at)) and now - then > LONGEST_LAG
        }
        return SecretOrder(replaced=over, doubtful=settled)

    def age(
        self,
        fingerprint: str,
        *,
        now: datetime,
        created_at: datetime | None = None,
        logged_at: datetime | None = None,
    ) -> SecretAge:
        """The range of the age of the secret with this fingerprint.

        The age is exact if a run of this provider refreshed it, or if Featurebase's audit log shows when it was
        refreshed. Otherwise the secret is at least as old as the first run that saw it. It is younger than the
        webhook, and younger than the last earlier run that saw another secret.

        :param created_at: when the webhook was created.
        :param logged_at: when the webhook's secret was refreshed last, by the audit log. It is used only if no run
            saw this secret earlier or another one later: the log may lag.
        :param now: server time.
        """
        none = timedelta()
        own = self._find(fingerprint)
        first = moment_of(own.first_seen) if own is not None else None
        otherwise = self._last_seen_otherwise(fingerprint, first)
        exact = moment_of(own.refreshed_at) if own is not None else None
        if exact is None and logged_at is not None and _fits_between(logged_at, otherwise, first):
            exact = logged_at
        if exact is not None:
            return SecretAge(max(now - exact, none), max(now - exact, none))
        bounds = [moment for moment in (created_at, otherwise) if moment]
        at_least = max(now - first, none) if first is not None else none
        at_most = max(now - max(bounds), none) if bounds else None
        return SecretAge(at_least if at_most is None else min(at_least, at_most), at_most)

    def explains(self, refreshed_at: datetime) -> bool:
        """Whether runs know of a refresh at this time: one recorded it, or first saw a secret after it.

        A rotate task that was lost before it recorded its refresh finds the new secret in its next try; a run with
        ``distribute`` finds what a person refreshed. What is older than all that runs recorded counts as known.
        """
        own = [at for secret in self.secrets if (at := moment_of(secret.refreshed_at)) is not None]
        seen = [at for secret in self.secrets if (at := moment_of(secret.first_seen)) is not None]
        return refreshed_at <= max([*own, *seen], default=refreshed_at) or any(
            refreshed_at - at <= SAME_REFRESH for at in own
        )

    def current_since(self, fingerprint: str) -> datetime | None:
        """When the secret became current, or was first seen as current."""
        own = self._find(fingerprint)
        return (moment_of(own.refreshed_at) or moment_of(own.first_seen)) if own is not None else None

    def refreshed_after(self, moment: str, by: str | None = None) -> frozenset[str]:
        """Fingerprints of the secrets to which a run refreshed after this time (ISO 8601).

        :param by: counts one run's only, by ``ThisRun.name``; the moment then is its plan's, by another task's clock.
        """
        since = datetime.fromisoformat(moment) - (CLOCK_STEPS if by else timedelta())
        return frozenset(
            secret.fingerprint
            for secret in self.secrets
            if (at := moment_of(secret.refreshed_at)) is not None and at > since and by in (None, secret.refreshed_by)
        )

    def left_behind(self, previous_in: Collection[str | None]) -> str | None:
        """A message about places that may still hold a previous secret but that no store uses any more, or None.

        :param previous_in: where each store keeps the previous secret now; None for a store that keeps none.
        """
        left = [place for place in self.previous_in if place not in previous_in]
        if not left:
            return None
        return (
            f"earlier runs were configured to keep the previous secret in {', '.join(left)}. The rotation file no "
            "longer names this place, so no run removes the secret there. Remove it by hand, or add the place again "
            "and trigger mode=distribute"
        )

    def previous_is_over(self, fingerprint: str, *, now: datetime, previous_for: timedelta) -> bool:
        """Whether a previous secret, kept since ``fingerprint`` became current, was kept for longer than allowed."""
        since = self.current_since(fingerprint)
        return since is not None and now - since > previous_for

    def seeing(
        self,
        current: str | None,
        at: str | None,
        *,
        refreshed_at: str | None = None,
        refreshed_by: str | None = None,
        replaced: Iterable[str] = (),
        known: Iterable[str] = (),
        run: str | None = None,
    ) -> History:
        """Add what one more run saw, and return the new history.

        A secret that is seen as current again no longer counts as replaced: what Featurebase shows decides.

        :param current: fingerprint of Featurebase's secret at the end of the run, if it was read.
        :param at: when it was read.
        :param refreshed_at: when the run refreshed to it, if it did; ``refreshed_by`` names the run.
        :param replaced: fingerprints that the run saw replaced.
        :param known: further fingerprints of the webhook's secrets.
        :param run: the run's mark, if its rotate task was started.
        """
        secrets = {secret.fingerprint: secret for secret in self.secrets}
        for fingerprint in (*known, *replaced):
            secrets.setdefault(fingerprint, KnownSecret(fingerprint))
        for fingerprint in replaced:
            secret = secrets[fingerprint]
            secrets[fingerprint] = replace(secret, replaced_at=secret.replaced_at or at)
        if current is not None:
            secret = secrets.pop(current, KnownSecret(current))
            secrets[current] = replace(
                secret,
                refreshed_at=refreshed_at or secret.refreshed_at,
                refreshed_by=refreshed_by or secret.refreshed_by,
                first_seen=secret.first_seen or at,
                last_seen=at or secret.last_seen,
                replaced_at=None,
            )
        runs = self.runs if run is None else (*(mark for mark in self.runs if mark != run), run)
        return replace(self, secrets=tuple(secrets.values())[-MOST_SECRETS:], runs=runs[-MOST_RUNS:])

    def after_rotation(
        self, outcome: RotationOutcome, *, run: str | None = None, previous_in: Iterable[str] = ()
    ) -> History:
        """Add what a rotate task saw and did, and return the new history.

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
                refreshed_by=run.partition(" ")[0] if run and outcome.refreshed else None,
                replaced=proven_over(outcome.how, outcome.plan.before),
                known=outcome.known,
                run=run,
            )
        )

    def _having_seen(self, fingerprint: str, at: str) -> History:
        """The same history, with the secret recorded as current at that time."""
        secrets = {secret.fingerprint: secret for secret in self.secrets}
        secret = secrets.get(fingerprint, KnownSecret(fingerprint))
        if secret.first_seen is None:
            secrets[fingerprint] = replace(secret, first_seen=at, last_seen=at)
        return replace(self, secrets=tuple(secrets.values()))

    def after_report(self, report: RotationReport, *, run: str | None = None) -> History:
        """Add what the report at the end of a Dag run shows, and return the new history.

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
        return run.mark in self.runs or (run.cleared and any(mark.startswith(f"{run.name} ") for mark in self.runs))

    def knowing(self, *, known: Iterable[str] = (), leaked: Iterable[str] = ()) -> History:
        """Add known or leaked fingerprints, and return the new history. Known ones count as older than all others."""
        new = [KnownSecret(fingerprint) for fingerprint in dict.fromkeys(known) if fingerprint not in self.known]
        return replace(self, secrets=(*new, *self.secrets), leaked=self.leaked | set(leaked))

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that :meth:`from_json` reads back."""
        return {
            "secrets": [
                {name: value for name in KnownSecret.__slots__ if (value := getattr(secret, name)) is not None}
                for secret in self.secrets
            ],
            "leaked": sorted(self.leaked),
            "runs": list(self.runs),
            "previous_in": list(self.previous_in),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any], webhook_id: str) -> History:
        """Read a history back; invalid entries are ignored."""
        return cls(
            webhook_id,
            tuple(
                secret
                for entry in items_of(raw.get("secrets"))
                if (secret := read_record(KnownSecret, entry)) is not None
            ),
            frozenset(texts_of(raw.get("leaked"))),
            tuple(texts_of(raw.get("runs"))),
            tuple(texts_of(raw.get("previous_in"))),
        )

    def _find(self, fingerprint: str) -> KnownSecret | None:
        return next((secret for secret in self.secrets if secret.fingerprint == fingerprint), None)

    def _last_seen_otherwise(self, fingerprint: str, until: datetime | None) -> datetime | None:
        others = (secret for secret in self.secrets if secret.fingerprint != fingerprint)
        moments = (moment_of(text) for secret in others for text in (secret.first_seen, secret.last_seen))
        limit = until + CLOCK_STEPS if until is not None else None
        earlier = [min(at, until or at) for at in moments if at is not None and (limit is None or at < limit)]
        return max(earlier, default=None)


def _fits_between(moment: datetime, after: datetime | None, before: datetime | None) -> bool:
    """Whether a moment lies between two others, as far as they are known and clocks agree."""
    return (after is None or moment >= after - CLOCK_STEPS) and (before is None or moment <= before + CLOCK_STEPS)


def order_of(
    plan: RotationPlan, rotated: RotationOutcome | None, history: History | None = None, now: datetime | None = None
) -> SecretOrder:
    """What is known about the order of the webhook's secrets: a read that shows a replaced one is stale.

    :param rotated: rotate's result in this Dag run.
    :param history: what other runs recorded, including later ones.
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
    """Whether this run did not refresh the secret itself, and found it replaced too long ago for a stale read."""
    at = moment_of(rotated.distributed_at)
    return rotated.how == "already_done" and at is not None and now is not None and now - at > LONGEST_LAG


def proven_over(how: object, before: object) -> list[str]:
    """The plan's secret, if the run then saw another one; a secret that is still current does not count as replaced."""
    return texts_of([before]) if how in SAW_ANOTHER else []

"""The rules of a pair: two webhooks with the same deliveries, of which one delivers and the other is paused.

Featurebase shows which half is live; the plan fixes which half is refreshed. From these two follow the half to which
deliveries move, and the secrets that stores must hold. No clock, no network, no Airflow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.models import ACTIVE, PAUSED
from featurebase_provider.rotation.current import is_older
from featurebase_provider.rotation.errors import HALF_DELETED, PlanRefused
from featurebase_provider.rotation.moves import Move, Moves, pair_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime, timedelta

    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.modes import Mode


@dataclass(frozen=True, slots=True)
class Pair:
    """Both halves of a pair, as Featurebase shows them.

    :param ids: the ids of both, in the order of the rotation file.
    :param shown: the webhooks by id; one that no longer exists is missing.
    """

    ids: tuple[str, str]
    shown: Mapping[str, Webhook]

    @classmethod
    def of(cls, ids: Collection[str], webhooks: Iterable[Webhook]) -> Pair:
        """Make a pair of what was read.

        :param ids: exactly two ids; upper and lower case mean the same.
        """
        first, second = (webhook_id.lower() for webhook_id in ids)
        return cls((first, second), {webhook.id.lower(): webhook for webhook in webhooks})

    @property
    def name(self) -> str:
        """Names the pair in messages and records: both ids."""
        return pair_id(self.ids)

    @property
    def webhooks(self) -> tuple[Webhook, ...]:
        """The halves that exist, in the order of the rotation file."""
        return tuple(self.shown[webhook_id] for webhook_id in self.ids if webhook_id in self.shown)

    @property
    def active(self) -> tuple[Webhook, ...]:
        """The halves that deliver."""
        return tuple(webhook for webhook in self.webhooks if webhook.status == ACTIVE)

    @property
    def live(self) -> Webhook | None:
        """The half that delivers; None if none does, or both."""
        return self.active[0] if len(self.active) == 1 else None

    def get(self, webhook_id: str) -> Webhook | None:
        """The half with this id, or None if it no longer exists."""
        return self.shown.get(webhook_id.lower())

    @property
    def gone(self) -> tuple[str, ...]:
        """Ids of the halves that no longer exist."""
        return tuple(webhook_id for webhook_id in self.ids if webhook_id not in self.shown)

    def other(self, webhook_id: str) -> str:
        """The id of the other half."""
        first, second = self.ids
        return second if webhook_id.lower() == first else first

    def fingerprints(self) -> dict[str, str | None]:
        """The fingerprint of each half's secret, by id."""
        return {webhook_id: webhook.fingerprint for webhook_id, webhook in self.shown.items()}


@dataclass(frozen=True, slots=True)
class Roles:
    """What each half does in a run.

    :param was_live: id of the half that delivered when the run was planned.
    :param moves_to: id of the half to which deliveries move; the same one if they stay.
    :param refreshes: id of the half whose secret is refreshed, or None.
    """

    was_live: str
    moves_to: str
    refreshes: str | None = None


def differences(pair: Pair) -> tuple[str, ...]:
    """Names of the settings in which the halves differ, so that moving the deliveries would change them.

    Values of request headers are not compared: Featurebase may hide them, and they may be credentials.
    """
    if len(pair.webhooks) < 2:
        return ()
    one, two = pair.webhooks
    facts = {
        "url": (one.url, two.url),
        "topics": (set(one.topics), set(two.topics)),
        "request headers": tuple({name.lower() for name in half.request_config.headers} for half in (one, two)),
        "timeoutMs": (one.request_config.timeout_ms, two.request_config.timeout_ms),
        "version": (one.version, two.version),
    }
    return tuple(name for name, (left, right) in facts.items() if left != right)


def roles(pair: Pair, mode: Mode, *, moves: Moves, leaked: Collection[str] = (), came_from: str | None = None) -> Roles:
    """Decide what each half does in a new run.

    :param moves: what earlier runs recorded.
    :param leaked: fingerprints of leaked secrets.
    :param came_from: id of the half that delivered before the newest plan, if there is one that did not go back.
    :raises PlanRefused: the pair's state does not allow the mode; nothing was changed.
    """
    if mode == "distribute":
        return _distributes(pair, moves)
    if mode == "revert":
        return _reverts(pair, moves, leaked, came_from)
    live = _checked_live(pair)
    standby = pair.get(pair.other(live.id))
    if standby is None:
        raise _refused(
            pair,
            f"webhook {pair.other(live.id)} no longer exists, so there is no standby to refresh. If it was deleted, "
            f"{HALF_DELETED}",
        )
    if standby.status != PAUSED:
        raise _refused(
            pair,
            f"the standby {standby.id} is {standby.status!r}, not paused. Find out why Featurebase suspended it, then "
            "set it paused",
        )
    different = differences(pair)
    if different:
        raise _refused(
            pair,
            f"its webhooks {live.id} and {standby.id} differ in {', '.join(different)}, so moving the deliveries would "
            "change them. Make them equal in Featurebase",
        )
    return Roles(live.id, standby.id, standby.id)


def _checked_live(pair: Pair) -> Webhook:
    """The live half.

    :raises PlanRefused: none is live, or both are.
    """
    if pair.live is not None:
        return pair.live
    if pair.active:
        raise _refused(
            pair,
            "both webhooks are active, so an earlier run did not finish, or a person set one active. Trigger the Dag "
            "with mode=distribute to finish that run, with mode=revert to go back, or pause one in Featurebase",
        )
    shown = ", ".join(f"{webhook.id} is {webhook.status!r}" for webhook in pair.webhooks) or "neither exists"
    raise _refused(
        pair,
        f"no webhook of it is active ({shown}), so nothing is delivered. Trigger the Dag with mode=distribute, which "
        "updates the stores, then set one active in Featurebase",
    )


def _distributes(pair: Pair, moves: Moves) -> Roles:
    if not pair.shown:
        raise _refused(pair, "neither webhook of it exists any more")
    if len(pair.active) == len(pair.ids) and moves.open is not None:
        return Roles(pair.other(moves.open.webhook_id), moves.open.webhook_id.lower())
    stays = (pair.live or (pair.active or pair.webhooks)[0]).id.lower()
    return Roles(stays, stays)


def _reverts(pair: Pair, moves: Moves, leaked: Collection[str], came_from: str | None) -> Roles:
    if not pair.active:
        _checked_live(pair)
    if pair.live is not None:
        target = pair.live.id if pair.live.id.lower() == came_from else pair.other(pair.live.id)
    elif moves.open is not None:
        target = pair.other(moves.open.webhook_id)
    else:
        raise _refused(
            pair, "both webhooks are active, and no run recorded which one was live before. Pause one in Featurebase"
        )
    webhook = pair.get(target)
    if webhook is None:
        raise _refused(
            pair,
            f"webhook {target} no longer exists, so there is no way back to it. If it was deleted, {HALF_DELETED}",
        )
    if webhook.fingerprint in leaked:
        raise _refused(pair, f"the secret of webhook {target} has leaked, so no run goes back to it")
    if webhook.status not in (ACTIVE, PAUSED):
        raise _refused(pair, f"webhook {target} is {webhook.status!r}, so no run sets it active")
    was_live = pair.live.id if pair.live is not None else pair.other(target)
    return Roles(was_live.lower(), target.lower())


def _refused(pair: Pair, why: str) -> PlanRefused:
    return PlanRefused(pair.name, f"{why}; nothing was changed")


def is_outdated(pair: Pair, moves: Moves) -> bool:
    """Whether Featurebase shows a half as it was before a run paused it, or set it active: that read is stale.

    Each half is judged by itself: a stale read of one, beside a current read of the other, makes both look active, or
    neither. How long ago the run did so doesn't matter. If somebody has changed the half since, Featurebase shows a
    later ``updatedAt``; without one it can't be told.
    """
    return any(
        webhook.status == before and is_older(webhook.updated_at, step.moment)
        for step, before in ((moves.activated, PAUSED), (moves.paused, ACTIVE))
        if step is not None and step.done and (webhook := pair.get(step.webhook_id)) is not None
    )


def last_signed(pair: Pair, moves: Moves) -> datetime | None:
    """The latest time at which the half that is not live may have signed a delivery's first attempt.

    :returns: when it was paused, as a run recorded, else when it was changed last, by Featurebase; but not before its
        latest delivery: a person may have set it active since, and paused it again. None if it never delivered
        anything, no longer exists, or if there is no live half.
    """
    standby = _not_live(pair)
    if standby is None:
        return None
    delivered = last_delivered(pair, moves)
    if delivered is None or _moment_of(moves.paused, standby) is not None:
        return delivered
    return max(delivered, standby.updated_at or delivered)


def last_delivered(pair: Pair, moves: Moves) -> datetime | None:
    """The same, without regard to changes by which the half need not have been paused, such as a refresh.

    A run that was to set the half active counts too: the change may have taken effect unseen, or may do so late.
    """
    standby = _not_live(pair)
    if standby is None:
        return None
    result = standby.last_status.timestamp if standby.last_status is not None else None
    # A result without a time, or with none that can be read, is missing; the health figures may tell of it.
    success = standby.health.last_success_at
    moments = (_moment_of(moves.activated, standby), _moment_of(moves.paused, standby), result, success)
    return max((moment for moment in moments if moment is not None), default=None)


def _not_live(pair: Pair) -> Webhook | None:
    """The half that is not live; None if there is none, or no live one."""
    return pair.get(pair.other(pair.live.id)) if pair.live is not None else None


def _moment_of(move: Move | None, webhook: Webhook) -> datetime | None:
    """When a run took this step with the webhook; None if the step is about the other half."""
    return move.moment if move is not None and move.webhook_id.lower() == webhook.id.lower() else None


def is_drained(pair: Pair, moves: Moves, *, previous_for: timedelta, now: datetime) -> bool:
    """Whether nothing that the half that is not live has signed can arrive any more, so that stores may forget it.

    :param previous_for: how long deliveries are retried, at least.
    :param now: server time.
    """
    return pair.live is not None and _is_over(last_signed(pair, moves), previous_for, now)


def never_became_live(pair: Pair, moves: Moves, *, previous_for: timedelta, now: datetime) -> bool:
    """Whether the half that is not live has delivered nothing lately, so that stores may forget what it was given."""
    return pair.live is not None and _is_over(last_delivered(pair, moves), previous_for, now)


def _is_over(signed: datetime | None, previous_for: timedelta, now: datetime) -> bool:
    return signed is None or now - signed >= previous_for


def why_not_drained(pair: Pair, moves: Moves, *, previous_for: timedelta, now: datetime) -> str | None:
    """Why the half that is not live may not be refreshed yet, or None."""
    signed = last_signed(pair, moves)
    if signed is None or _is_over(signed, previous_for, now):
        return None
    until = (signed + previous_for).isoformat(timespec="seconds")
    return (
        f"deliveries that the paused webhook has signed may be retried until {until} (previous_for after it was "
        "paused), and receivers need its secret until then; nothing was changed"
    )


def check_in_time(
    pair: Pair, mode: Mode, chosen: Roles, *, moves: Moves, previous_for: timedelta, now: datetime
) -> None:
    """Check that it is neither too early to refresh the standby, nor too late to go back to it.

    :param chosen: what each half does in the run.
    :raises PlanRefused: it is; nothing was changed.
    """
    if mode in ("rotate", "dry_run"):
        early = why_not_drained(pair, moves, previous_for=previous_for, now=now)
        if early is not None:
            raise PlanRefused(pair.name, f"{early}. Trigger the Dag after that time")
    goes_back = mode == "revert" and chosen.moves_to != chosen.was_live
    if goes_back and is_drained(pair, moves, previous_for=previous_for, now=now):
        raise PlanRefused(
            pair.name,
            f"webhook {chosen.moves_to} has been drained: its secret is kept no longer, so there is no way back to it; "
            "nothing was changed. Trigger the Dag with mode=rotate, which moves the deliveries to it with a new secret",
        )


def needed(
    pair: Pair,
    mode: Mode,
    *,
    first: str | None = None,
    drained: bool = False,
    leaked: Collection[str] = (),
) -> tuple[Webhook, ...]:
    """The halves whose secrets every store must hold: every active one, and the other one while it may be needed.

    :param first: id of the half whose secret a store that holds neither takes as ``current``.
    :param drained: whether the half that is not live is not needed any more; see :func:`is_drained`.
    :param leaked: fingerprints of leaked secrets. A leaked secret of a half that does not deliver is not needed.
    """
    active = pair.active
    if mode == "emergency":
        wanted = active or tuple(half for half in pair.webhooks if half.fingerprint not in leaked) or pair.webhooks
    elif drained and pair.live is not None:
        wanted = (pair.live,)
    else:
        usable = [half for half in pair.webhooks if half in active or half.fingerprint not in leaked]
        wanted = tuple(usable) or pair.webhooks
    front = (first or "").lower()
    return tuple(sorted(wanted, key=lambda half: half.id.lower() != front))

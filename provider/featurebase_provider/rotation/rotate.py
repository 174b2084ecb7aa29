"""Refreshes the secret and writes the new one to all stores, in one process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from featurebase_provider.featurebase.errors import ApiError
from featurebase_provider.rotation.all_stores import ArmedStores, StoreOutcome, arming
from featurebase_provider.rotation.clock import Moment  # noqa: TC001 - read_record resolves it
from featurebase_provider.rotation.current import read_current, secret_of
from featurebase_provider.rotation.distribute import Looks, distribute
from featurebase_provider.rotation.errors import MemoryUnknown, PlanUnreadable, RefreshRefused, SecretMissing, StaleRead
from featurebase_provider.rotation.plan import RotationPlan
from featurebase_provider.rotation.records import Instant, Text, read_record
from featurebase_provider.rotation.refresh import How  # noqa: TC001 - read_record resolves it

if TYPE_CHECKING:
    from datetime import datetime

    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.one_store import WriteRule
    from featurebase_provider.rotation.refresh import CompareAndSwap, Refreshed
    from featurebase_provider.rotation.store import Store

CONFIRM_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class RotationOutcome:
    """The rotate task's result; holds no secret.

    :param plan: the plan that was carried out.
    :param how: how the current secret was obtained; see :class:`~.refresh.Refreshed`.
    :param after: fingerprint of the secret that Featurebase held at the end.
    :param updated_at: the webhook's ``updatedAt`` at the end (ISO 8601).
    :param refreshed_at: server time of the refresh (ISO 8601), if this try sent it.
    :param posted: the time just before the refresh was sent, if this try sent it.
    :param distributed_at: server time (ISO 8601) at which the last store was done.
    :param stores: each store's outcome, by label.
    :param notes: sentences for the report.
    :param seen: fingerprints of the secrets that this try saw; a store may hold any of them.
    :param beside: fingerprint of the secret of a pair's other half at the end.
    :param waits_until: server time (ISO 8601) until which the half of a pair must not be set active: a refresh that
        failed ambiguously may still take effect.
    :param refreshes: how many refreshes this try and earlier ones know they caused; None if they can't tell.
    """

    plan: RotationPlan
    how: How
    after: Text
    updated_at: Instant | None = None
    refreshed_at: Instant | None = None
    posted: Moment | None = None
    distributed_at: Instant | None = None
    stores: Mapping[str, StoreOutcome] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    beside: Text | None = None
    waits_until: Instant | None = None
    refreshes: int | None = None

    @property
    def known(self) -> tuple[str, ...]:
        """Fingerprints of all secrets of the webhook that this run knows of."""
        return tuple(dict.fromkeys((*self.plan.known, self.plan.before, *self.seen, self.after)))

    @property
    def refreshed(self) -> bool:
        """Whether this try's own POST replaced the secret."""
        return self.how in ("answered", "found_after_lost_answer")

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that :meth:`from_json` reads back."""
        return {
            **{f.name: getattr(self, f.name) for f in fields(self)},
            "plan": self.plan.as_json(),
            "posted": asdict(self.posted) if self.posted else None,
            "stores": {label: asdict(outcome) for label, outcome in self.stores.items()},
            "notes": list(self.notes),
            "seen": list(self.seen),
        }

    @classmethod
    def from_json(cls, raw: object, *, webhook_id: str = "?") -> RotationOutcome:
        """Read an outcome back.

        :raises PlanUnreadable: it is missing or invalid.
        """
        if not isinstance(raw, Mapping):
            raise PlanUnreadable(webhook_id, "the rotate task of this Dag run left no result; clear rotate")
        plan = RotationPlan.from_json(raw.get("plan"), webhook_id=webhook_id)
        outcome = read_record(cls, {**raw, "plan": plan})
        if outcome is None:
            raise PlanUnreadable(webhook_id, "the result of the rotate task is invalid; clear rotate")
        return outcome


def rotate(
    swap: CompareAndSwap,
    stores: Sequence[Store],
    rule: WriteRule,
    *,
    server_now: Callable[[], datetime],
    require_all: bool = True,
    leaked: Callable[[], frozenset[str]] = frozenset,
    may_post: Callable[[], None] = lambda: None,
) -> RotationOutcome:
    """Prepare all stores, refresh with compare and swap, write all stores in parallel, and read Featurebase again.

    :param require_all: False refreshes even if a store is not ready (the secret has leaked).
    :param leaked: returns the fingerprints recorded as leaked by now, or raises MemoryUnknown. It is called on this
        thread just before the refresh is sent, since an emergency run may have begun meanwhile, and again after a
        wait; never between a usable response and the writes.
    :param may_post: called last before the refresh is sent; raises RefreshRefused to prevent it.
    :raises StoresNotReady: a store is not ready; nothing was refreshed.
    :raises RefreshRefused: a store holds a value of unknown origin; nothing was refreshed.
    :raises MemoryUnknown: ``leaked`` raised it before the refresh; nothing was refreshed.
    :raises RotationError: see :meth:`CompareAndSwap.run`.
    :raises ApiError: Featurebase refused, or could not be read.
    """
    plan = swap.plan
    rule = rule.knowing(known={*plan.known, plan.before}, leaked=plan.leaked)
    with arming(stores) as ready:
        guard = Guard(ready, plan, rule, leaked, require_all=require_all)

        def last_look() -> None:
            guard.check()
            may_post()
            guard.look_again()

        refreshed = swap.run(last_look)
        refreshed_at = server_now() if refreshed.posted_at is not None else None
        rule, looks, ready = guard.rule, guard.looks, guard.ready
        if refreshed.how != "answered":
            rule, looks = rule.knowing(leaked=leaked_by_now(leaked, swap.say)), None
        new, since = secret_of(refreshed.webhook), refreshed.posted_at
        outcomes = distribute(ready, new, rule, since=since, clock=swap.clock, looks=looks)
        # The wall clock is read after the stores were written: nothing may come between the response and the writes.
        posted = swap.clock.moment_at(refreshed.posted_at) if refreshed.posted_at is not None else None
        refreshed, outcomes, notes = _confirm(swap, ready, refreshed, outcomes, rule, leaked)
    return RotationOutcome(
        plan=plan,
        how=refreshed.how,
        after=secret_of(refreshed.webhook).fingerprint,
        updated_at=updated_at.isoformat() if (updated_at := refreshed.webhook.updated_at) is not None else None,
        refreshed_at=refreshed_at.isoformat() if refreshed_at else None,
        posted=posted,
        distributed_at=server_now().isoformat(),
        stores=outcomes,
        notes=(*refreshed.notes, *notes),
        seen=tuple(sorted(swap.order.seen - set(plan.older))),
    )


class Guard:
    """Checks the stores once more, directly before the refresh is sent.

    :param ready: the stores; each check reads those again that only this thread may ask.
    :param rule: the rules for writing; each check adds the secrets that have leaked meanwhile.
    :param leaked: returns these.
    :param require_all: whether a store that is not ready, or holds a foreign value, prevents the refresh.
    """

    def __init__(
        self,
        ready: ArmedStores,
        plan: RotationPlan,
        rule: WriteRule,
        leaked: Callable[[], frozenset[str]] = frozenset,
        *,
        require_all: bool,
    ) -> None:
        self._plan, self._leaked, self._require_all = plan, leaked, require_all
        self.ready, self.rule = ready, rule
        self.looks: Looks | None = None

    def check(self) -> None:
        """Check that the refresh may be sent.

        :raises StoresNotReady: a store is not ready.
        :raises RefreshRefused: a store holds a value of unknown origin, or another program writes its place too.
        :raises MemoryUnknown: the record of leaked secrets can't be read.
        """
        self.rule = self.rule.knowing(leaked=self._leaked())
        self.ready = self.ready.reread_on_main_thread()
        if not self._require_all:
            return
        self.ready.require_all(self._plan.webhook_id)
        not_ours = {**self.ready.owned(), **self.ready.foreign(self.rule, current=self._plan.before)}
        if not_ours:
            why = "; ".join(str(problem) for problem in not_ours.values())
            raise RefreshRefused(self._plan.webhook_id, f"nothing was refreshed: {why}")

    def look_again(self) -> None:
        """Begin to look at the other stores again; the refresh does not wait for that."""
        self.looks = Looks(self.ready)


def leaked_by_now(leaked: Callable[[], frozenset[str]], say: Callable[[str], None]) -> frozenset[str]:
    """The secrets recorded as leaked. After a refresh, a record that can't be read must not delay anything."""
    try:
        return leaked()
    except MemoryUnknown as exc:
        say(f"{exc.summary}. The stores are written with what was known before")
        return frozenset()


def _confirm(
    swap: CompareAndSwap,
    ready: ArmedStores,
    refreshed: Refreshed,
    outcomes: dict[str, StoreOutcome],
    rule: WriteRule,
    leaked: Callable[[], frozenset[str]],
) -> tuple[Refreshed, dict[str, StoreOutcome], tuple[str, ...]]:
    """Read Featurebase after the writes; if it shows a newer secret, write that one."""

    def read() -> Webhook:
        return read_current(
            swap.api,
            swap.plan.webhook_id,
            swap.order,
            patience=min(CONFIRM_SECONDS, swap.grace),
            clock=swap.clock,
        )

    written = secret_of(refreshed.webhook)
    try:
        now = read()
        if secret_of(now) == written:
            return replace(refreshed, webhook=now), outcomes, ()
        # Read once more after the stores: another try may have written an even newer secret.
        ready = ready.reread()
        now = read()
    except (ApiError, SecretMissing, StaleRead) as exc:
        why = exc.summary if isinstance(exc, ApiError) else str(exc)
        return refreshed, outcomes, (f"after the writes Featurebase could not be read again: {why}",)
    newer = secret_of(now)
    note = (
        f"after {written.fingerprint} was written, Featurebase shows {newer.fingerprint}: the secret was refreshed a "
        "second time (by a person, by a try that Airflow lost track of, or by a refresh that took effect late). The "
        "newer one was written to all stores"
    )
    swap.say(note)
    outcomes = distribute(
        ready,
        newer,
        rule.knowing(known=swap.order.seen, leaked=leaked_by_now(leaked, swap.say)),
        since=refreshed.posted_at,
        clock=swap.clock,
    )
    return replace(refreshed, webhook=now), outcomes, (note,)

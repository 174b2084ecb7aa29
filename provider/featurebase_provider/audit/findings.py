"""The kinds of findings of an audit, and what to do about each. No clock, no network, no Airflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from featurebase_provider.rotation.errors import HALF_DELETED

if TYPE_CHECKING:
    from collections.abc import Mapping

HEALABLE = frozenset(
    {
        "leaked_secret_held",
        "store_differs",
        "store_absent",
        "store_unfinished",
        "previous_overdue",
        "previous_age_unknown",
        "both_live",
        "drain_overdue",
    }
)
"""Kinds that a run of the webhook's Dag with ``mode=distribute`` fixes, without refreshing. It fixes ``both_live`` only
if a run of this provider began to move the deliveries."""

_DISTRIBUTE = "Trigger the webhook's Dag with mode=distribute, which keeps the secret, or turn on heal in the audit."

ADVICE: Mapping[str, str] = {
    "connection_unusable": "Fix the Airflow connection, or featurebase_conn_id in the rotation file.",
    "key_refused": "Put an API key of the right workspace into the connection's password field.",
    "featurebase_unreachable": "This connection's webhooks could not be checked. Trigger the audit again later.",
    "webhook_missing": "Correct its entry in the rotation file. If it was deleted, remove the entry; if it was one "
    f"of a pair, {HALF_DELETED}.",
    "webhook_twice": "Two Dags rotate one secret and undo each other's stores: keep one entry in the rotation file.",
    "webhook_unconfigured": "Add it to the rotation file, delete it in Featurebase, or ignore this kind if another "
    "product uses the webhook.",
    "webhook_inactive": "Featurebase delivers nothing through it. If a store differs too, run mode=distribute first. "
    "Fix the receiver, then set the webhook active in Featurebase, or paused if it is the standby of a pair.",
    "delivery_failing": "Fix the receiver; if a store differs too, fix that first.",
    "secret_missing": "Check the connection's api_version and the API key's permissions.",
    "secret_overdue": "Trigger the webhook's Dag with mode=rotate. If it has a schedule, see whether the Dag is "
    "paused.",
    "age_unknown": "Trigger the webhook's Dag with mode=rotate; from then on the age is known.",
    "rotated_elsewhere": "Find out who refreshes the secret beside this provider, and have it done by triggering the "
    "webhook's Dag. If stores differ, they hold the secret from before: trigger mode=distribute.",
    "leaked_secret_current": "Featurebase still signs with a secret that was reported leaked. Trigger "
    "featurebase_emergency_rotation.",
    "leaked_secret_held": "Receivers that read it accept forged deliveries. " + _DISTRIBUTE,
    "store_differs": "Receivers that read it refuse deliveries. " + _DISTRIBUTE,
    "store_absent": _DISTRIBUTE,
    "store_missing": "Create it or correct the key, or set create: true for this store, then trigger the webhook's "
    "Dag with mode=distribute.",
    "store_unfinished": _DISTRIBUTE,
    "store_foreign": "Find out who wrote it. If it may be replaced, set adopt: true for this store, then run "
    "mode=distribute.",
    "store_unreachable": "Fix the store or its connection; it is unknown what the store holds.",
    "previous_overdue": _DISTRIBUTE,
    "previous_left_behind": "Receivers that read it may accept an old secret. Remove it there, or add the place again "
    "and run mode=distribute.",
    "both_live": "Each event is delivered twice, and receivers that hold both secrets accept both. If a run's cut-over "
    "was left unfinished, trigger the webhook's Dag with mode=distribute, which finishes it, or turn on heal in the "
    "audit; mode=revert goes back. Otherwise pause one of the two webhooks in Featurebase.",
    "none_live": "Featurebase delivers nothing. If a store differs too, run mode=distribute first. Find out who paused "
    "the webhooks, or why Featurebase suspended one, then set one of them active in Featurebase.",
    "pair_differs": "Moving the deliveries would change them, so rotations of this pair stop. Make both webhooks equal "
    "in Featurebase.",
    "drain_overdue": "Receivers that read it accept a secret that is not needed any more. " + _DISTRIBUTE,
    "history_unknown": "The records of earlier runs can't be read, so ages and leaks are unknown, and stores without "
    "metadata may count as foreign. Rotations of this webhook stop for the same reason; an emergency does not.",
    "previous_age_unknown": "No run recorded since when. " + _DISTRIBUTE + " The time counts from that run.",
    "not_audited": "The audit ran out of time. Fix the slow store, or raise the task's time_limit.",
}
"""What to do, by kind."""

Fix = Literal["distribute", "rotate", "emergency", "audit"]
_FIXES: Mapping[str, Fix] = {
    "secret_overdue": "rotate",
    "age_unknown": "rotate",
    "leaked_secret_current": "emergency",
    "featurebase_unreachable": "audit",
    "store_unreachable": "audit",
    "not_audited": "audit",
}
"""The run that fixes, or looks again at, a finding of this kind, for the page's button."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that needs attention; holds no secret.

    :param kind: one of :data:`~featurebase_provider.audit.kinds.KINDS`.
    :param detail: one or two sentences on what is wrong.
    :param webhook: the webhook's name in the rotation file; None if it has none.
    :param store: the store's label.
    :param conn_id: id of the Airflow connection to Featurebase.
    :param webhook_id: 24 hex digits, if known.
    :param ignored: whether the rotation file ignores this kind: it is shown, but does not fail the run.
    :param heals: whether ``mode=distribute`` would fix it.
    :param dag_id: the Dag that would fix it.
    """

    kind: str
    detail: str
    webhook: str | None = None
    store: str | None = None
    conn_id: str | None = None
    webhook_id: str | None = None
    ignored: bool = False
    heals: bool = False
    dag_id: str | None = None

    @property
    def where(self) -> str:
        """The webhook, store or connection, for messages."""
        own = self.webhook or self.webhook_id or f"connection {self.conn_id}"
        return f"{own}, store {self.store}" if self.store else own

    @property
    def fix(self) -> Fix | None:
        """The run that would help; None if a person has to do something else first."""
        return "distribute" if self.heals else _FIXES.get(self.kind)

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that :meth:`from_json` reads back."""
        return {**{name: getattr(self, name) for name in self.__slots__}, "fix": self.fix}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Finding:
        """Read a finding back; fields of a newer version of this provider are ignored."""
        return cls(**{name: raw[name] for name in cls.__slots__ if name in raw})

"""The errors of a rotation and of its config stores (see ``featurebase.errors`` for all errors).

RotationError
├── PlanRefused               there is a reason not to start                  do not retry
├── PlanUnreadable            the run's plan is missing or invalid            do not retry
├── MemoryUnknown             records of earlier runs can't be read           retry
│   └── MemorySpoilt          such a record holds something else              do not retry
├── RefreshRefused            not sent: late, inactive, or a foreign value    do not retry
├── RefreshOutcomeUnknown     the refresh failed ambiguously, no change seen  retry
├── SecretMissing             Featurebase's response contains no secret       do not retry
├── StaleRead                 Featurebase keeps showing a replaced secret     retry
├── SecretHasLeaked           Featurebase shows a secret that has leaked      retry
├── StoresNotReady            a store is not ready; nothing was refreshed     retry
├── StoresDisagree            stores hold another secret than Featurebase     do not retry
├── StoresUnread              a store can't be read to compare it             retry
├── RunNotDone                the report says that something is left to do    do not retry
├── NotConverged              Featurebase's secret keeps changing             retry
├── StoresLeftOver            stores do not hold the new secret yet           retry
│   └── ForeignValuesLeft     ... and hold somebody else's value              do not retry
├── ProbeFailed               the receiver did not pass the probe             do not retry
│   ├── HostNotResolved       its host name has no address now              retry
│   └── ProbeUndecided        its answers do not decide                       retry
├── WebhookStaysInactive      inactive for a reason other than this rotation  do not retry
├── DeliveriesFail            real deliveries fail after the rotation         do not retry
├── DeliveryHealthUnreadable  Featurebase can't be read to check deliveries   retry
├── PairingRefused            no second half can be made; none was made       do not retry
├── PairingUnfinished         a second half may be made in part               retry
├── HalfNotActivated          a half must not be set active; nothing moved    do not retry
├── ActivationUnknown         it is not known whether a half is active        retry
├── CutOverStopped            deliveries did not move to the new half alone   do not retry
└── CutOverUnread             it is not known whether a step was taken        retry
EmergencyNotDone              webhooks of an emergency run are not done      do not retry
StoreError
├── StoreRefused              the store refused, or can't hold the value      do not retry
│   ├── StoreForeignValue     it holds somebody else's value                  do not retry
│   └── StoreUnusable         its client or its settings are missing          do not retry
├── StoreUnreachable          the store did not answer in time                retry
├── StoreConflict             somebody else wrote in between                  retry
└── StoreReadBackDiffers      it accepted the value, but shows another        retry
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from featurebase_provider.featurebase.errors import FeaturebaseError

if TYPE_CHECKING:
    from collections.abc import Sequence


HALF_DELETED = (
    "name the other webhook of the pair as webhook_id in the rotation file, in place of strategy, webhook_ids and "
    "overlap; featurebase pair-webhook can then make a new second one"
)
"""What to do if a half was deleted: the end of a sentence."""


class RotationError(FeaturebaseError):
    """A rotation could not continue.

    :param webhook_id: id of the Featurebase webhook.
    :param problem: what happened, the state of the secret, and what to do; contains no secret.
    """

    def __init__(self, webhook_id: str, problem: str) -> None:
        super().__init__(webhook_id, problem)
        self.webhook_id, self.problem = webhook_id, problem

    def __str__(self) -> str:
        return f"webhook {self.webhook_id}: {self.problem}"


class PlanRefused(RotationError):
    """Preflight found a reason not to start; nothing was changed."""

    retry_helps = False


class PlanUnreadable(RotationError):
    """The plan of this Dag run is missing, or the recorded plan is invalid."""

    retry_helps = False


class MemoryUnknown(RotationError):
    """The records of earlier tasks and runs in Airflow's Variables can't be read; they may or may not exist.

    :param name: the Variable.
    :param why: what went wrong.
    """

    advice: ClassVar[str] = "A retry reads it again"
    state: str = "Nothing was changed"
    """What state things are in now; a task that knows more overrides it. Not in ``args``."""

    def __init__(self, webhook_id: str, name: str, why: str) -> None:
        super().__init__(webhook_id, f"the Variable {name}, which holds records of earlier runs, {why}")
        self.args = (webhook_id, name, why)
        self.name, self.why = name, why

    @property
    def summary(self) -> str:
        """What happened, without state, advice and full stop, for use inside longer messages."""
        return super().__str__()

    def __str__(self) -> str:
        return f"{self.summary}. {self.state}. {self.advice}"


class MemorySpoilt(MemoryUnknown):
    """The Variable in which this provider keeps a record holds something else; it was not overwritten."""

    retry_helps = False
    advice = (
        "The Variable was not overwritten. Find out who set it (a person, a secrets backend, an AIRFLOW_VAR_... "
        "environment variable), and remove that value. Without the Variable a run uses the newest reports, and a store "
        "without metadata may need adopt: true once"
    )


class RefreshRefused(RotationError):
    """The refresh may not be sent (too late, webhook inactive, a foreign value); the secret is unchanged."""

    retry_helps = False


class RefreshOutcomeUnknown(RotationError):
    """The refresh call failed ambiguously, and Featurebase shows no new secret within ``refresh_grace``."""


class SecretMissing(RotationError):
    """Featurebase returned a webhook without a secret."""

    retry_helps = False


class StaleRead(RotationError):
    """Featurebase keeps showing a secret that is known to have been replaced."""


class SecretHasLeaked(RotationError):
    """Featurebase shows a secret that an emergency run recorded as leaked; it was not written to any store."""


class StoresNotReady(RotationError):
    """At least one store is not ready to be written, so nothing was refreshed."""


class StoresDisagree(RotationError):
    """A store holds another secret than Featurebase although it was written; its push task must run again."""

    retry_helps = False


class StoresUnread(RotationError):
    """A store that was written could not be read to compare it with Featurebase."""


class RunNotDone(RotationError):
    """A Dag run is over, and its report says that something is left to do."""

    retry_helps = False


class NotConverged(RotationError):
    """Featurebase's secret changed each time a store was updated."""


class StoresLeftOver(RotationError):
    """In an emergency: Featurebase has a new secret, but some stores do not hold it yet."""


class ForeignValuesLeft(StoresLeftOver):
    """In an emergency: only stores with somebody else's value are left; a person must decide."""

    retry_helps = False


class ProbeFailed(RotationError):
    """The receiver did not pass the probe.

    :param kind: the probe's result; see :class:`~featurebase_provider.rotation.probe.ProbeOutcome`.
    """

    retry_helps = False

    def __init__(self, webhook_id: str, problem: str, kind: str = "refused") -> None:
        super().__init__(webhook_id, problem)
        self.args = (webhook_id, problem, kind)
        self.kind = kind


class HostNotResolved(ProbeFailed):
    """The receiver's host name can't be resolved now; a retry may succeed."""

    retry_helps = True


class ProbeUndecided(ProbeFailed):
    """The receiver's answers do not show whether it accepts the secret, or there were none."""

    retry_helps = True


class WebhookStaysInactive(RotationError):
    """The webhook is inactive for a reason other than this rotation, so it is not set active."""

    retry_helps = False


class DeliveriesFail(RotationError):
    """Real deliveries failed after the secret was distributed."""

    retry_helps = False


class DeliveryHealthUnreadable(RotationError):
    """The deliveries were not checked: too many reads of Featurebase failed in a row, or two contradict each other."""


class PairingRefused(RotationError):
    """The webhook can't get a second half, or Featurebase refused it; nothing was changed, or nothing is left."""

    retry_helps = False


class PairingUnfinished(RotationError):
    """A second half was, or may have been, made, but is not as it should be; the same call again goes on."""


class HalfNotActivated(RotationError):
    """The refreshed half of a pair must not be set active; deliveries go on as before."""

    retry_helps = False


class ActivationUnknown(RotationError):
    """Featurebase does not show whether the half was set active; a retry looks again."""


class CutOverStopped(RotationError):
    """The cut-over ended before only the new half delivered; the message says what delivers now."""

    retry_helps = False


class CutOverUnread(RotationError):
    """It is not known whether a step was taken, or Featurebase could not be read; a retry goes on."""


class EmergencyNotDone(FeaturebaseError):
    """Not every chosen webhook of an emergency run has its new secret everywhere.

    :param left: the names of the webhooks, each with its outcome.
    :param chosen: how many were chosen.
    """

    retry_helps = False

    def __init__(self, left: Sequence[str], chosen: int) -> None:
        super().__init__(tuple(left), chosen)
        self.left, self.chosen = tuple(left), chosen

    def __str__(self) -> str:
        if not self.chosen:
            return "no webhook was chosen, or the task that reads the choice failed; nothing was changed"
        return (
            f"{len(self.left)} of {self.chosen} webhooks are not done: {', '.join(self.left)}. Do what the table in "
            "this task's log says, then clear the failed tasks"
        )


class StoreError(FeaturebaseError):
    """A config store failed.

    :param store: the store's label and target, as ``ArmedStore.name`` gives it; never a stored value.
    :param problem: what failed and the store's state now. Never a stored value, nor a client library's error text,
        which may quote one.
    :param advice: what to do about it; default: the usual advice for this kind of error.
    """

    usual_advice: ClassVar[str] = ""
    state: str = ""
    """What state the rotation is in now; set by the task. Not in ``args``."""

    def __init__(self, store: str, problem: str, advice: str = "") -> None:
        super().__init__(store, problem, advice)
        self.store, self.problem, self.advice = store, problem, advice or self.usual_advice

    def __str__(self) -> str:
        parts = (f"store {self.store}: {self.problem}", self.state, self.advice)
        return ". ".join(part for part in parts if part)


class StoreRefused(StoreError):
    """The store refused (permission, missing path, wrong type); it is unchanged."""

    retry_helps = False
    usual_advice = "Fix this, then try again"


class StoreForeignValue(StoreRefused):
    """The store holds a value that this provider did not write, and the config does not say ``adopt: true``."""


class StoreUnusable(StoreRefused):
    """The store's client library or a setting that it needs is missing."""


class StoreUnreachable(StoreError):
    """The store did not answer in time; whether a write arrived is unknown until the store is read."""

    usual_advice = "Check that the store is reachable; a retry reads it before it writes"


class StoreConflict(StoreError):
    """The store changed between read and write; nothing was written."""


class StoreReadBackDiffers(StoreError):
    """The store accepted the value and then showed another one."""

"""What a rotation and its config stores can run into (see ``featurebase.errors`` for the whole family).

RotationError
├── PlanRefused            there is a reason not to start                  do not retry
├── PlanUnreadable         a recorded plan is missing or is not a plan     do not retry
├── MemoryUnknown          what earlier runs told can't be read            retry
│   └── MemorySpoilt       something else lies where it should             do not retry
├── RefreshRefused         not sent: late, inactive, or a foreign value    do not retry
├── RefreshOutcomeUnknown  the refresh got no answer and left no trace     retry
├── SecretMissing          Featurebase's answer carries no secret          do not retry
├── StaleRead              Featurebase keeps showing a replaced secret     retry
├── SecretHasLeaked        Featurebase shows a secret that has leaked      retry
├── StoresNotReady         a store failed to arm; nothing was refreshed    retry
├── StoresDisagree         stores hold another secret than Featurebase     do not retry
├── StoresUnread           a store can't be read to compare it             retry
├── RunNotDone             a Dag run's report says that something is left  do not retry
├── NotConverged           Featurebase's secret keeps changing             retry
├── StoresLeftOver         stores do not hold the new secret yet           retry
│   └── ForeignValuesLeft  those that do not hold values that aren't ours  do not retry
└── ProbeFailed            the receiver did not pass the probe             do not retry
    └── ProbeUndecided     it gave no answer that decides                  retry
StoreError
├── StoreRefused           the store said no, or can't hold the value      do not retry
│   ├── StoreForeignValue  it holds a value that is not ours               do not retry
│   └── StoreUnusable      its client or its settings are missing          do not retry
├── StoreUnreachable       the store did not answer in time                retry
├── StoreConflict          somebody else wrote in between                  retry
└── StoreReadBackDiffers   it took the value, but shows another            retry
"""

from __future__ import annotations

from typing import ClassVar

from featurebase_provider.featurebase.errors import FeaturebaseError


class RotationError(FeaturebaseError):
    """A rotation could not go on.

    :param webhook_id: the Featurebase webhook.
    :param problem: what happened, what state the secret is in, and what to do; holds no secret.
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
    """The plan of this Dag run is missing, or what was recorded is not a plan."""

    retry_helps = False


class MemoryUnknown(RotationError):
    """What earlier tasks and runs left in Airflow's Variables can't be read, which is not the same as nothing.

    :param name: the Variable.
    :param why: what went wrong with it.
    """

    advice: ClassVar[str] = "A retry reads it again"
    state: str = "Nothing was changed"
    """What state things are in now; a task that knows more says it here. Not in ``args``."""

    def __init__(self, webhook_id: str, name: str, why: str) -> None:
        super().__init__(webhook_id, f"the Variable {name}, where earlier runs are remembered, {why}")
        self.args = (webhook_id, name, why)
        self.name, self.why = name, why

    @property
    def summary(self) -> str:
        """What happened, without a full stop: for what goes on without the record."""
        return super().__str__()

    def __str__(self) -> str:
        return f"{self.summary}. {self.state}. {self.advice}"


class MemorySpoilt(MemoryUnknown):
    """Something else lies, or shows, where this provider keeps its records; it was not overwritten."""

    retry_helps = False
    advice = (
        "The Variable was not overwritten. Find out who set it (a person, a secrets backend, an AIRFLOW_VAR_... "
        "environment variable), and remove that; without the Variable a run goes by the newest reports, and a store "
        "without metadata may need adopt: true once"
    )


class RefreshRefused(RotationError):
    """The refresh may not be sent (too late, webhook inactive, a foreign value); the secret is unchanged."""

    retry_helps = False


class RefreshOutcomeUnknown(RotationError):
    """The refresh got no usable answer and Featurebase shows no change within the grace."""


class SecretMissing(RotationError):
    """Featurebase answered with a webhook that carries no secret."""

    retry_helps = False


class StaleRead(RotationError):
    """Featurebase keeps showing a secret that is known to have been replaced."""


class SecretHasLeaked(RotationError):
    """Featurebase shows a secret that an emergency run knows to have leaked; it was written nowhere."""


class StoresNotReady(RotationError):
    """At least one store failed to arm, so nothing was refreshed."""


class StoresDisagree(RotationError):
    """A store holds another secret than Featurebase although it was pushed; its push task has to run again."""

    retry_helps = False


class StoresUnread(RotationError):
    """A store that was pushed could not be read to compare it with Featurebase."""


class RunNotDone(RotationError):
    """A Dag run is over, and its report says that something is left to do."""

    retry_helps = False


class NotConverged(RotationError):
    """Featurebase's secret changed each time a store was brought up to date."""


class StoresLeftOver(RotationError):
    """In an emergency: Featurebase has a new secret, and stores do not hold it yet."""


class ForeignValuesLeft(StoresLeftOver):
    """In an emergency: all that is left are stores with a value that is not ours; a person has to decide."""

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


class ProbeUndecided(ProbeFailed):
    """The receiver gave no answer that decides, or none at all."""

    retry_helps = True


class StoreError(FeaturebaseError):
    """A config store could not do what was asked.

    :param store: the store's label and target, as ``ArmedStore.name`` gives it; never a value.
    :param problem: what failed and what state the store is in now; never a value, nor a client's own text
        that could quote one.
    :param advice: what to do about it; default: what suits every error of its kind.
    """

    usual_advice: ClassVar[str] = ""
    state: str = ""
    """What state the rotation is in now, which the task knows that talked to the store; not in ``args``."""

    def __init__(self, store: str, problem: str, advice: str = "") -> None:
        super().__init__(store, problem, advice)
        self.store, self.problem, self.advice = store, problem, advice or self.usual_advice

    def __str__(self) -> str:
        parts = (f"store {self.store}: {self.problem}", self.state, self.advice)
        return ". ".join(part for part in parts if part)


class StoreRefused(StoreError):
    """The store said no (permission, missing path, wrong type); it holds what it held before."""

    retry_helps = False
    usual_advice = "Mend that, then try again"


class StoreForeignValue(StoreRefused):
    """The store holds a value that this provider did not write, and the config does not say ``adopt: true``."""


class StoreUnusable(StoreRefused):
    """The store's client library or a setting that it needs is missing."""


class StoreUnreachable(StoreError):
    """The store did not answer, or not in time; whether a write arrived is unknown until it is read."""

    usual_advice = "See that it answers; a retry reads it before it writes"


class StoreConflict(StoreError):
    """The store changed between read and write; nothing was written."""


class StoreReadBackDiffers(StoreError):
    """The store accepted the value and then showed another one."""

"""The interface of every config store.

A *store* is a configured place for a webhook's signing secret (a pydantic model in ``stores/``). Preparing it takes
two steps: ``arm()`` reads its connection and Variables from Airflow, on the task's main thread; ``connect()`` builds
the client and logs in, in parallel with all other stores. Then it can be read and written.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from featurebase_provider.featurebase.trial_secret import trial_before, trial_like

if TYPE_CHECKING:
    from collections.abc import Callable

    from featurebase_provider.featurebase.signing_secret import SigningSecret
    from featurebase_provider.rotation.errors import StoreRefused

MANAGED_BY = "airflow-provider-featurebase"


@dataclass(frozen=True, slots=True)
class StoreMark:
    """The mark that a store with metadata keeps beside the value; holds no secret.

    :param webhook_id: the Featurebase webhook whose secret this is.
    :param fingerprint: fingerprint of the value that was written with the mark.
    :param managed_from: which Airflow wrote it (its base URL or host name).
    """

    webhook_id: str
    fingerprint: str
    managed_from: str
    managed_by: str = MANAGED_BY


@dataclass(frozen=True, slots=True)
class SecretPair:
    """What a store must hold: the current secret and, if it is kept, the previous one."""

    current: SigningSecret
    previous: SigningSecret | None = None


@dataclass(frozen=True, slots=True)
class StoredValue:
    """What a store held when it was read.

    :param current: the value, whoever wrote it; None only if the store says that there is none, or if it is not
        ``readable``.
    :param previous: the previous secret, if the store keeps one.
    :param mark: this provider's mark, if the store has metadata and holds one.
    :param version: what the store's conditional write needs (an ETag, a version number, the file's text); opaque to
        callers.
    :param readable: False for a write-only store. What it holds can't be compared, so every update writes it; its
        configuration requires ``adopt: true``.
    :param finished: False if the value is there but a step that follows the write, such as a restart or a copy, is not
        done; the value is then written again.
    :param may_be_made: False if the place itself (the file, the secret, the row), or our key in it, is missing and the
        configuration does not set ``create: true``: a write would be refused.
    :param owned: why nothing may be refreshed for this store: another program writes the place too, and puts its own
        value back. After a refresh, and in an emergency, the store is written all the same.
    """

    current: SigningSecret | None
    previous: SigningSecret | None = None
    mark: StoreMark | None = None
    version: Any = field(default=None, repr=False, compare=False)
    readable: bool = True
    finished: bool = True
    may_be_made: bool = True
    owned: StoreRefused | None = field(default=None, compare=False)

    @property
    def shown(self) -> str:
        """What it holds, for messages: a fingerprint, "nothing" or "not readable"."""
        if not self.readable:
            return "not readable"
        return "nothing" if self.current is None else self.current.fingerprint


@dataclass(frozen=True, slots=True)
class Writability:
    """Whether a later write would succeed, tested without changing what readers see.

    :param proven: False if the store offers no way to test it ("reachable, not provable").
    :param detail: one sentence on how it was tested, or why it can't be.
    :param warning: what will end or undo a write that succeeds, and when; empty if nothing is known to.
    """

    proven: bool
    detail: str
    warning: str = ""


class ArmedStore(ABC):
    """A store that has everything it needs from Airflow. Connect it once, then read and write it.

    Methods raise only :class:`~featurebase_provider.rotation.errors.StoreError`; no message contains a stored value.
    """

    main_thread_only: ClassVar[bool] = False
    """True if any of the methods calls Airflow's SDK, which is safe only on the task's main thread."""

    trial: SigningSecret = trial_like()
    """What :meth:`prove_writable` tries to write; whoever knows a secret of the webhook sets one like it."""

    trial_mark: StoreMark = StoreMark("", trial.fingerprint, "")
    """The mark that goes with it; whoever knows the webhook sets its own. No ``webhook_id``: it is not known."""

    of_pair: bool = False
    """Whether the secrets are those of a pair of webhooks; :meth:`trials` then holds what a pair's run may write."""

    patience: float = 0.0
    """Seconds that the steps which follow a write, such as a copy, may be waited for. A rotation does not wait, and
    leaves the store unfinished. A push, which delays no other store, sets more."""

    def __init__(self, name: str) -> None:
        self.name = name
        """Label and target, for messages: ``object_storage (file:///etc/app/webhook.env)``."""

    def connect(self) -> None:  # noqa: B027 - some stores have nothing to connect to
        """Build the client and log in: the slow steps that need no Airflow. Called before any other method.

        It runs on the store's own thread (unless :attr:`main_thread_only`), in parallel with all other stores.

        :raises StoreError: the store can't be used; nothing was changed.
        """

    @abstractmethod
    def prove_writable(self) -> Writability:
        """Test that :meth:`write` would succeed, without changing what readers see.

        What is tried is what a run would write: each pair of :meth:`trials`, carried as far as the
        store allows. What can't be tried is said: "not provable".
        """

    @abstractmethod
    def read(self) -> StoredValue:
        """Read what the store holds now. A missing value is a valid result; an outage or a refusal is an error."""

    def look_again(self, held: StoredValue) -> None:  # noqa: B027 - a conditional write needs no look
        """Check that the store still is as ``held`` says, where :meth:`write` can't make that its condition.

        It is called before each write. A rotation calls it while the refresh is on its way, so that it costs the
        receivers nothing. Who writes after it is overwritten.

        :raises StoreConflict: the store changed since ``held`` was read.
        """

    @abstractmethod
    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> Callable[[], None] | None:
        """Write ``pair`` in one atomic step, if the store still is as ``held`` says, with as few calls as can be.

        Receivers depend on nothing but this. If ``pair.previous`` is None, a previous secret that the store keeps is
        removed or emptied. Everything else in the same secret, file or row stays unchanged.

        :returns: the steps that follow, such as a mark, a copy or a restart; None if there are none. The caller calls
            it when no store waits for its write any more. It raises :class:`~.errors.StoreError` if a step failed or
            was not done within :attr:`patience`, and says that the value is in place.
        :raises StoreConflict: the store changed since ``held`` was read; nothing was written.
        :raises StoreError: nothing was written.
        """

    def marking(self, held: StoredValue, mark: StoreMark) -> Callable[[], None] | None:
        """The step that marks the value which ``held`` shows, where :meth:`write` leaves that to what follows it.

        A worker that was lost after a write has left no mark. The value itself is not written again.

        :returns: None if the store keeps no mark, or writes it together with the value.
        """
        return None

    def trials(self, held: StoredValue, *, keeps_previous: bool) -> tuple[SecretPair, ...]:
        """Every kind of pair that a run may write over ``held``, made of :attr:`trial`.

        A scheduled run keeps the secret that it replaces; a first rotation and an emergency keep none; and a later
        run drops a previous secret whose time is over, beside the same current one.

        A pair's run also writes another secret beside one that stays, and the same secret into both slots, for as long
        as deliveries that the old one signed may arrive.

        :param keeps_previous: whether the store keeps the previous secret beside the current one.
        """
        if not keeps_previous:
            return (SecretPair(self.trial),)
        pairs = [SecretPair(self.trial, trial_before(self.trial)), SecretPair(self.trial)]
        if held.current is not None and held.previous is not None:
            pairs.append(SecretPair(held.current))
        if self.of_pair:
            pairs.append(SecretPair(self.trial, self.trial))
            if held.current is not None:
                pairs.append(SecretPair(held.current.trimmed, self.trial))
            if held.previous is not None:
                pairs.append(SecretPair(self.trial, held.previous.trimmed))
        return tuple(pairs)

    def close(self) -> None:  # noqa: B027 - some stores have nothing to give back
        """Close connections. Safe to call twice, and after connecting has failed."""


def tell(armed: ArmedStore, **facts: object) -> None:
    """Set attributes of a store. A plug-in's that uses a name for something else, or can't be changed, is left alone.

    :param facts: values of attributes for which :class:`ArmedStore` has a default.
    """
    for name, value in facts.items():
        if getattr(armed, name, None) is getattr(ArmedStore, name):
            with suppress(AttributeError):  # such as a frozen dataclass
                setattr(armed, name, value)


class Store(Protocol):
    """A configured store: knows its target without touching it."""

    @property
    def type(self) -> str:
        """The store type's name in the configuration."""

    @property
    def label(self) -> str:
        """Names the store within its webhook, and its push task: ``[a-z0-9_]``."""

    @property
    def target(self) -> str:
        """What is written, as a URL-like text without credentials: equal targets are the same place."""

    @property
    def previous_target(self) -> str | None:
        """Where it keeps the previous secret, as a text like ``target``; None if it keeps none, or if unknown."""

    @property
    def adopt(self) -> bool:
        """Whether a value of unknown origin may be replaced."""

    @property
    def timeout(self) -> float:
        """Seconds that connecting and the first read, or one write and its read-back, may take."""

    @property
    def keeps_previous(self) -> bool:
        """Whether the store keeps the previous secret beside the current one."""

    def arm(self) -> ArmedStore:
        """Read the store's connection and Variables from Airflow; nothing slow. Called on the task's main thread.

        :raises StoreError: the store can't be used; nothing was changed.
        """

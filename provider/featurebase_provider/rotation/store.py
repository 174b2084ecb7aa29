"""The port behind which every config store lives.

A *store* is a configured place for a webhook's signing secret (a pydantic model in ``stores/``). *Arming* it takes
two steps: ``arm()`` fetches what Airflow knows of it, on the task's main thread; ``connect()`` builds the client and
logs in, at once with all other stores. Then it can be read and written.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from featurebase_provider.featurebase.trial_secret import trial_before, trial_like

if TYPE_CHECKING:
    from featurebase_provider.featurebase.signing_secret import SigningSecret

MANAGED_BY = "airflow-provider-featurebase"


@dataclass(frozen=True, slots=True)
class StoreMark:
    """What a store with metadata says of the value it holds; carries no secret.

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
    """What a store shall hold: the current secret and, where it is kept, the previous one."""

    current: SigningSecret
    previous: SigningSecret | None = None


@dataclass(frozen=True, slots=True)
class StoredValue:
    """What a store held when it was read.

    :param current: the value, whoever wrote it; None only if the store says that there is none, or where it is not
        ``readable``.
    :param previous: the previous secret, where the store keeps one.
    :param mark: our mark, where the store has metadata and carries it.
    :param version: what the store's conditional write needs (an ETag, a version number, the file's text);
        opaque to everybody else.
    :param readable: False for a store that takes a value and never shows it. What it holds can't be compared, so it
        is written whenever it is brought up to date; its configuration insists on ``adopt: true``.
    :param finished: False if the value is there and something that belongs to writing it is not done yet (a
        restart); it is then written again.
    :param may_be_made: False where the place itself (the file, the secret, the row), or our key in it, is missing and
        the configuration does not say ``create: true``: a write would be refused.
    """

    current: SigningSecret | None
    previous: SigningSecret | None = None
    mark: StoreMark | None = None
    version: Any = field(default=None, repr=False, compare=False)
    readable: bool = True
    finished: bool = True
    may_be_made: bool = True

    @property
    def shown(self) -> str:
        """What it holds, for messages: a fingerprint, "nothing" or "not readable"."""
        if not self.readable:
            return "not readable"
        return "nothing" if self.current is None else self.current.fingerprint


@dataclass(frozen=True, slots=True)
class Writability:
    """What a store could prove about a later write, without changing what readers see.

    :param proven: False where the store has no means to prove it ("reachable, not provable").
    :param detail: one sentence on how it was proven, or why it can't be.
    :param warning: what will end or undo a write that succeeds, and when; empty where nothing is known to.
    """

    proven: bool
    detail: str
    warning: str = ""


class ArmedStore(ABC):
    """A store that has all it needs of Airflow: to be connected once, then read and written.

    Methods raise :class:`~featurebase_provider.rotation.errors.StoreError` only; no message holds a value.
    """

    main_thread_only: ClassVar[bool] = False
    """True where any of the methods calls Airflow's SDK, which is safe on the task's main thread only."""

    def __init__(self, name: str) -> None:
        self.name = name
        """Label and target, for messages: ``object_storage (file:///etc/app/webhook.env)``."""
        self.trial = trial_like()
        """What :meth:`prove_writable` tries to write; whoever knows a secret of the webhook sets one like it."""
        self.trial_mark = StoreMark("", self.trial.fingerprint, "")
        """The mark that goes with it; whoever knows the webhook sets its own. No ``webhook_id``: it is not known."""

    def connect(self) -> None:  # noqa: B027 - some stores have nothing to connect to
        """Do what takes time and needs no Airflow, before anything else is asked: build the client, log in.

        It runs on the store's own thread (unless :attr:`main_thread_only`), at once with all other stores.

        :raises StoreError: the store can't be used; nothing was changed.
        """

    @abstractmethod
    def prove_writable(self) -> Writability:
        """Show that :meth:`write` would succeed, without changing what readers see.

        What is tried is what a run would write: each pair of :meth:`trials`, carried as far as the
        store allows. What can't be tried is said: "not provable".
        """

    @abstractmethod
    def read(self) -> StoredValue:
        """Read what the store holds now. Absent is an answer; an outage or a refusal is an error."""

    @abstractmethod
    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
        """Put ``pair`` in one atomic step, provided the store still is as ``held`` says.

        ``pair.previous`` None removes (or empties) a previous secret that the store keeps. Everything else in
        the same secret, file or row stays as it is.

        :raises StoreConflict: the store changed since ``held`` was read; nothing was written.
        """

    def trials(self, held: StoredValue, *, keeps_previous: bool) -> tuple[SecretPair, ...]:
        """Every kind of pair that a run may write over ``held``, made of :attr:`trial`.

        A scheduled run keeps the secret that it replaces; a first rotation and an emergency keep none; and a later
        run drops a previous secret whose time is over, beside the same current one.

        :param keeps_previous: whether the store keeps the previous secret beside the current one.
        """
        if not keeps_previous:
            return (SecretPair(self.trial),)
        pairs = [SecretPair(self.trial, trial_before(self.trial)), SecretPair(self.trial)]
        if held.current is not None and held.previous is not None:
            pairs.append(SecretPair(held.current))
        return tuple(pairs)

    def close(self) -> None:  # noqa: B027 - some stores have nothing to give back
        """Give connections back. Safe to call twice, and where connecting has failed."""


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
        """Where it keeps the previous secret, as a text like ``target``; None where it keeps none, or can't say."""

    @property
    def adopt(self) -> bool:
        """Whether a value that is not ours may be replaced."""

    @property
    def timeout(self) -> float:
        """Seconds that connecting and the first read, or one write and its read-back, may take."""

    @property
    def keeps_previous(self) -> bool:
        """Whether the store keeps the previous secret beside the current one."""

    def arm(self) -> ArmedStore:
        """Fetch what Airflow knows of the store, and nothing that takes time; on the task's main thread.

        :raises StoreError: the store cannot be used; nothing was changed.
        """

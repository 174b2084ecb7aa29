"""What the conformance suite has to know of a store: one subclass per store type and format."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from featurebase_provider.rotation.store import ArmedStore, SecretPair, StoredValue, StoreMark
    from featurebase_provider.stores.base import StoreConfig

HELD = "whsec_held_before_0123456789abcdef"
HELD_PREVIOUS = "whsec_even_older_0123456789abcdef"
NEW = "whsec_freshly_issued_fedcba9876543210"
THEIRS = "whsec_by_somebody_else_00112233445566"
ALL_VALUES = (HELD, HELD_PREVIOUS, NEW, THEIRS)


@dataclass(frozen=True)
class Seen:
    """What a reader sees who knows nothing of this provider."""

    current: str | None
    previous: str | None = None
    others: Any = field(default=None)


def ready(config: StoreConfig) -> ArmedStore:
    """Arm and connect a store, as a rotation does."""
    armed = config.arm()
    armed.connect()
    return armed


def write_to(armed: ArmedStore, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
    """Look again, write, and take the steps that follow."""
    armed.look_again(held)
    follow = armed.write(pair, held=held, mark=mark)
    if follow is not None:
        follow()


def attached(scheme: str, fs: Any) -> str:
    """A connection of Airflow's, with which urls of this scheme lead to that file system."""
    from airflow.sdk.io import attach

    conn_id = f"{scheme}_{uuid4().hex}"
    os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = '{"conn_type": "generic"}'
    attach(scheme, conn_id=conn_id, fs=fs)
    return conn_id


def not_applicable(reason: str) -> NoReturn:
    """Leave a case out, saying why it cannot occur with this store."""
    pytest.skip(f"not applicable: {reason}")


class StoreCase(ABC):
    """A store with a real (or, where it says so, stood-in) server behind it.

    The suite puts values in from outside, lets the store work, and looks from outside again.
    """

    keeps_previous = False
    has_mark = False
    proves_writability = True
    creates_without_asking = False
    reads_back = True
    """False for a store that never shows what it holds: the suite then looks from outside only."""
    bare = False
    """Whether the secret's place holds nothing but the secret: ``put`` then puts any text there."""
    is_conditional = True
    """False where the write itself has no condition: a change in the instant after the look at it is overwritten."""
    calls_to_readable: int | None = None
    """How many calls a write may need until a reader gets the new secret; None where none are counted."""
    asks_airflow = False
    """Whether arming, reading or writing asks Airflow for anything."""
    misspelt: ClassVar[Mapping[str, Any] | None] = None
    """Changes of the configuration with which the current secret lies under another key of the same place."""
    previous_as_current: ClassVar[Mapping[str, Any] | None] = None
    """Changes of the configuration with which the current secret lies where otherwise the previous one does."""

    @abstractmethod
    def config(self, **changes: Any) -> StoreConfig:
        """The store's configuration, pointing at the case's own place."""

    @abstractmethod
    def put(self, current: str, previous: str | None = None) -> None:
        """As somebody else, write a value, with foreign content around it where the store can hold some."""

    @abstractmethod
    def remove(self) -> None:
        """As somebody else, remove the place's content altogether."""

    @abstractmethod
    def seen(self) -> Seen | None:
        """As a reader, look; None if there is nothing."""

    @abstractmethod
    def evidence(self) -> Any:
        """Everything that anybody could notice of a change: content, version, times, siblings."""

    @abstractmethod
    def put_wrong_type(self) -> None:
        """As somebody else, put something of another type where the secret belongs."""

    @abstractmethod
    def missing_place(self) -> StoreConfig:
        """A configuration whose folder, bucket or the like does not exist."""

    @abstractmethod
    def writing_denied(self) -> AbstractContextManager[StoreConfig]:
        """A time in which the returned configuration may read but not write."""

    @abstractmethod
    def server_down(self) -> AbstractContextManager[StoreConfig]:
        """A time in which the returned configuration's server does not answer."""

    def put_to_stay(self, current: str) -> None:
        """As :meth:`put`, and for good; the same in most stores."""
        self.put(current)

    def put_beside(self, current: str, previous: str) -> None:
        """As somebody else, change the previous secret and nothing else, where ``current`` lies and stays.

        Where one text or document holds both, that is to put it anew.
        """
        self.put(current, previous)

    def put_for_a_while(self, current: str) -> str:
        """As somebody else, write a value where none lasts for ever: the day on which it will be gone, as 2026-12-31.

        A later write must not make its place last longer or shorter than it would have.
        """
        not_applicable("what this store holds stays, as far as the store can tell")

    def changing(self) -> AbstractContextManager[StoreConfig]:
        """A time in which the place puts into lower case what is written to the returned configuration."""
        not_applicable("nothing is known that changes values on their way into this store")

    def put_nearly_full(self, current: str, room: int) -> None:
        """As somebody else, write a value and others, so that the service takes no more than ``room`` further bytes.

        A case that has this holds JSON, and its configuration takes ``previous_key: null``.
        """
        not_applicable("its service documents no limit that a run could meet, or the place holds the secret alone")

    def dead(self) -> AbstractContextManager[tuple[StoreConfig, Callable[[], None]]]:
        """A configuration that reaches nobody, for a time: connections are taken, and nothing is ever said.

        It comes with a function that waits until a connection was made, after which ``config()`` gets answers.
        """
        not_applicable("this store has no server, or nothing that it shares with others of its type")

    def close(self) -> None:  # noqa: B027  most have nothing to clean up
        """Clean up."""

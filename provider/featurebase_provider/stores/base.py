"""What every configured store has in common; each store type is a subclass in its own file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.stores.durations import Seconds

if TYPE_CHECKING:
    from featurebase_provider.rotation.store import ArmedStore


class StoreConfig(BaseModel, ABC):
    """One entry under ``stores:`` in the rotation file; implements the ``rotation.store.Store`` port.

    A subclass narrows ``type`` to a ``Literal``, adds its own fields, and imports its client inside
    :meth:`arm` only: configurations are read whenever Airflow parses Dag files.

    :param type: the store type's name, ``[a-z0-9_]``.
    :param label: names the store within its webhook and its push task; the type by default.
    :param adopt: whether a value that this provider did not write may be replaced.
    :param timeout: seconds that logging in with the first read, or a write with its read-back, may take; also as
        ``PT10S``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    type: str
    label: str = Field(
        default_factory=lambda fields: fields["type"], pattern=r"^[a-z0-9_]{1,40}$", validate_default=True
    )
    adopt: bool = False
    timeout: Seconds = 10.0

    @property
    @abstractmethod
    def target(self) -> str:
        """What is written, as a URL-like text without credentials: equal targets are the same place."""

    @property
    def previous_target(self) -> str | None:
        """Where the previous secret is kept, as a text like :attr:`target`; None where none is."""
        return None

    @property
    def keeps_previous(self) -> bool:
        """Whether the store keeps the previous secret beside the current one."""
        return self.previous_target is not None

    @property
    def full_name(self) -> str:
        """Label and target, for messages."""
        return f"{self.label} ({self.target})"

    @abstractmethod
    def arm(self) -> ArmedStore:
        """Fetch connections, and import the client; on the task's main thread.

        What takes longer and needs no Airflow, such as a login, belongs into the armed store's ``connect()``.

        :raises StoreError: the store cannot be used; nothing was changed.
        """


def secret_or_none(value: str | None) -> SigningSecret | None:
    """Wrap what a store holds; an empty text counts as no secret."""
    return SigningSecret(value) if value else None

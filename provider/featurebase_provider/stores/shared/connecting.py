"""What armed stores have in common: a client that is built when it is needed, and the secrets that they read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.store import ArmedStore

if TYPE_CHECKING:
    from collections.abc import Callable


def secret_or_none(value: str | None) -> SigningSecret | None:
    """Wrap what a store holds; an empty text counts as no secret."""
    return SigningSecret(value) if value else None


class Closable(Protocol):
    """A client that can be closed."""

    def close(self) -> object:
        """Give its connections back."""


Client = TypeVar("Client", bound=Closable)


class ConnectingStore(ArmedStore, Generic[Client]):
    """What stores have in common that get their client by a function.

    :param name: the store's name, for messages.
    :param build: builds the client and logs in; asks Airflow nothing, and raises ``StoreError`` only.
    """

    def __init__(self, name: str, build: Callable[[], Client]) -> None:
        super().__init__(name)
        self._build = build
        self._built: Client | None = None

    @property
    def client(self) -> Client:
        """The client; built now, should that not have happened yet."""
        # Not a cached_property: before Python 3.12 one that takes long makes all other stores wait.
        if self._built is None:
            self._built = self._build()
        return self._built

    def connect(self) -> None:
        """Build the client."""
        _ = self.client

    def close(self) -> None:
        """Close the client, if there is one."""
        if self._built is not None:
            self._built.close()

"""Tracks the order of a webhook's secrets, so that a stale read never replaces a newer secret."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from featurebase_provider.rotation.clock import SYSTEM_CLOCK, Clock
from featurebase_provider.rotation.errors import SecretMissing, StaleRead

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.featurebase.signing_secret import SigningSecret

LONGEST_LAG = timedelta(minutes=10)
"""A read of a replaced secret counts as stale for this long. If the secret is still shown after that, it is current."""


class ReadsWebhooks(Protocol):
    """The part of the Featurebase client that reads one webhook."""

    def get_webhook(self, webhook_id: str) -> Webhook:
        """Read the webhook, its current secret included."""


class RefreshesSecrets(ReadsWebhooks, Protocol):
    """The part of the Featurebase client that a rotation needs."""

    def refresh_secret(self, webhook_id: str) -> Webhook:
        """Replace the secret at once; never retried by the client."""


def secret_of(webhook: Webhook) -> SigningSecret:
    """The webhook's current secret.

    :raises SecretMissing: the response had none.
    """
    if webhook.secret is None:
        raise SecretMissing(
            webhook.id,
            "Featurebase's response contains no signing secret; no store was changed. "
            "Check the connection's api_version and the API key's permissions",
        )
    return webhook.secret


class SecretOrder:
    """The secrets that this process knows of, the newest last.

    A read is stale if it shows a secret that is known to be replaced, or an ``updatedAt`` older than one already seen.
    Featurebase does not document whether a GET right after a refresh may be stale, so it is assumed. It does not
    document either that a refresh changes ``updatedAt``, or that all responses give it with the same precision.

    :param replaced: fingerprints known to be replaced.
    :param newest: fingerprint that is, or was last, current, whatever ``replaced`` says.
    :param updated_at: the newest ``updatedAt`` seen.
    :param doubtful: fingerprints in ``replaced`` that an earlier run saw replaced too long ago to explain a stale read.
        If Featurebase keeps showing one of them, it is current after all.
    """

    def __init__(
        self,
        *,
        replaced: Iterable[str] = (),
        newest: str | None = None,
        updated_at: datetime | None = None,
        doubtful: Iterable[str] = (),
    ) -> None:
        self._replaced = set(replaced)
        self._doubtful = set(doubtful) & self._replaced
        self._newest = newest
        self._updated_at = updated_at

    @property
    def newest(self) -> str | None:
        """Fingerprint of the newest secret seen."""
        return self._newest

    @property
    def seen(self) -> frozenset[str]:
        """Fingerprints of all secrets of this webhook that were seen."""
        return frozenset(self._replaced) | ({self._newest} if self._newest else set())

    def is_stale(self, webhook: Webhook) -> bool:
        """Whether the response shows a state that is known to be outdated."""
        fingerprint = secret_of(webhook).fingerprint
        if fingerprint == self._newest:
            return False
        return fingerprint in self._replaced or is_older(webhook.updated_at, self._updated_at)

    def replace(self, fingerprint: str) -> None:
        """Record that the secret with this fingerprint was replaced."""
        self._replaced.add(fingerprint)
        self._doubtful.discard(fingerprint)
        if self._newest == fingerprint:
            self._newest = None

    def advance(self, webhook: Webhook) -> None:
        """Record a response that is not stale as the newest state."""
        fingerprint = secret_of(webhook).fingerprint
        if self._newest is not None:
            self._replaced.add(self._newest)
        self._newest = fingerprint
        self._updated_at = webhook.updated_at or self._updated_at

    def with_replaced(
        self,
        replaced: Iterable[str],
        *,
        newest: str | None = None,
        updated_at: datetime | None = None,
        doubtful: Iterable[str] = (),
    ) -> SecretOrder:
        """A copy with more replaced secrets; doubtful ones stay doubtful unless they are certainly replaced now."""
        more, open_still = set(replaced), set(doubtful)
        return SecretOrder(
            replaced=self._replaced | more,
            newest=newest,
            updated_at=updated_at,
            doubtful=(self._doubtful - more) | open_still,
        )

    def is_doubtful(self, fingerprint: str) -> bool:
        """Whether a secret that is recorded as replaced may be current after all."""
        return fingerprint in self._doubtful


def is_older(moment: datetime | None, than: datetime | None) -> bool:
    """Whether one ``updatedAt`` is certainly older than another; some responses may give whole seconds only."""
    if moment is None or than is None:
        return False
    return moment < than.replace(microsecond=0)


def read_current(
    api: ReadsWebhooks,
    webhook_id: str,
    order: SecretOrder,
    *,
    patience: float = 30.0,
    interval: float = 0.5,
    clock: Clock = SYSTEM_CLOCK,
    first: Webhook | None = None,
) -> Webhook:
    """Read the webhook until the response is not stale, and record it as the newest state.

    :param patience: seconds to keep reading while the responses are stale.
    :param interval: seconds between two reads.
    :param first: a response to use in place of the first read.
    :returns: the webhook. Its secret may be one that an earlier run recorded as replaced, if all reads showed it.
    :raises StaleRead: every response was stale.
    :raises ApiError: Featurebase could not be read.
    """
    deadline = clock.monotonic() + patience
    shown: set[str] = set()
    while True:
        webhook = first or api.get_webhook(webhook_id)
        first = None
        if not order.is_stale(webhook):
            order.advance(webhook)
            return webhook
        fingerprint = secret_of(webhook).fingerprint
        shown.add(fingerprint)
        if clock.monotonic() >= deadline:
            break
        clock.sleep(interval)
    if len(shown) == 1 and order.is_doubtful(fingerprint):
        order.advance(webhook)
        return webhook
    raise StaleRead(
        webhook_id,
        f"for {patience:.0f} s Featurebase has returned {', '.join(sorted(shown))}, which is known to have been "
        "replaced; it was not written to any store. A retry is safe",
    )

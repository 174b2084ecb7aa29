"""The webhooks of the sandbox's one workspace, their health, and their earlier states for stale reads."""

from __future__ import annotations

import copy
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from featurebase_provider.featurebase.signing_secret import fingerprint_of
from featurebase_provider.sandbox.behaviour import Verdict
from featurebase_provider.sandbox.clock import TimeText, iso_ms
from featurebase_provider.sandbox.errors import CallRefused
from featurebase_provider.sandbox.inputs import CreateInput, RequestConfigInput, UpdateInput

DEFAULT_WEBHOOK_LIMIT = 10


def new_signing_secret() -> str:
    """A new secret in Featurebase's format: ``whsec_`` and a random token."""
    return f"whsec_{secrets.token_hex(24)}"


@dataclass(slots=True)
class Health:
    """A webhook's health figures; times in ms. The mean response time counts all attempts since a reset."""

    last_response_ms: int = 0
    response_ms_sum: float = 0.0
    attempts: int = 0
    last_success_at_ms: int | None = None
    errors_since_success: int = 0
    consecutive_failures: int = 0

    def count(self, *, ok: bool, response_ms: float, at_ms: int) -> None:
        """Count one delivery attempt, in the order in which attempts end."""
        self.last_response_ms = round(response_ms)
        self.response_ms_sum += response_ms
        self.attempts += 1
        if ok:
            self.last_success_at_ms, self.errors_since_success, self.consecutive_failures = at_ms, 0, 0
        else:
            self.errors_since_success += 1
            self.consecutive_failures += 1

    def force(self, figures: Mapping[str, Any]) -> None:
        """Set figures, named as the API names them; ``lastSuccessAt`` in ms since 1970, or None."""
        self.last_response_ms = figures.get("lastResponseTime", self.last_response_ms)
        self.last_success_at_ms = figures.get("lastSuccessAt", self.last_success_at_ms)
        self.errors_since_success = figures.get("errorsSinceLastSuccess", self.errors_since_success)
        self.consecutive_failures = figures.get("consecutiveFailures", self.consecutive_failures)
        if "avgResponseTime" in figures:
            self.attempts, self.response_ms_sum = 1, figures["avgResponseTime"]

    def as_json(self, time_text: TimeText) -> dict[str, Any]:
        """The figures as the API shows them."""
        success = self.last_success_at_ms
        return {
            "lastResponseTime": self.last_response_ms,
            "avgResponseTime": round(self.response_ms_sum / self.attempts) if self.attempts else 0,
            "lastSuccessAt": None if success is None else time_text(success),
            "errorsSinceLastSuccess": self.errors_since_success,
            "consecutiveFailures": self.consecutive_failures,
        }


@dataclass(frozen=True, slots=True)
class IssuedSecret:
    """A signing secret, when it became current, and the call that created it."""

    webhook_id: str
    secret: str = field(repr=False)
    at_ms: int
    by: str

    def as_json(self) -> dict[str, Any]:
        """The entry in the response of the control call."""
        return {
            "webhookId": self.webhook_id,
            "secret": self.secret,
            "fingerprint": fingerprint_of(self.secret),
            "at": self.at_ms,
            "by": self.by,
        }


@dataclass(frozen=True, slots=True)
class LastStatus:
    """How the last delivery attempt ended, and when, in ms since 1970."""

    code: int
    message: str
    at_ms: int

    def as_json(self, time_text: TimeText) -> dict[str, Any]:
        """The result as the API shows it."""
        return {"code": self.code, "message": self.message, "timestamp": time_text(self.at_ms)}


@dataclass(slots=True)
class Webhook:
    """One webhook. ``secret`` is test data: it protects nothing outside of the sandbox."""

    id: str
    name: str
    url: str
    topics: list[str]
    created_at_ms: int
    updated_at_ms: int
    description: str | None = None
    secret: str = field(default_factory=new_signing_secret, repr=False)
    status: str = "active"
    timeout_ms: int = 5000
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    last_status: LastStatus | None = None
    health: Health = field(default_factory=Health)
    omit_secret: bool = False
    keep_secret: bool = False
    extra: dict[str, Any] = field(default_factory=dict)

    def as_json(self, time_text: TimeText = iso_ms) -> dict[str, Any]:
        """The webhook object of the API reference."""
        document = {
            "object": "webhook",
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "url": self.url,
            "secret": self.secret,
            "topics": list(self.topics),
            "status": self.status,
            "version": "1.0",
            "requestConfig": {"timeoutMs": self.timeout_ms, "headers": dict(self.headers)},
            "lastStatus": self.last_status and self.last_status.as_json(time_text),
            "health": self.health.as_json(time_text),
            "createdAt": time_text(self.created_at_ms),
            "updatedAt": time_text(self.updated_at_ms),
            **copy.deepcopy(self.extra),
        }
        if self.omit_secret:
            del document["secret"]
        return document

    def takes(self, topic: str) -> bool:
        """Whether an event with this topic goes to the webhook: it is active and subscribes to the topic."""
        return self.status == "active" and topic in self.topics

    def take(self, config: RequestConfigInput) -> None:
        """Apply the fields of a request config that were sent."""
        if "timeoutMs" in config.model_fields_set:
            self.timeout_ms = config.timeoutMs
        if "headers" in config.model_fields_set:
            self.headers = dict(config.headers)

    def count_attempt(self, *, code: int, message: str, ok: bool, response_ms: float, at_ms: int) -> None:
        """Count a delivery attempt in the last status and the health figures."""
        self.last_status = LastStatus(code, message, at_ms)
        self.health.count(ok=ok, response_ms=response_ms, at_ms=at_ms)


class Webhooks:
    """All webhooks of the workspace, in the order of their ids, which is the order of their creation.

    :param now: Unix seconds.
    :param limit: how many may exist at once.
    """

    def __init__(self, now: Callable[[], float] = time.time, limit: int = DEFAULT_WEBHOOK_LIMIT) -> None:
        self._now, self._limit = now, limit
        self._current: dict[str, Webhook] = {}
        self._before_change: dict[str, Webhook] = {}
        self._process_part = secrets.token_hex(5)
        self._created, self._last_id_seconds = 0, 0
        self.issued: list[IssuedSecret] = []
        """Every signing secret that was ever current, oldest first, including those of deleted webhooks."""

    def restore(self, kept: Iterable[Webhook]) -> None:
        """Load the webhooks of an earlier sandbox."""
        for webhook in sorted(kept, key=lambda webhook: webhook.id):
            self._current[webhook.id] = webhook
            self._issue(webhook, by="--state")

    def all(self) -> list[Webhook]:
        """The webhooks as they are now."""
        return [*self._current.values()]

    def find(self, webhook_id: str) -> Webhook | None:
        """The webhook as it is now, or None."""
        return self._current.get(webhook_id)

    def get(self, webhook_id: str, *, stale: bool = False) -> Webhook:
        """The webhook as it is now or, with ``stale``, as it was before its last change or its deletion.

        A webhook that was never changed is the same either way.

        :raises CallRefused: 404, there is none.
        """
        webhook = self._before_change.get(webhook_id) if stale else None
        webhook = webhook or self._current.get(webhook_id)
        if webhook is None:
            raise CallRefused(404, "webhook_not_found", f"There is no webhook {webhook_id}", "id")
        return webhook

    def subscribed_to(self, topic: str) -> list[Webhook]:
        """The active webhooks that subscribe to this topic."""
        return [webhook for webhook in self._current.values() if webhook.takes(topic)]

    def page(
        self, *, after: str | None, limit: int, status: str | None, stale: bool = False
    ) -> tuple[list[Webhook], bool]:
        """A page of webhooks, and whether another one follows.

        Pages follow the ids, so webhooks that are created or deleted between two pages neither repeat nor hide others.
        """
        ids: Iterable[str] = {*self._current, *self._before_change} if stale else self._current
        shown = (self.get(webhook_id, stale=stale) for webhook_id in sorted(ids) if after is None or webhook_id > after)
        fitting = [webhook for webhook in shown if status is None or webhook.status == status]
        return fitting[:limit], len(fitting) > limit

    def create(self, wanted: CreateInput, *, same_url: Verdict = "accepted") -> Webhook:
        """Create a webhook.

        :raises CallRefused: 400, the workspace has reached its limit, or the url is another webhook's and refused.
        """
        if len(self._current) >= self._limit:
            raise CallRefused(
                400, "webhook_limit_reached", f"The workspace already has {self._limit} webhooks, its limit"
            )
        if same_url == "refused":
            self._refuse_url_of_another(wanted.url)
        now_ms = self._now_ms()
        webhook = Webhook(
            id=self._new_id(),
            name=wanted.name,
            url=wanted.url,
            topics=list(wanted.topics),
            description=wanted.description,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
        )
        webhook.take(wanted.requestConfig)
        self._current[webhook.id] = webhook
        self._issue(webhook, by="POST /v2/webhooks")
        return webhook

    def update(self, webhook_id: str, wanted: UpdateInput, *, same_url: Verdict = "accepted") -> Webhook:
        """Change the fields that were sent. Setting the status to active resets the health figures.

        :raises CallRefused: 400, the url is another webhook's and refused.
        """
        sent = wanted.model_fields_set
        if "url" in sent and same_url == "refused":
            self._refuse_url_of_another(wanted.url, than=webhook_id)
        webhook = self.change(webhook_id)
        for name in sent & {"name", "url", "description", "status"}:
            setattr(webhook, name, getattr(wanted, name))
        if "topics" in sent:
            webhook.topics = list(wanted.topics)
        if "requestConfig" in sent:
            webhook.take(wanted.requestConfig)
        if "status" in sent and wanted.status == "active":
            webhook.health = Health()
        return webhook

    def refresh_secret(
        self, webhook_id: str, *, moves_updated_at: bool = True, paused: Verdict = "accepted"
    ) -> Webhook:
        """Replace the signing secret with a new one; the old one becomes invalid.

        :raises CallRefused: 400, the webhook is paused and that is refused.
        """
        if paused == "refused" and self.get(webhook_id).status == "paused":
            raise CallRefused(400, "webhook_paused", "The secret of a paused webhook cannot be refreshed", "id")
        webhook = self.change(webhook_id, moves_updated_at=moves_updated_at)
        if not webhook.keep_secret:
            webhook.secret = new_signing_secret()
            self._issue(webhook, by="POST /v2/webhooks/{id}/secret")
        return webhook

    def delete(self, webhook_id: str) -> None:
        """Delete a webhook."""
        self.change(webhook_id)
        del self._current[webhook_id]

    def force(self, webhook_id: str, changes: Mapping[str, Any]) -> Webhook:
        """Set attributes of a webhook, whether or not the API lets clients set them."""
        webhook = self.change(webhook_id)
        for name, value in changes.items():
            setattr(webhook, name, copy.deepcopy(value))
        if "secret" in changes:
            self._issue(webhook, by="POST /_sandbox/webhooks/{id}")
        return webhook

    def change(self, webhook_id: str, *, moves_updated_at: bool = True) -> Webhook:
        """Return the webhook for a change, and keep its present state for stale reads."""
        webhook = self.get(webhook_id)
        self._before_change[webhook_id] = copy.deepcopy(webhook)
        if moves_updated_at:
            self.touch(webhook)
        return webhook

    def touch(self, webhook: Webhook) -> None:
        """Set the time of the webhook's last change, never the same time twice, so that every change is visible."""
        webhook.updated_at_ms = max(self._now_ms(), webhook.updated_at_ms + 1)

    def _refuse_url_of_another(self, url: str, *, than: str | None = None) -> None:
        if any(webhook.url == url and webhook.id != than for webhook in self._current.values()):
            raise CallRefused(400, "url_taken", "Another webhook of the workspace has this url", "url")

    def _issue(self, webhook: Webhook, *, by: str) -> None:
        self.issued.append(IssuedSecret(webhook.id, webhook.secret, self._now_ms(), by))

    def _now_ms(self) -> int:
        return int(self._now() * 1000)

    def _new_id(self) -> str:
        self._last_id_seconds = max(int(self._now()), self._last_id_seconds)
        self._created += 1
        return f"{self._last_id_seconds:08x}{self._process_part}{self._created:06x}"

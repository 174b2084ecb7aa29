"""The Featurebase API's endpoints for sync and async callers; both send the calls of ``calls``."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
from tenacity import AsyncRetrying, Retrying

from featurebase_provider import __version__
from featurebase_provider.featurebase.answers import LONGEST_BODY_SECONDS, RawAnswer, read_answer, unreachable
from featurebase_provider.featurebase.calls import (
    ApiCall,
    Pages,
    T,
    create_webhook_call,
    delete_webhook_call,
    get_webhook_call,
    list_audit_logs_call,
    list_webhooks_call,
    refresh_secret_call,
    update_webhook_call,
)
from featurebase_provider.featurebase.errors import ApiError, SettingsInvalid
from featurebase_provider.featurebase.retries import retry_options
from featurebase_provider.featurebase.server_clock import ServerClock
from featurebase_provider.featurebase.signing_secret import fingerprint_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
    from datetime import datetime
    from types import TracebackType

    from typing_extensions import Unpack

    from featurebase_provider.featurebase.audit_log import Action, AuditEntry
    from featurebase_provider.featurebase.calls import StatusFilter, WebhookChanges, WebhookOptions
    from featurebase_provider.featurebase.models import ApiModel, DeletedWebhook, Webhook
    from featurebase_provider.featurebase.pace import Pace
    from featurebase_provider.featurebase.settings import ApiSettings

Http = TypeVar("Http", httpx.Client, httpx.AsyncClient)

_MOST_NAMES = 10

log = logging.getLogger(__name__)


class _Session:
    """What both clients share: everything except sending."""

    def __init__(self, settings: ApiSettings) -> None:
        self.settings = settings
        self.clock = ServerClock()
        """The server's clock, estimated from the responses so far."""
        self._said: set[tuple[str, str]] = set()
        self._told: set[str] = set()

    def _not_told(self, value: ApiModel) -> Iterator[str]:
        """Secrets that no earlier response had; to mask one takes a call to Airflow, for which receivers would wait."""
        for secret in value.secret_values():
            if (name := fingerprint_of(secret)) not in self._told:
                yield secret
                self._told.add(name)  # only now: the callback may have failed

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.settings.base_url}>"

    def _build_http(self, kind: type[Http], transport: Any) -> Http:
        try:
            return kind(
                base_url=self.settings.base_url,
                headers={
                    "Authorization": f"Bearer {self.settings.api_key.get_secret_value()}",
                    "Featurebase-Version": self.settings.api_version,
                    "User-Agent": f"airflow-provider-featurebase/{__version__}",
                    "Accept": "application/json",
                    "Accept-Encoding": "gzip",
                },
                timeout=self.settings.http_timeout,
                follow_redirects=False,
                # Plain http is for loopback: through a proxy the key would leave this machine in the clear.
                trust_env=httpx.URL(self.settings.base_url).scheme == "https",
                transport=transport,
            )
        except (ImportError, ValueError, OSError, httpx.InvalidURL) as exc:
            # Its text is left out: it may quote a proxy's URL with its password.
            problem = type(exc).__name__
        raise SettingsInvalid(
            self.settings.source,
            f"the environment's proxy or certificate settings (HTTPS_PROXY, SSL_CERT_FILE, ...) "
            f"are invalid: no HTTP client can be built with them ({problem})",
        )

    def _begin_answer(self, response: httpx.Response, sent_at: float) -> RawAnswer:
        self.clock.observe(response.headers.get("Date"), sent_at=sent_at, received_at=self.clock.local())
        return RawAnswer(response, seconds=max(LONGEST_BODY_SECONDS, self.settings.timeout))

    def _outcome(self, call: ApiCall[T], got: RawAnswer | httpx.RequestError) -> T | ApiError:
        """The response's model, or the error for the caller to raise, whose frames hold no key, request or response."""
        secrets = (self.settings.api_key.get_secret_value(),)
        if isinstance(got, httpx.RequestError):
            return unreachable(call, got, secrets)
        value = read_answer(call, got, secrets, self.clock.local())
        if not isinstance(value, ApiError):
            self._say_unread(value)
        return value

    def _say_unread(self, value: ApiModel) -> None:
        """Log the fields that could not be read, each once per webhook."""
        for webhook in value.webhooks():
            names = [name for name in webhook.unread if (webhook.id, name) not in self._said]
            self._said.update((webhook.id, name) for name in names)
            if names:
                log.warning(
                    "Featurebase's response for webhook %s has fields that can't be read; they count as unknown: %s%s",
                    *(webhook.id, ", ".join(names[:_MOST_NAMES])),
                    f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else "",
                )


class Client(_Session):
    """The sync client. Safe to share between threads; close it, or use it as a context manager.

    Every method raises :class:`~featurebase_provider.featurebase.errors.ApiError`. Reads are retried after
    transient failures; writes are sent once.

    :param on_secret: called once with each secret value of a response (signing secrets, delivery header values)
        before the response is returned, so that it can be masked in logs.
    :param transport: replaces the network, for tests.
    :param sleep: waits the given seconds between tries.
    :raises SettingsInvalid: the environment's proxy or certificate settings are unusable.
    """

    def __init__(
        self,
        settings: ApiSettings,
        *,
        on_secret: Callable[[str], None] | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(settings)
        self._on_secret, self._sleep = on_secret, sleep
        self._http = self._build_http(httpx.Client, transport)

    def get_webhook(self, webhook_id: str) -> Webhook:
        """Read one webhook, its current secret included."""
        return self.send(get_webhook_call(webhook_id))

    def list_webhooks(self, status: StatusFilter | None = None) -> Iterator[Webhook]:
        """Read all webhooks, or those of one status, page after page."""
        pages = Pages(lambda cursor: list_webhooks_call(cursor=cursor, status=status))
        while pages.next_call:
            yield from pages.take(self.send(pages.next_call)).data

    def audit_log(self, action: Action | None = None, since: datetime | None = None) -> Iterator[AuditEntry]:
        """Read the workspace's audit log, newest first, page after page.

        :param since: the earliest moment of interest, aware; entries of that very moment are included.
        """
        pages = Pages(lambda cursor: list_audit_logs_call(action, since, cursor=cursor))
        while pages.next_call:
            yield from pages.take(self.send(pages.next_call)).entries

    def create_webhook(self, name: str, url: str, topics: Sequence[str], **options: Unpack[WebhookOptions]) -> Webhook:
        """Create a webhook."""
        return self.send(create_webhook_call(name, url, topics, **options))

    def update_webhook(self, webhook_id: str, **changes: Unpack[WebhookChanges]) -> Webhook:
        """Change the given fields of a webhook; a description of None clears it."""
        return self.send(update_webhook_call(webhook_id, **changes))

    def delete_webhook(self, webhook_id: str) -> DeletedWebhook:
        """Delete a webhook, which cannot be undone."""
        return self.send(delete_webhook_call(webhook_id))

    def refresh_secret(self, webhook_id: str) -> Webhook:
        """Replace a webhook's signing secret. The old one becomes invalid at once and can't be restored."""
        return self.send(refresh_secret_call(webhook_id))

    def send(self, call: ApiCall[T]) -> T:
        """Send a call; reads are retried after transient failures, writes are sent once."""
        if not call.retry_safe:
            return self._send_once(call)
        retrying = Retrying(sleep=self._sleep, **retry_options(self.settings.max_retries))
        value: T = retrying(self._send_once, call)
        return value

    def _send_once(self, call: ApiCall[T]) -> T:
        value = self._outcome(call, self._exchange(call))
        if isinstance(value, ApiError):
            raise value
        if self._on_secret:
            for secret in self._not_told(value):
                self._on_secret(secret)
        return value

    def _exchange(self, call: ApiCall[Any]) -> RawAnswer | httpx.RequestError:
        sent_at = self.clock.local()
        try:
            with self._http.stream(call.method, call.path, params=call.params, json=call.json) as response:
                answer = self._begin_answer(response, sent_at)
                try:
                    for chunk in response.iter_raw() if answer.is_coded else response.iter_bytes():
                        if not answer.take(chunk):
                            break
                except httpx.RequestError as exc:
                    answer.broke_off = type(exc).__name__
        except httpx.RequestError as exc:
            return exc
        return answer

    def close(self) -> None:
        """Close the connections. Safe to call twice."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_Session):
    """The async client: :class:`Client` with ``await``; for one event loop.

    :param pace: gives each call, retries too, its turn; None sends at once.
    """

    def __init__(
        self,
        settings: ApiSettings,
        *,
        on_secret: Callable[[str], Awaitable[None]] | None = None,
        pace: Pace | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(settings)
        self._on_secret, self._pace, self._sleep = on_secret, pace, sleep
        self._http = self._build_http(httpx.AsyncClient, transport)

    async def get_webhook(self, webhook_id: str) -> Webhook:
        """Read one webhook, its current secret included."""
        return await self.send(get_webhook_call(webhook_id))

    async def list_webhooks(self, status: StatusFilter | None = None) -> AsyncIterator[Webhook]:
        """Read all webhooks, or those of one status, page after page."""
        pages = Pages(lambda cursor: list_webhooks_call(cursor=cursor, status=status))
        while pages.next_call:
            for webhook in pages.take(await self.send(pages.next_call)).data:
                yield webhook

    async def audit_log(self, action: Action | None = None, since: datetime | None = None) -> AsyncIterator[AuditEntry]:
        """Read the workspace's audit log, newest first, page after page.

        :param since: the earliest moment of interest, aware; entries of that very moment are included.
        """
        pages = Pages(lambda cursor: list_audit_logs_call(action, since, cursor=cursor))
        while pages.next_call:
            for entry in pages.take(await self.send(pages.next_call)).entries:
                yield entry

    async def create_webhook(
        self, name: str, url: str, topics: Sequence[str], **options: Unpack[WebhookOptions]
    ) -> Webhook:
        """Create a webhook."""
        return await self.send(create_webhook_call(name, url, topics, **options))

    async def update_webhook(self, webhook_id: str, **changes: Unpack[WebhookChanges]) -> Webhook:
        """Change the given fields of a webhook; a description of None clears it."""
        return await self.send(update_webhook_call(webhook_id, **changes))

    async def delete_webhook(self, webhook_id: str) -> DeletedWebhook:
        """Delete a webhook, which cannot be undone."""
        return await self.send(delete_webhook_call(webhook_id))

    async def refresh_secret(self, webhook_id: str) -> Webhook:
        """Replace a webhook's signing secret. The old one becomes invalid at once and can't be restored."""
        return await self.send(refresh_secret_call(webhook_id))

    async def send(self, call: ApiCall[T]) -> T:
        """Send a call; reads are retried after transient failures, writes are sent once."""
        if not call.retry_safe:
            return await self._send_once(call)
        retrying = AsyncRetrying(sleep=self._sleep, **retry_options(self.settings.max_retries))
        return await retrying(self._send_once, call)

    async def _send_once(self, call: ApiCall[T]) -> T:
        if self._pace is not None:
            await self._pace.turn()
        value = self._outcome(call, await self._exchange(call))
        if isinstance(value, ApiError):
            raise value
        if self._on_secret:
            for secret in self._not_told(value):
                await self._on_secret(secret)
        return value

    async def _exchange(self, call: ApiCall[Any]) -> RawAnswer | httpx.RequestError:
        sent_at = self.clock.local()
        try:
            async with self._http.stream(call.method, call.path, params=call.params, json=call.json) as response:
                answer = self._begin_answer(response, sent_at)
                if self._pace is not None:
                    self._pace.observe(answer, self.clock.local())
                chunks = response.aiter_raw() if answer.is_coded else response.aiter_bytes()
                try:
                    async with aclosing(chunks):  # type: ignore[type-var]  # httpx hides that it is a generator
                        async for chunk in chunks:
                            if not answer.take(chunk):
                                break
                except httpx.RequestError as exc:
                    answer.broke_off = type(exc).__name__
        except httpx.RequestError as exc:
            return exc
        return answer

    async def close(self) -> None:
        """Close the connections. Safe to call twice."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

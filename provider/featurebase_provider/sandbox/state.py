"""The state of one sandbox: a workspace with its webhooks, and everything that happens to them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from featurebase_provider.sandbox.audit_log import AuditLog
from featurebase_provider.sandbox.behaviour import Behaviour, Reads
from featurebase_provider.sandbox.cancelling import cancel_all
from featurebase_provider.sandbox.clock import SandboxClock
from featurebase_provider.sandbox.deliveries import Deliveries
from featurebase_provider.sandbox.errors import SandboxUnusable
from featurebase_provider.sandbox.faults import FaultBook
from featurebase_provider.sandbox.journal import Journal
from featurebase_provider.sandbox.rate_limit import DEFAULT_CALLS_PER_MINUTE, RateLimit
from featurebase_provider.sandbox.webhooks import DEFAULT_WEBHOOK_LIMIT, Webhook, Webhooks

_WEBHOOKS = TypeAdapter(list[Webhook])

DEFAULT_API_KEY = "sk_sandbox"


@dataclass(frozen=True, slots=True)
class StateFile:
    """A JSON file with the sandbox's webhooks; each write replaces the whole file.

    :param path: its path; the folder must exist.
    """

    path: Path

    def load(self) -> list[Webhook]:
        """The saved webhooks; none if the file does not exist yet.

        :raises SandboxUnusable: the file can't be read, or contains something else.
        """
        try:
            return _WEBHOOKS.validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unusable("can't be read", error) from error
        except ValidationError:
            # Its text would quote the file.
            raise SandboxUnusable(
                f"--state: {self.path} does not contain a sandbox's webhooks; use another file, or delete this one"
            ) from None

    def save(self, webhooks: list[Webhook]) -> None:
        """Save these webhooks in place of the earlier ones.

        :raises SandboxUnusable: the file can't be written; it is unchanged.
        """
        new = self.path.with_name(f"{self.path.name}.new")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(_WEBHOOKS.dump_json(webhooks))
            new.replace(self.path)
        except OSError as error:
            raise self._unusable("can't be written", error) from error

    def _unusable(self, what: str, error: OSError) -> SandboxUnusable:
        return SandboxUnusable(f"--state: {self.path} {what} ({error.strerror}); use another file, or fix this one")


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """Settings that are fixed for a sandbox's lifetime; a reset does not change them.

    :param api_key: the one key that the API accepts.
    :param default_version: API version of calls without the version header. The default version has no webhook
        endpoints, so that a client without the header fails at once.
    :param behaviour: the switches at the start and after a reset.
    :param calls_per_minute: rate limit of the API key.
    :param webhook_limit: how many webhooks the workspace may have.
    :param state: where the webhooks are saved for the next start.
    :param now: Unix seconds, until the sandbox's clock is advanced.
    """

    api_key: str = DEFAULT_API_KEY
    default_version: str = "2025-12-12.clover"
    behaviour: Behaviour = Behaviour()
    calls_per_minute: int = DEFAULT_CALLS_PER_MINUTE
    webhook_limit: int = DEFAULT_WEBHOOK_LIMIT
    state: Path | None = None
    now: Callable[[], float] = time.time


class SandboxState:
    """The state of a sandbox. Use it only on its event loop's thread.

    :raises SandboxUnusable: the state file in the settings can't be used.
    """

    webhooks: Webhooks
    audit_log: AuditLog
    journal: Journal
    rate_limit: RateLimit
    clock: SandboxClock
    behaviour: Behaviour
    reads: Reads
    deliveries: Deliveries

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.faults = FaultBook()
        self._late: set[asyncio.Task[None]] = set()
        self._file = StateFile(settings.state) if settings.state is not None else None
        self._begin()
        if self._file is not None:
            self.webhooks.restore(self._file.load())
            self.keep()  # a file that can't be written is reported at the start

    def behave(self, behaviour: Behaviour) -> None:
        """Set the switches; the turns of reads start again."""
        self.behaviour, self.reads = behaviour, Reads(behaviour)

    def start_late(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work after its call was answered; a reset cancels it."""
        task = asyncio.create_task(work)
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    def keep(self) -> None:
        """Save the webhooks if the settings name a state file. Call this after every change of a webhook."""
        if self._file is not None:
            self._file.save(self.webhooks.all())

    async def reset(self) -> None:
        """Drop everything and end all running work: deliveries, emissions, late and held calls."""
        ended = self.deliveries
        self._begin()
        self.keep()
        await self._end(ended)

    async def aclose(self) -> None:
        """End all running work."""
        await self._end(self.deliveries)
        self.keep()  # with the health figures from the last deliveries

    async def _end(self, deliveries: Deliveries) -> None:
        self.faults.clear()
        await cancel_all([*self._late])
        await deliveries.aclose()

    def _begin(self) -> None:
        settings = self.settings
        self.behave(settings.behaviour)
        self.clock = SandboxClock(settings.now)
        self.webhooks = Webhooks(self.clock.unix, settings.webhook_limit)
        self.audit_log = AuditLog(self.clock.unix_ms, lambda: self.behaviour.audit_log_lag)
        self.journal = Journal()
        self.rate_limit = RateLimit(settings.calls_per_minute, self.clock.unix)
        self.deliveries = Deliveries(self.webhooks, self.journal, self.clock, lambda: self.behaviour)

"""One sandbox: a workspace with its webhooks, and everything that happens to it."""

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
    """A JSON file that is replaced as a whole.

    :param path: where; its folder must be there.
    """

    path: Path

    def load(self) -> list[Webhook]:
        """The webhooks that were kept; none where there is no file yet.

        :raises SandboxUnusable: the file can't be read, or holds something else.
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
                f"--state: {self.path} does not hold a sandbox's webhooks; name another file, or delete this one"
            ) from None

    def save(self, webhooks: list[Webhook]) -> None:
        """Put these webhooks in place of those before.

        :raises SandboxUnusable: the file can't be written; it is as it was.
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
        return SandboxUnusable(f"--state: {self.path} {what} ({error.strerror}); name another file, or mend this one")


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """What is fixed for a sandbox's life; a reset leaves it as it is.

    :param api_key: the one key that the API accepts.
    :param default_version: API version of calls that name none. The default has no webhook endpoints, so that
        a client which forgets the header fails at once.
    :param behaviour: how the switches stand at the start and after a reset.
    :param calls_per_minute: rate limit of the API key.
    :param webhook_limit: webhooks that the workspace may have.
    :param state: where the webhooks are kept, to begin with them another time.
    :param now: Unix seconds, as long as the sandbox's clock was not moved on.
    """

    api_key: str = DEFAULT_API_KEY
    default_version: str = "2025-12-12.clover"
    behaviour: Behaviour = Behaviour()
    calls_per_minute: int = DEFAULT_CALLS_PER_MINUTE
    webhook_limit: int = DEFAULT_WEBHOOK_LIMIT
    state: Path | None = None
    now: Callable[[], float] = time.time


class SandboxState:
    """The state of a sandbox. To be used on its event loop's thread.

    :raises SandboxUnusable: the file of the settings' ``state`` can't be used.
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
            self.keep()  # what can't be written is told at the start

    def behave(self, behaviour: Behaviour) -> None:
        """Set the switches; the turns of reads begin anew."""
        self.behaviour, self.reads = behaviour, Reads(behaviour)

    def start_late(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something after its call was answered; a reset ends it."""
        task = asyncio.create_task(work)
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    def keep(self) -> None:
        """Note the webhooks, if the settings say where. For whatever changes one."""
        if self._file is not None:
            self._file.save(self.webhooks.all())

    async def reset(self) -> None:
        """Forget everything and end all that is under way: deliveries, emissions, late and held calls."""
        ended = self.deliveries
        self._begin()
        self.keep()
        await self._end(ended)

    async def aclose(self) -> None:
        """End everything that is under way."""
        await self._end(self.deliveries)
        self.keep()  # with what the deliveries told of the webhooks' health

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

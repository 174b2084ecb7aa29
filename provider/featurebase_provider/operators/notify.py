"""Tells the team, by Airflow's notifiers that the rotation file names. A notifier that fails fails nothing else."""

from __future__ import annotations

import copy
import importlib
import json
import logging
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from featurebase_provider.audit.notice import notice_of_due, notice_of_findings
from featurebase_provider.rotation.notice import Notice, notice_of_run, report_missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow.sdk import Context

    from featurebase_provider.audit.report import AuditReport
    from featurebase_provider.config import NotifyConfig, WebhookConfig

log = logging.getLogger(__name__)

RESERVE = 10.0
"""Seconds of the task's own time limit that a notifier never uses up, so that the task can end."""


def notify_of_run(context: Context, entries: Sequence[NotifyConfig], report: Mapping[str, Any]) -> None:
    """Tell how a run ended.

    :param report: the run's report as JSON.
    """
    notice = notice_of_run(report)
    if notice is not None:
        for entry in entries:
            send(context, entry, notice, report)


def notify_of_audit(context: Context, webhooks: Sequence[WebhookConfig], report: AuditReport) -> None:
    """Tell of findings that are not ignored, and of secrets that are due.

    Webhooks with equal entries share one message. A finding about a connection, or about a webhook that is not in the
    file, goes to the entries of all webhooks of that connection.
    """
    shared: dict[str, tuple[NotifyConfig, list[WebhookConfig]]] = {}
    for webhook in webhooks:
        for entry in webhook.notify:
            shared.setdefault(entry.model_dump_json(), (entry, []))[1].append(webhook)
    for entry, of in shared.values():
        names, connections = {one.name for one in of}, {one.featurebase_conn_id for one in of}
        mine = [one for one in report.open if one.webhook in names or (not one.webhook and one.conn_id in connections)]
        rows = [row for row in report.webhooks if row.name in names]
        for notice in (notice_of_findings(mine), notice_of_due(rows, entry.before)):
            if notice is not None:
                send(context, entry, notice, report.as_event())


class WhenReportFails:
    """A callback for the report task: if it fails for good, nobody else tells how the run ended.

    :param entries: the webhook's ``notify``.
    """

    def __init__(self, webhook: str, entries: Sequence[NotifyConfig]) -> None:
        self._webhook = webhook
        self._entries = entries

    def __call__(self, context: Context) -> None:
        """Tell that the report is missing."""
        ti = context["ti"]
        notify_of_run(context, self._entries, report_missing(self._webhook, ti.dag_id, ti.run_id))


def send(context: Context, entry: NotifyConfig, notice: Notice, report: Mapping[str, Any]) -> None:
    """Have one notifier send a notice, if it is for this event. A failure is only logged.

    The notifier's templates see the task's context, ``notice`` and ``report``.
    """
    if notice.event not in entry.events:
        return
    # What a notifier makes of its context must not reach the task.
    seen: Any = {**context, "notice": notice.as_json(), "report": json.loads(json.dumps(report))}
    try:
        with time_limit(entry.timeout.total_seconds()):
            _notifier(entry)(seen)
    except TimeIsUp:
        why = f"it did not finish within {entry.timeout.total_seconds():g} s"
    except (Exception, SystemExit) as exc:  # noqa: BLE001  anybody's code; its text may quote a credential
        why = type(exc).__name__
    else:
        log.info("Told by %s: %s", entry.notifier, notice.headline)
        return
    log.warning("%s could not tell of the event %s (%s). Nothing else is affected", entry.notifier, notice.event, why)


def _notifier(entry: NotifyConfig) -> BaseNotifier:
    module, _, name = entry.notifier.rpartition(".")
    found: Any = getattr(importlib.import_module(module), name)
    if not (isinstance(found, type) and issubclass(found, BaseNotifier)):
        raise TypeError(f"{entry.notifier} is not one of Airflow's notifiers")
    make: Callable[..., BaseNotifier] = found
    return make(**copy.deepcopy(entry.arguments))


class TimeIsUp(BaseException):
    """A notifier took too long. No ``Exception``: its code must not take this for one of its own errors."""


def _stop(*_: object) -> None:
    raise TimeIsUp


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Stop what runs on the main thread after this time; on another thread there is no limit.

    Airflow's own limit for the task uses the same timer (``airflow.sdk.execution_time.timeout``), so it is set again.

    :raises TimeIsUp: the time is over, or nearly all of the task's own time is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    started, handler = time.monotonic(), signal.getsignal(signal.SIGALRM)
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, min(seconds, max(left - RESERVE, 0.1)) if left else seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - started), 0.1))

"""What a report finds at the end of a run: how the tasks ended, and the webhook's state."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from featurebase_provider.airflow_compat import task_rows
from featurebase_provider.featurebase.errors import ApiError, FeaturebaseError, WebhookNotFound
from featurebase_provider.featurebase.text import one_line
from featurebase_provider.operators.context import pulled
from featurebase_provider.operators.finding import why_of
from featurebase_provider.rotation.all_stores import StoreOutcome
from featurebase_provider.rotation.current import read_current
from featurebase_provider.rotation.history import order_of
from featurebase_provider.rotation.refresh_log import RefreshesSincePlan, read_refreshes_since
from featurebase_provider.rotation.report_tables import TaskRow
from featurebase_provider.rotation.run_facts import EndState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow.sdk import Context

    from featurebase_provider.featurebase.client import Client
    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.hooks.featurebase import FeaturebaseHook
    from featurebase_provider.rotation.history import History
    from featurebase_provider.rotation.plan import RotationPlan
    from featurebase_provider.rotation.rotate import RotationOutcome

NO_WORD = "it left no message: it was killed, timed out, or its state was set by hand; its log may say more"
STALE_SECONDS = 10.0
"""How long the report waits for a read that is not stale."""


def tasks_of(context: Context, covers: Callable[[str], bool]) -> tuple[TaskRow, ...]:
    """The Dag run's tasks in the Dag's order, each with its own message if it did not succeed.

    :param covers: whether a task, other than the running one, is to be told of.
    """
    order = list(context["dag"].task_dict)
    rows = sorted(task_rows(context), key=lambda row: order.index(row[0]) if row[0] in order else len(order))
    mine = [row for row in rows if covers(row[0]) and row[0] != context["ti"].task_id]
    return tuple(TaskRow(task_id, state, seconds, _why(context, task_id, state)) for task_id, state, seconds in mine)


def _why(context: Context, task_id: str, state: str | None) -> str | None:
    if state not in ("failed", "skipped"):
        return None
    why = why_of(context, task_id)
    return why or (NO_WORD if state == "failed" else None)


def ended_with(context: Context, task_id: str, states: Mapping[str, TaskRow]) -> Mapping[str, Any] | None:
    """The result of a task that succeeded. A result that Airflow still keeps of a cleared try does not count."""
    row = states.get(task_id)
    ended = row is None or row.state in ("success", "failed")
    return pulled(context, task_id) if ended else None


def unsettled(earlier: StoreOutcome, row: TaskRow) -> StoreOutcome:
    """The outcome of a store whose push task left no result.

    :param earlier: the outcome from an earlier task.
    """
    why = row.why or f"its task {row.task_id} ({row.state or 'not run'}) left no result, so what it holds is unknown"
    return StoreOutcome(earlier.label, earlier.target, "unknown", problem=f"{why} (before that: {earlier.result})")


def webhook_at_end(
    hook: FeaturebaseHook,
    plan: RotationPlan | None,
    rotated: RotationOutcome | None,
    history: History | None,
    *,
    ask_log: bool,
    say: Callable[..., Any],
) -> EndState:
    """The webhook's state at the end, and the time: Featurebase's, or the local one if that is unknown.

    The report is written even if the webhook can't be read.

    :param ask_log: whether the refreshes since the plan are read from Featurebase's audit log, too.
    :param say: takes a format and its arguments if Featurebase can't be read.
    """
    here = datetime.now(tz=timezone.utc)
    if plan is None:
        return EndState(here)
    client: Client | None = None
    try:
        with hook.get_conn() as client:
            webhook = current_webhook(client, plan, rotated, history)
            log = read_refreshes_since(client, plan) if ask_log else None
            failing = webhook.health.consecutive_failures
            return EndState(
                client.clock.now(), webhook.fingerprint, one_line(webhook.status, 20), failing=failing, log=log
            )
    except FeaturebaseError as exc:
        say("Featurebase could not be read for the report: %s", exc.summary if isinstance(exc, ApiError) else exc)
        at = client.clock.now() if client is not None else here
        unread = RefreshesSincePlan(problem="Featurebase could not be read") if ask_log else None
        return EndState(at, gone=isinstance(exc, WebhookNotFound), log=unread)


def current_webhook(
    client: Client, plan: RotationPlan, rotated: RotationOutcome | None, history: History | None = None
) -> Webhook:
    """Read the webhook with Featurebase's current secret; stale reads are repeated.

    :raises StaleRead: Featurebase keeps showing a secret that this Dag run, or another one, saw replaced.
    :raises SecretMissing: the response contains no secret.
    :raises ApiError: Featurebase could not be read.
    """
    order = order_of(plan, rotated, history, client.clock.now())
    return read_current(client, plan.webhook_id, order, patience=STALE_SECONDS)

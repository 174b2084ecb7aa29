"""What the rotation's operators share: the connection, this Dag run's plan, and how errors end a task."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar

from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.definitions.context import render_template_to_string

from featurebase_provider import airflow_compat, featurebase, operators, rotation
from featurebase_provider.airflow_compat import (
    AirflowFailException,
    AirflowSkipException,
    TaskAwaitingInput,
    TaskDeferred,
)
from featurebase_provider.hooks import DEFAULT_CONN_ID
from featurebase_provider.late import load_all
from featurebase_provider.operators.assets import plan_asset, report_asset
from featurebase_provider.operators.links import FeaturebaseWebhookLink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import jinja2
    from airflow.sdk import Context

    from featurebase_provider.hooks.featurebase import FeaturebaseHook
    from featurebase_provider.rotation.found import Found
    from featurebase_provider.rotation.history import History
    from featurebase_provider.rotation.memory import WebhookMemory
    from featurebase_provider.rotation.plan import RotationPlan
    from featurebase_provider.rotation.rotate import RotationOutcome


log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def task_errors(state: str = "", if_deleted: str | None = None) -> Iterator[None]:
    """Fail the task without retries if a retry can't help; let Airflow retry every other error.

    :param state: what state things are in if a call to Featurebase has no effect, or a store or a record fails;
        default: nothing was changed.
    :param if_deleted: what to do if the webhook was deleted; default: to remove it from the rotation file.
    """
    try:
        yield
    except featurebase.FeaturebaseError as exc:
        if state and isinstance(exc, featurebase.ApiError | rotation.errors.MemoryUnknown | rotation.errors.StoreError):
            exc.state = state
        if if_deleted is not None and isinstance(exc, featurebase.WebhookNotFound):
            exc.advise_if_deleted(if_deleted)
        if exc.retry_helps:
            raise
        raise AirflowFailException(str(exc)) from exc


def without_frames(method: Callable[P, R]) -> Callable[P, R]:
    """Make a method that Airflow calls fail with the error's message alone.

    Airflow's log would show our frames, and then the cause with the same message. The message says all that a person
    needs. At DEBUG the task's log has the frames too. An error that nobody foresaw keeps its frames.
    """

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except (AirflowFailException, featurebase.FeaturebaseError) as exc:
            log.debug("Where the error came from", exc_info=exc)
            raise exc.with_traceback(None) from None

    return call


class FeaturebaseOperator(BaseOperator):
    """Base class of the operators that work on one webhook.

    :param webhook_id: the webhook's id, 24 hex digits. (templated)
    :param featurebase_conn_id: id of the Airflow connection to Featurebase. (templated)
    :param webhook: the webhook's name in the rotation file, used for its assets and stats. Default: the id.
    :param plan_task_id: the preflight task whose plan is used, or None to work without a plan.
    :param dashboard_url: the webhook's page in the Featurebase dashboard, for the task's link; ``{webhook_id}``
        in it is replaced.
    """

    template_fields: Sequence[str] = ("webhook_id", "featurebase_conn_id")
    operator_extra_links: tuple[BaseOperatorLink, ...] = (FeaturebaseWebhookLink(),)
    ui_color = "#eef0ff"

    def __init__(
        self,
        *,
        webhook_id: str = "",
        featurebase_conn_id: str = DEFAULT_CONN_ID,
        webhook: str | None = None,
        plan_task_id: str | None = None,
        dashboard_url: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not (webhook_id or plan_task_id or self.finds_webhook):
            raise ValueError(
                f"{type(self).__name__} {self.task_id} has no webhook_id, and no plan_task_id to take it from"
            )
        # The tasks of a rotation need each other's results, so default_args must not switch XCom off.
        self.do_xcom_push = True
        self.webhook_id = webhook_id
        self.featurebase_conn_id = featurebase_conn_id
        self.webhook = webhook
        self.plan_task_id = plan_task_id
        self.dashboard_url = dashboard_url

    @without_frames
    def execute(self, context: Context) -> Any:
        """Do the task's work."""
        with self.ending(context):
            if not (self.webhook_id or self.plan_task_id or self.finds_webhook):
                raise rotation.errors.PlanRefused("(none)", "webhook_id is empty once rendered; nothing was changed")
            return self.run(context)

    @property
    def is_of_pair(self) -> bool:
        """Whether the task is about a pair of webhooks."""
        return False

    @contextmanager
    def ending(self, context: Context) -> Iterator[None]:
        """Record how the task ends for the report and for Airflow's stats, and convert errors for Airflow."""
        count = airflow_compat.count  # loaded now: after the task's work nothing may fail to load
        if self.loads_first:
            load_all(operators, rotation)
        self.learn_webhook(context)
        result = "failed"
        try:
            with (
                operators.finding.leaving_word(context, self.found_json),
                task_errors(self.state_if_it_fails(context), rotation.errors.HALF_DELETED if self.is_of_pair else None),
            ):
                yield
            result = "done"
        except AirflowSkipException:
            result = "skipped"
            raise
        except (TaskDeferred, TaskAwaitingInput):
            result = "deferred"
            raise
        finally:
            count(f"featurebase.{self.stat}", {"webhook": self.display_name, "result": result})

    found: Found | None = None
    """What the task found before anything was changed; the report shows it, see :mod:`.finding`."""

    def found_json(self) -> dict[str, Any] | None:
        """``found`` as a JSON-ready mapping, or None."""
        return self.found.as_json() if self.found is not None else None

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """Render to text, even in a Dag that renders to native objects: an id made of digits must stay text."""
        if not isinstance(content, str):
            return super().render_template(content, context, jinja_env, seen_oids)
        env = context["dag"].get_template_env(force_sandboxed=True)
        return render_template_to_string(env.from_string(content), context)

    def learn_webhook(self, context: Context) -> None:
        """Take the webhook's id from the plan, if the configuration names the webhook in another way."""
        self.webhook_id = self.webhook_id or str(
            (operators.context.pulled(context, self.plan_task_id) or {}).get("webhook_id") or ""
        )

    finds_webhook: ClassVar[bool] = False
    """Whether the task finds out the webhook's id itself."""
    loads_first: ClassVar[bool] = False
    """Whether everything is loaded before the task begins, for a task that changes a webhook: what comes after the
    change must not wait for a module, or fail because it does not load. Others load what they use."""
    stat: ClassVar[str] = "task"
    """Names the task's counter in Airflow's stats: ``featurebase.<stat>``."""

    def run(self, context: Context) -> Any:
        """Do the task's work."""
        raise NotImplementedError

    def state_if_it_fails(self, context: Context) -> str:
        """What state things are in if a call to Featurebase fails here; empty means that nothing was changed."""
        return ""

    @property
    def display_name(self) -> str:
        """The webhook's name in the rotation file, or its id."""
        return self.webhook or self.webhook_id

    @property
    def hook(self) -> FeaturebaseHook:
        """The hook for the task's connection."""
        from featurebase_provider.hooks.featurebase import FeaturebaseHook

        return FeaturebaseHook(self.featurebase_conn_id)

    def plan(self, context: Context) -> RotationPlan:
        """The plan that preflight recorded for this Dag run.

        :raises PlanUnreadable: there is no plan, or it belongs to another webhook.
        """
        return self._checked(
            rotation.plan.RotationPlan.from_json(
                operators.context.result_of(context, self.plan_task_id), webhook_id=self.webhook_id
            )
        )

    def plan_key(self, context: Context) -> str:
        """The key of this task's plan: its preflight's plan, or its own if it works alone."""
        ti = context["ti"]
        return rotation.memory.plan_key(ti.dag_id, self.plan_task_id or ti.task_id, airflow_compat.branch_of(context))

    def rotate_was_started(self, context: Context, rotate_task_id: str | None, history: History) -> bool:
        """Whether any record shows that this Dag run's rotate task was started before."""
        states = {task_id: state for task_id, state, _ in airflow_compat.task_rows(context)}
        return states.get(str(rotate_task_id)) in operators.context.STARTED or history.tells_of(
            operators.context.this_run(context)
        )

    def recall(
        self, context: Context, memory: WebhookMemory, *, strict: bool = False, plan_keys: Sequence[str] = ()
    ) -> History:
        """What earlier runs recorded about the webhook.

        :param plan_keys: keys of other tasks' plans to read too.
        :param strict: True raises an error for a record that can't be read; False logs it and goes on without it.
        :raises MemoryUnknown: a record can't be read, and ``strict`` is on.
        """
        name = self.display_name
        return rotation.memory.recall(
            memory,
            plan_keys=[self.plan_key(context), *plan_keys],
            plans_in=self.pair_memory(context, memory.host),
            events=lambda: operators.memory.events_of(report_asset(name), plan_asset(name)),
            tolerate=None if strict else self.warn_unknown,
        )

    def pair_memory(self, context: Context, host: str) -> WebhookMemory | None:
        """The records of the pair, which hold its plans; None for a single webhook."""
        return None

    def warn_unknown(self, problem: rotation.errors.MemoryUnknown) -> None:
        """Log that a record of earlier runs can't be read, if the task continues without it."""
        to_do = "" if problem.retry_helps else f". {problem.advice}"
        self.log.warning("%s. This task continues without it%s", problem.summary, to_do)

    def _checked(self, plan: RotationPlan) -> RotationPlan:
        if self.webhook_id and plan.webhook_id.lower() != self.webhook_id.lower():
            raise rotation.errors.PlanUnreadable(
                self.webhook_id,
                f"the plan in this Dag run belongs to webhook {plan.webhook_id}, not to this task's webhook; nothing "
                "was changed. Check that preflight and this task name the same webhook",
            )
        return plan

    def check_single(self, plan: RotationPlan) -> None:
        """Check that a run that is under way was not planned for a pair, before the rotation file named one webhook.

        Its webhook may be the paused one, whose secret must not replace that of the one that delivers.

        :raises PlanUnreadable: it was.
        """
        if plan.pair is not None and not plan.is_emergency:
            raise rotation.errors.PlanUnreadable(
                plan.webhook_id,
                "the plan of this Dag run was made for a pair, before the rotation file named a single webhook; this "
                "try changed nothing. Trigger a new run",
            )

    def rotation(self, context: Context, task_id: str | None) -> RotationOutcome | None:
        """Rotate's result in this Dag run; None for a task that works alone.

        :raises PlanUnreadable: as :meth:`rotated`.
        """
        return self.rotated(context, task_id) if task_id is not None else None

    def rotated(self, context: Context, task_id: str) -> RotationOutcome:
        """Rotate's result in this Dag run.

        :raises PlanUnreadable: rotate left no result, or it belongs to another webhook.
        """
        rotated = rotation.rotate.RotationOutcome.from_json(
            operators.context.result_of(context, task_id), webhook_id=self.webhook_id
        )
        self._checked(rotated.plan)
        return rotated

    def left_by_rotate(self, context: Context, task_id: str | None) -> RotationOutcome | None:
        """Rotate's result in this Dag run, or None if it left none.

        :raises PlanUnreadable: the result is invalid, or belongs to another webhook.
        """
        return (
            self.rotated(context, task_id)
            if task_id and operators.context.result_of(context, task_id) is not None
            else None
        )

    def plan_left_by_rotate(self, context: Context, task_id: str | None) -> RotationPlan | None:
        """The plan in rotate's result in this Dag run, or None if it left none.

        :raises PlanUnreadable: as :meth:`left_by_rotate`.
        """
        rotated = self.left_by_rotate(context, task_id)
        return rotated.plan if rotated is not None else None

    def time(self, what: str, milliseconds: float) -> None:
        """Report a duration to Airflow's stats as ``featurebase.<what>``."""
        airflow_compat.time_milliseconds(f"featurebase.{what}", milliseconds, {"webhook": self.display_name})

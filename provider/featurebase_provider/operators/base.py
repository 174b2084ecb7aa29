"""What the rotation's operators share: who they talk to, what this Dag run's plan is, how errors end a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, cast

from airflow.sdk import BaseOperator
from airflow.sdk.definitions.context import render_template_to_string

from featurebase_provider.airflow_compat import (
    AirflowFailException,
    AirflowSkipException,
    TaskDeferred,
    branch_of,
    count,
    task_rows,
    time_milliseconds,
)
from featurebase_provider.featurebase.errors import ApiError, FeaturebaseError
from featurebase_provider.hooks.featurebase import DEFAULT_CONN_ID, FeaturebaseHook
from featurebase_provider.operators.assets import plan_asset, report_asset
from featurebase_provider.operators.finding import leaving_word
from featurebase_provider.operators.links import FeaturebaseWebhookLink
from featurebase_provider.operators.memory import events_of
from featurebase_provider.rotation.asked import check_asked
from featurebase_provider.rotation.errors import MemoryUnknown, PlanRefused, PlanUnreadable, StoreError
from featurebase_provider.rotation.memory import plan_key, recall
from featurebase_provider.rotation.one_store import WriteRule
from featurebase_provider.rotation.plan import RotationPlan, ThisRun
from featurebase_provider.rotation.rotate import RotationOutcome
from featurebase_provider.rotation.schedule import RunTiming

if TYPE_CHECKING:
    import jinja2
    from airflow.sdk import Context

    from featurebase_provider.rotation.found import Found
    from featurebase_provider.rotation.history import History
    from featurebase_provider.rotation.memory import WebhookMemory
    from featurebase_provider.rotation.store import Store
    from featurebase_provider.stores.base import StoreConfig

STARTED = frozenset({"running", "success", "failed", "restarting", "up_for_retry", "deferred"})
"""States of a task that was tried."""


@contextmanager
def task_errors(standing: str = "") -> Iterator[None]:
    """End the task for good where a retry can't help; let Airflow retry everything else.

    :param standing: what state things are in if a call to Featurebase takes no effect, or a store or the memory
        fails; default: nothing was changed.
    """
    try:
        yield
    except FeaturebaseError as exc:
        if standing and isinstance(exc, ApiError | MemoryUnknown | StoreError):
            exc.standing = standing
        if exc.retry_helps:
            raise
        raise AirflowFailException(str(exc)) from exc


class FeaturebaseOperator(BaseOperator):
    """Base of the operators that work on one webhook.

    :param webhook_id: the webhook, 24 hex digits. (templated)
    :param featurebase_conn_id: connection to Featurebase. (templated)
    :param webhook: the webhook's name in the rotation file; names its assets and its stats. Default: the id.
    :param plan_task_id: the preflight task whose plan is used, or None to work without.
    :param dashboard_url: the webhook's page in the Featurebase dashboard, for the task's link; ``{webhook_id}``
        in it is replaced.
    """

    template_fields: Sequence[str] = ("webhook_id", "featurebase_conn_id")
    operator_extra_links = (FeaturebaseWebhookLink(),)
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
        # Results are what the tasks of a rotation tell each other; no default_args may take them away.
        self.do_xcom_push = True
        self.webhook_id = webhook_id
        self.featurebase_conn_id = featurebase_conn_id
        self.webhook = webhook
        self.plan_task_id = plan_task_id
        self.dashboard_url = dashboard_url

    def execute(self, context: Context) -> Any:
        """Do the task's work."""
        with self.ending(context):
            if not (self.webhook_id or self.plan_task_id or self.finds_webhook):
                raise PlanRefused("(none)", "webhook_id is empty once rendered; nothing was changed")
            return self.run(context)

    @contextmanager
    def ending(self, context: Context) -> Iterator[None]:
        """Have the report and Airflow's stats told how the task ends, and errors be as Airflow needs them."""
        self.learn_webhook(context)
        result = "failed"
        try:
            with leaving_word(context, self.found_json), task_errors(self.standing(context)):
                yield
            result = "done"
        except AirflowSkipException:
            result = "skipped"
            raise
        except TaskDeferred:
            result = "deferred"
            raise
        finally:
            count(f"featurebase.{self.stat}", {"webhook": self.display_name, "result": result})

    found: Found | None = None
    """What the task found before anything was changed, for the report; see :mod:`.finding`."""

    def found_json(self) -> dict[str, Any] | None:
        """The same, JSON-ready."""
        return self.found.as_json() if self.found is not None else None

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """Render to text, also in a Dag that renders to native objects: an id of digits is no number."""
        if not isinstance(content, str):
            return super().render_template(content, context, jinja_env, seen_oids)
        env = context["dag"].get_template_env(force_sandboxed=True)
        return render_template_to_string(env.from_string(content), context)

    def learn_webhook(self, context: Context) -> None:
        """Take the webhook's id from the plan, where the configuration names the webhook otherwise."""
        self.webhook_id = self.webhook_id or str((pulled(context, self.plan_task_id) or {}).get("webhook_id") or "")

    finds_webhook: ClassVar[bool] = False
    """Whether the task learns the webhook's id by itself."""
    stat: ClassVar[str] = "task"
    """Names the task's counter in Airflow's stats: ``featurebase.<stat>``."""

    def run(self, context: Context) -> Any:
        """Do the task's work."""
        raise NotImplementedError

    def standing(self, context: Context) -> str:
        """What state things are in, should a call to Featurebase fail here; empty: nothing was changed."""
        return ""

    @property
    def display_name(self) -> str:
        """The webhook's name in the rotation file, or its id."""
        return self.webhook or self.webhook_id

    @property
    def hook(self) -> FeaturebaseHook:
        """The hook for the task's connection."""
        return FeaturebaseHook(self.featurebase_conn_id)

    def plan(self, context: Context) -> RotationPlan:
        """The plan that preflight recorded for this Dag run.

        :raises PlanUnreadable: there is none, or it is of another webhook.
        """
        return self._checked(RotationPlan.from_json(result_of(context, self.plan_task_id), webhook_id=self.webhook_id))

    def plan_key(self, context: Context) -> str:
        """Names this task's plan among the webhook's: the one of its preflight, or its own where it works alone."""
        ti = context["ti"]
        return plan_key(ti.dag_id, self.plan_task_id or ti.task_id, branch_of(context))

    def rotate_was_started(self, context: Context, rotate_task_id: str | None, history: History) -> bool:
        """Whether anything tells that this Dag run's rotate task was tried before."""
        states = {task_id: state for task_id, state, _ in task_rows(context)}
        return states.get(str(rotate_task_id)) in STARTED or history.tells_of(this_run(context))

    def recall(
        self, context: Context, memory: WebhookMemory, *, strict: bool = False, plan_keys: Sequence[str] = ()
    ) -> History:
        """What earlier runs tell of the webhook.

        :param plan_keys: plans of other tasks that may tell more.
        :param strict: whether what can't be read is an error; otherwise the log says so, and it tells nothing.
        :raises MemoryUnknown: a record can't be read, and ``strict`` is on.
        """
        name = self.display_name
        return recall(
            memory,
            plan_keys=[self.plan_key(context), *plan_keys],
            events=lambda: events_of(report_asset(name), plan_asset(name)),
            tolerate=None if strict else self.not_told,
        )

    def not_told(self, problem: MemoryUnknown) -> None:
        """Say that something of what earlier runs told is missing, where that holds nothing up."""
        to_do = "" if problem.retry_helps else f". {problem.advice}"
        self.log.warning("%s. This task goes on without it%s", problem.summary, to_do)

    def _checked(self, plan: RotationPlan) -> RotationPlan:
        if self.webhook_id and plan.webhook_id.lower() != self.webhook_id.lower():
            raise PlanUnreadable(
                self.webhook_id,
                f"the plan in this Dag run is of webhook {plan.webhook_id}, so it is not this task's; nothing was "
                "changed. Check that preflight and this task name the same webhook",
            )
        return plan

    def rotation(self, context: Context, task_id: str | None) -> RotationOutcome | None:
        """What rotate left in this Dag run; None for a task that works alone.

        :raises PlanUnreadable: as :meth:`rotated`.
        """
        return self.rotated(context, task_id) if task_id is not None else None

    def rotated(self, context: Context, task_id: str) -> RotationOutcome:
        """What rotate left in this Dag run.

        :raises PlanUnreadable: it left nothing, which is not the same as working alone, or it is of another webhook.
        """
        rotated = RotationOutcome.from_json(result_of(context, task_id), webhook_id=self.webhook_id)
        self._checked(rotated.plan)
        return rotated

    def left_by_rotate(self, context: Context, task_id: str | None) -> RotationOutcome | None:
        """What rotate left in this Dag run, if it did.

        :raises PlanUnreadable: what it left is not its result, or is of another webhook.
        """
        return self.rotated(context, task_id) if task_id and result_of(context, task_id) is not None else None

    def plan_left_by_rotate(self, context: Context, task_id: str | None) -> RotationPlan | None:
        """The plan that rotate's result in this Dag run names, if it left one.

        :raises PlanUnreadable: as :meth:`left_by_rotate`.
        """
        rotated = self.left_by_rotate(context, task_id)
        return rotated.plan if rotated is not None else None

    def time(self, what: str, milliseconds: float) -> None:
        """Report a duration to Airflow's stats as ``featurebase.<what>``."""
        time_milliseconds(f"featurebase.{what}", milliseconds, {"webhook": self.display_name})


def is_later_try(context: Context) -> bool:
    """Whether the task was tried before in this Dag run."""
    return context["ti"].try_number > 1


def this_run(context: Context) -> ThisRun:
    """The running Dag run and try, as far as Airflow tells them."""
    run: Any = context["dag_run"]
    return ThisRun(
        dag_id=context["ti"].dag_id,
        run_id=context["run_id"],
        started=run.start_date.isoformat() if run.start_date is not None else None,
        run_after=run.run_after.isoformat() if run.run_after is not None else None,
        later_try=is_later_try(context),
        cleared=bool(getattr(run, "clear_number", None)),
    )


def timing_of(context: Context) -> RunTiming:
    """When this Dag run was due, and whether by schedule."""
    run: Any = context["dag_run"]
    run_type = str(getattr(run.run_type, "value", run.run_type))
    return RunTiming(run_type == "scheduled", run.run_after, backfill=run_type == "backfill")


def check_conf(context: Context, webhook: str, told: Mapping[str, object], *, strict: bool) -> None:
    """Insist that what somebody asked of the Dag run is what its tasks go by; see :func:`~.rotation.asked.check_asked`.

    :raises PlanRefused: it is not; nothing was changed.
    """
    check_asked(
        webhook,
        getattr(context["dag_run"], "conf", None),
        told,
        params=context["params"],
        declared=list(getattr(context["dag"], "params", ())),
        strict=strict,
    )


def write_rule(plan: RotationPlan, *, also_known: Sequence[str] = ()) -> WriteRule:
    """The terms on which this Dag run may write stores."""
    return WriteRule(
        webhook_id=plan.webhook_id,
        managed_from=this_airflow(),
        known=frozenset({plan.before, *plan.known, *also_known}),
        previous=plan.previous,
        replaces=plan.before if plan.refreshes else None,
        leaked=frozenset(plan.leaked),
    )


def this_airflow() -> str:
    """Which Airflow this is, for the mark in stores: its base URL, else the host name."""
    import socket

    try:
        from airflow.sdk.configuration import conf
    except ImportError:  # before 3.2
        from airflow.configuration import conf

    return str(conf.get("api", "base_url", fallback=None) or socket.gethostname())


def resolve_stores(stores: Sequence[Store | Mapping[str, Any]]) -> tuple[Store, ...]:
    """Turn mappings as in the rotation file into stores; stores stay as they are.

    :raises ConfigError: a mapping is wrong; the message names the field.
    """
    ready = tuple(store for store in stores if not isinstance(store, Mapping))
    if len(ready) == len(stores):
        return ready
    from featurebase_provider.config.inline import parse_stores

    return parse_stores(cast("Sequence[StoreConfig | Mapping[str, Any]]", stores))


def previous_targets(stores: Sequence[Store | Mapping[str, Any]]) -> list[str]:
    """Where these stores keep the previous secret."""
    return [place for store in resolve_stores(stores) if (place := store.previous_target) is not None]


def result_of(context: Context, task_id: str | None) -> Any:
    """A task's result in this Dag run, and in this branch of a mapped task group; None where there is none."""
    if not task_id:
        return None
    branch = branch_of(context)
    if branch is None:
        return context["ti"].xcom_pull(task_ids=task_id)
    return context["ti"].xcom_pull(task_ids=task_id, map_indexes=branch)


def pulled(context: Context, task_id: str | None) -> Mapping[str, Any] | None:
    """A task's result in this Dag run, if it is a mapping."""
    raw = result_of(context, task_id)
    return raw if isinstance(raw, Mapping) else None

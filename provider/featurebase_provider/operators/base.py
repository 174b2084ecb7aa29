"""What the rotation's operators share: who they talk to, what this Dag run's plan is, how errors end a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, cast

from airflow.sdk import Asset, BaseOperator

from featurebase_provider.airflow_compat import (
    AirflowFailException,
    AirflowSkipException,
    TaskDeferred,
    asset_event_extras,
    branch_of,
    count,
    time_milliseconds,
)
from featurebase_provider.featurebase.errors import ApiError, FeaturebaseError
from featurebase_provider.hooks.featurebase import DEFAULT_CONN_ID, FeaturebaseHook
from featurebase_provider.operators.links import FeaturebaseWebhookLink
from featurebase_provider.rotation.convergence import WriteRule
from featurebase_provider.rotation.errors import StoreError
from featurebase_provider.rotation.plan import RotationPlan, is_plan_of, leaked_in
from featurebase_provider.rotation.rotate import RotationOutcome
from featurebase_provider.rotation.schedule import known_fingerprints

if TYPE_CHECKING:
    from airflow.sdk import Context

    from featurebase_provider.rotation.store import Store
    from featurebase_provider.stores.base import StoreConfig

ASSET_PREFIX = "featurebase://webhooks"
CLOCKS_APART = timedelta(days=1)
"""More than Airflow's clock and Featurebase's can be apart, so that no event is missed."""


def plan_asset(name: str) -> Asset:
    """The asset whose events keep the plan of every Dag run, so that no clear or retry takes a new baseline."""
    return _asset(name, "plan")


def secret_asset(name: str) -> Asset:
    """The asset that says that a webhook has a new signing secret, for Dags that restart what reads it."""
    return _asset(name, "signing-secret")


def report_asset(name: str) -> Asset:
    """The asset whose events are the audit trail of a webhook's rotations."""
    return _asset(name, "rotation-report")


def _asset(name: str, what: str) -> Asset:
    return featurebase_asset(f"{ASSET_PREFIX}/{name}/{what}")


def featurebase_asset(uri: str) -> Asset:
    """An asset with a ``featurebase://`` URI."""
    asset = Asset(name=uri, uri=f"x-{uri}", group="featurebase")
    # Any scheme but file and x-... makes Airflow load the asset handlers of all installed providers, boto3 with the
    # amazon one's, each time a Dag file is parsed. Ours needs no handler, so it is put in afterwards.
    object.__setattr__(asset, "uri", uri)
    return asset


@contextmanager
def task_errors(standing: str = "") -> Iterator[None]:
    """End the task for good where a retry can't help; let Airflow retry everything else.

    :param standing: what state things are in if a call to Featurebase takes no effect, or a store fails; default:
        nothing was changed.
    """
    try:
        yield
    except FeaturebaseError as exc:
        if standing and isinstance(exc, ApiError | StoreError):
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
        self.webhook_id = webhook_id
        self.featurebase_conn_id = featurebase_conn_id
        self.webhook = webhook
        self.plan_task_id = plan_task_id
        self.dashboard_url = dashboard_url

    def execute(self, context: Context) -> Any:
        """Do the task's work, with errors as Airflow needs them and a figure for Airflow's stats."""
        result = "failed"
        try:
            with task_errors(self.standing(context)):
                value = self.run(context)
            result = "done"
            return value
        except AirflowSkipException:
            result = "skipped"
            raise
        except TaskDeferred:
            result = "deferred"
            raise
        finally:
            count(f"featurebase.{self.stat}", {"webhook": self.display_name, "result": result})

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

        :raises PlanUnreadable: there is none.
        """
        return RotationPlan.from_json(result_of(context, self.plan_task_id), webhook_id=self.webhook_id)

    def recorded_plan(
        self, context: Context, plans: Sequence[Mapping[str, Any]], rotate_task_id: str | None
    ) -> RotationPlan | None:
        """The plan that this Dag run has recorded already, or None.

        :param plans: the plans to look through; see :func:`plan_extras`.
        :param rotate_task_id: the rotate task of the same Dag run, whose result names the plan that it ran by, where
            the event is gone: asset events can be purged.
        """
        for record in plans:
            if is_plan_of(record, dag_id=context["ti"].dag_id, run_id=context["run_id"]):
                return RotationPlan.from_json(record, webhook_id=self.webhook_id)
        rotated = pulled(context, rotate_task_id)
        if rotated is not None and isinstance(rotated.get("plan"), Mapping):
            return RotationPlan.from_json(rotated["plan"], webhook_id=self.webhook_id)
        return None

    def leaked(self, context: Context, plan: RotationPlan) -> frozenset[str]:
        """Fingerprints that must be left in no store, as the plan and every emergency run since then say.

        Without the plan asset among its inlets the task knows only what the plan says.
        """
        asset = plan_asset(self.display_name)
        if not self._reads(asset):
            return frozenset(plan.leaked)
        since = datetime.fromisoformat(plan.planned_at) - CLOCKS_APART
        return leaked_in(asset_event_extras(context, asset, since=since), plan.webhook_id) | set(plan.leaked)

    def reported(self, context: Context, plan: RotationPlan) -> tuple[str, ...]:
        """Fingerprints of the webhook's secrets that reports tell by now, perhaps more than preflight found.

        What an earlier try wrote may be in the stores still, while its result went when it was cleared. None without
        the report asset among the task's inlets.
        """
        if not self._reads(report_asset(self.display_name)):
            return ()
        return known_fingerprints(report_extras(context, self.display_name), plan.webhook_id)

    def _reads(self, asset: Asset) -> bool:
        return any(getattr(inlet, "name", None) == asset.name for inlet in self.inlets)

    def rotation(self, context: Context, task_id: str | None) -> RotationOutcome | None:
        """What rotate left in this Dag run, or None where it left nothing."""
        raw = result_of(context, task_id)
        return RotationOutcome.from_json(raw, webhook_id=self.webhook_id) if raw is not None else None

    def time(self, what: str, milliseconds: float) -> None:
        """Report a duration to Airflow's stats as ``featurebase.<what>``."""
        time_milliseconds(f"featurebase.{what}", milliseconds, {"webhook": self.display_name})


def is_later_try(context: Context) -> bool:
    """Whether the task was tried before in this Dag run."""
    return (context["ti"].try_number or 1) > 1


def write_rule(plan: RotationPlan, *, also_known: Sequence[str] = ()) -> WriteRule:
    """The terms on which this Dag run may write stores."""
    return WriteRule(
        webhook_id=plan.webhook_id,
        managed_from=this_airflow(),
        known=frozenset({plan.before, *plan.known, *also_known}),
        previous=plan.previous,
        leaked=frozenset(plan.leaked),
    )


def this_airflow() -> str:
    """Which Airflow this is, for the mark in stores: its base URL, else the host name."""
    import socket

    try:
        from airflow.sdk.configuration import conf
    except ImportError:  # before 3.2
        from airflow.configuration import conf

    return str(conf.get("api", "base_url", fallback="") or socket.gethostname())


def resolve_stores(stores: Sequence[Store | Mapping[str, Any]]) -> tuple[Store, ...]:
    """Turn mappings as in the rotation file into stores; stores stay as they are.

    :raises ConfigError: a mapping is wrong; the message names the field.
    """
    ready = tuple(store for store in stores if not isinstance(store, Mapping))
    if len(ready) == len(stores):
        return ready
    from featurebase_provider.config.inline import parse_stores

    return parse_stores(cast("Sequence[StoreConfig | Mapping[str, Any]]", stores))


def plan_extras(context: Context, name: str) -> list[Mapping[str, Any]]:
    """Recorded plans of the webhook, oldest first."""
    return asset_event_extras(context, plan_asset(name))


def report_extras(context: Context, name: str) -> list[Mapping[str, Any]]:
    """Earlier reports of the webhook, oldest first."""
    return asset_event_extras(context, report_asset(name))


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

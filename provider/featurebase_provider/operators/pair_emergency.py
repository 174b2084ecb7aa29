"""Replaces the leaked secrets of a pair in a branch of an emergency run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from featurebase_provider.featurebase.errors import FeaturebaseError, WebhookNotFound
from featurebase_provider.featurebase.text import one_line
from featurebase_provider.operators.context import is_later_try, pulled, this_run
from featurebase_provider.operators.figures import tell_of_stores
from featurebase_provider.operators.pair_emergency_plan import (
    GONE,
    HalvesRead,
    PlannedHalves,
    ids_of,
    plan_both,
    said_of,
)
from featurebase_provider.operators.pair_probe import probe_all
from featurebase_provider.operators.pair_records import recall_pair
from featurebase_provider.operators.stores import this_airflow
from featurebase_provider.rotation.errors import PlanUnreadable
from featurebase_provider.rotation.history import order_of
from featurebase_provider.rotation.one_store import Previous, WriteRule
from featurebase_provider.rotation.pair_emergency import replace_both
from featurebase_provider.rotation.pair_reading import PairReader, PairSource
from featurebase_provider.rotation.pair_report import PairFacts
from featurebase_provider.rotation.plan import RotationPlan
from featurebase_provider.rotation.refresh import CompareAndSwap
from featurebase_provider.rotation.refresh_count import refreshes_by
from featurebase_provider.rotation.rotate import RotationOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from airflow.sdk import Context

    from featurebase_provider.config import WebhookConfig
    from featurebase_provider.featurebase.client import Client
    from featurebase_provider.operators.base import FeaturebaseOperator
    from featurebase_provider.operators.emergency_plan import EmergencyPlanner
    from featurebase_provider.rotation.current import SecretOrder
    from featurebase_provider.rotation.pair_records import PairRecords


def replace_pair(
    planner: EmergencyPlanner,
    client: Client,
    *,
    may_post: Callable[[RotationPlan], None],
    keep: Callable[[RotationOutcome], None],
) -> dict[str, Any]:
    """Refresh both halves, once each, and write the stores.

    :param may_post: called with a half's plan just before its refresh is sent.
    :param keep: records what became of a half.
    :returns: the outcome of the half whose plan is the branch's, and beside it ``halves`` and ``problems``, by id.
    :raises FeaturebaseError: neither half was refreshed; or one was not, and a retry may help.
    """
    task, context, config = planner.task, planner.context, planner.config
    given = _given_plans(task, context)
    main = next(iter(given.values())).webhook_id.lower()
    planned = PlannedHalves(given, {})
    if len(given) < len(ids_of(config)):
        # The other half could not be read before; nothing is lost by another look.
        planned = plan_both(planner, client)
        planned = PlannedHalves({**given, **planned.plans}, planned.problems)
    records = recall_pair(task, context, planner.host, ids_of(config))
    source, rule = _source(client, planned.plans, {}, records, config)
    later, run = is_later_try(context), this_run(context)
    swaps = [
        CompareAndSwap(
            api=client,
            plan=plan,
            grace=config.refresh_grace.total_seconds(),
            later_attempt=later,
            newer=records.histories[half_id].refreshed_after(plan.planned_at),
            say=task.log.warning,
        )
        for half_id, plan in planned.plans.items()
    ]
    both = replace_both(swaps, config.stores, rule, source, server_now=client.clock.now, may_post=may_post)
    tell_of_stores(task.display_name, config.stores, both.stores.values())
    problems = {**planned.problems, **both.problems}
    outcomes = {}
    for half_id, outcome in both.outcomes.items():
        recorded = len(records.histories[half_id.lower()].refreshed_after(outcome.plan.planned_at, by=run.name))
        outcomes[half_id] = replace(outcome, refreshes=refreshes_by(outcome.how, recorded=recorded, later_try=later))
        keep(outcomes[half_id])
    fatal = _fatal(context, outcomes, problems)
    for half_id, problem in problems.items():
        if problem is not fatal:  # Airflow logs the one that is raised
            task.log.error("Webhook %s was not refreshed: %s", half_id, problem)
    if fatal is not None:
        raise fatal
    about = outcomes.get(main) or _unchanged(planned.plans[main], both.stores, client.clock.now())
    return {
        **replace(about, notes=(*about.notes, *_notes(outcomes, problems, main))).as_json(),
        "halves": {half: one.as_json() for half, one in outcomes.items()},
        "problems": {half: said_of(problem) for half, problem in problems.items()},
    }


def _given_plans(task: FeaturebaseOperator, context: Context) -> dict[str, RotationPlan]:
    """The plans that the plan task made, the branch's own first.

    :raises PlanUnreadable: there is none, or one is invalid.
    """
    raw = (pulled(context, task.plan_task_id) or {}).get("halves") or {}
    if not raw:
        raise PlanUnreadable(task.display_name, "the plan task left no plans; clear it")
    return {half_id: RotationPlan.from_json(plan, webhook_id=half_id) for half_id, plan in raw.items()}


def _fatal(
    context: Context, outcomes: Mapping[str, RotationOutcome], problems: Mapping[str, FeaturebaseError]
) -> FeaturebaseError | None:
    """The problem that must end this try; None if the tasks after this one may go on.

    They may once a half was refreshed and no retry can help the other one: the stores must not wait for it.
    """
    left = [problem for problem in problems.values() if not isinstance(problem, WebhookNotFound)]
    ti: Any = context["ti"]
    retry_comes = ti.try_number <= ti.max_tries
    for problem in left:
        if not outcomes or (problem.retry_helps and retry_comes):
            return problem
    return None if outcomes else next(iter(problems.values()))


def _unchanged(plan: RotationPlan, stores: Mapping[str, Any], now: datetime) -> RotationOutcome:
    """The outcome of a half that was not refreshed, beside one that was."""
    return RotationOutcome(plan, "not_asked", plan.before, distributed_at=now.isoformat(), stores=stores)


def _notes(
    outcomes: Mapping[str, RotationOutcome], problems: Mapping[str, FeaturebaseError], main: str
) -> tuple[str, ...]:
    """What became of the half that the report's figures are not about."""
    replaced = [
        f"webhook {half}: secret {one.plan.before} -> {one.after} ({one.how.replace('_', ' ')})"
        for half, one in outcomes.items()
        if half.lower() != main
    ]
    return (*replaced, *(f"webhook {half} was not refreshed: {said_of(problem)}" for half, problem in problems.items()))


def _source(
    client: Client,
    plans: Mapping[str, RotationPlan],
    outcomes: Mapping[str, RotationOutcome],
    records: PairRecords,
    config: WebhookConfig,
) -> tuple[PairSource, WriteRule]:
    """What stores must hold, and the rules for writing them.

    :param outcomes: what rotate did, by webhook id.
    """
    now = client.clock.now()
    orders: dict[str, SecretOrder] = records.orders(now)
    for half_id, plan in plans.items():
        if half_id in outcomes:
            orders[half_id] = order_of(plan, outcomes[half_id], records.histories[half_id], now)
    leaked = records.leaked.union(*(plan.leaked for plan in plans.values()))
    known = frozenset(records.known).union(
        *((plan.before, *plan.known) for plan in plans.values()), *(one.known for one in outcomes.values())
    )
    plan = next(iter(plans.values()))
    source = PairSource(
        PairReader(client, ids_of(config), orders),
        plan,
        records.moves,
        config.previous_for,
        client.clock.now,
        leaked=leaked,
    )
    rule = WriteRule(
        plan.webhook_id,
        this_airflow(),
        known=known,
        previous=Previous.DROP,
        leaked=leaked,
        halves=frozenset(ids_of(config)),
    )
    return source, rule


def source_after(
    task: FeaturebaseOperator, context: Context, client: Client, config: WebhookConfig, rotate_task_id: str
) -> tuple[PairSource, WriteRule]:
    """What stores must hold after rotate, and the rules for writing them.

    :raises PlanUnreadable: rotate left no result, or it is invalid.
    """
    rotated = task.rotated(context, rotate_task_id)
    raw: Mapping[str, Any] = (pulled(context, rotate_task_id) or {}).get("halves") or {}
    outcomes = {half: RotationOutcome.from_json(outcome, webhook_id=half) for half, outcome in raw.items()}
    plans = {rotated.plan.webhook_id: rotated.plan, **{half: outcome.plan for half, outcome in outcomes.items()}}
    records = recall_pair(task, context, rotated.plan.host, ids_of(config))
    return _source(client, plans, outcomes, records, config)


def facts_after(
    task: FeaturebaseOperator, context: Context, config: WebhookConfig, plan: RotationPlan, rotate_task_id: str
) -> PairFacts:
    """Both halves at the end of the branch, and which leaked secrets are still valid."""
    baseline = plan.pair
    was_live = baseline.was_live if baseline is not None else plan.webhook_id
    problems: Mapping[str, str] = (pulled(context, rotate_task_id) or {}).get("problems") or {}
    statuses: dict[str, str] = {}
    gone: tuple[str, ...] = ()
    try:
        with task.hook.get_conn() as client:
            read = HalvesRead.of(client, ids_of(config))
            statuses = {webhook.id: one_line(webhook.status, 20) for webhook in read.pair.webhooks}
            gone = tuple(half for half, problem in read.problems.items() if isinstance(problem, WebhookNotFound))
    except FeaturebaseError as exc:
        task.log.warning("The pair could not be read for the report: %s", exc)
    return PairFacts(
        was_live=was_live,
        moves_to=was_live,
        mode=plan.mode,
        statuses=statuses,
        gone=gone,
        still_valid={half: problem for half, problem in problems.items() if problem != GONE},
    )


def probe_both(
    task: FeaturebaseOperator,
    context: Context,
    config: WebhookConfig,
    rotate_task_id: str,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Probe the receiver with the secret of each half that stores hold now.

    :returns: the outcome for the first of them, and ``halves``: the outcome of each, by id.
    :raises ProbeFailed: the receiver refuses a secret, or verifies nothing.
    :raises ProbeUndecided: no response decided; a retry probes again.
    """
    with task.hook.get_conn() as client:
        source, _ = source_after(task, context, client, config, rotate_task_id)
        pair = source.reader.read()
        _, wanted = source.wanted(pair)
        halves = [half for one in wanted.needed if (half := pair.get(one.webhook_id)) is not None]
        outcomes = probe_all(halves, client, options, task.log.info)
    every = {half_id: outcome.as_json() for half_id, outcome in outcomes.items()}
    result = {**next(iter(every.values())), "receiver_exposure_ms": None, "halves": every}
    context["ti"].xcom_push(key="return_value", value=result)
    for half_id, outcome in outcomes.items():
        if not outcome.passed:
            raise outcome.failure(
                half_id,
                f"{outcome.detail}. Featurebase signs with this secret now, and the old one can't be restored: fix the "
                "receiver, then clear this task",
            )
    return result

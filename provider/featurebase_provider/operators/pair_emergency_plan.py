"""Plans the emergency of a pair: both halves' secrets have leaked, and each is refreshed once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from featurebase_provider.featurebase.errors import FeaturebaseError, WebhookNotFound
from featurebase_provider.operators.context import pulled
from featurebase_provider.operators.memory import PREFLIGHT, memory_of
from featurebase_provider.rotation.current import secret_of
from featurebase_provider.rotation.errors import MemoryUnknown
from featurebase_provider.rotation.memory import plan_key
from featurebase_provider.rotation.moves import pair_id
from featurebase_provider.rotation.pair import Pair
from featurebase_provider.rotation.plan import HalfBaseline, PairBaseline, RotationPlan

if TYPE_CHECKING:
    from featurebase_provider.config import WebhookConfig
    from featurebase_provider.featurebase.client import Client
    from featurebase_provider.operators.emergency_plan import EmergencyPlanner

GONE = "it no longer exists in Featurebase, so its secret is not valid any more"


def ids_of(config: WebhookConfig) -> tuple[str, str]:
    """The ids of both halves, in lower case.

    :raises ValueError: the entry names a single webhook.
    """
    if config.webhook_ids is None:
        raise ValueError(f"the entry {config.name} is no pair")
    first, second = config.webhook_ids
    return first.lower(), second.lower()


@dataclass(frozen=True)
class HalvesRead:
    """Both halves, as far as they could be read.

    :param problems: why a half could not be read, by id.
    """

    pair: Pair
    problems: dict[str, FeaturebaseError]

    @classmethod
    def of(cls, client: Client, ids: tuple[str, str]) -> HalvesRead:
        """Read each of them once."""
        found, problems = [], {}
        for webhook_id in ids:
            try:
                webhook = client.get_webhook(webhook_id)
                secret_of(webhook)
            except FeaturebaseError as exc:
                problems[webhook_id] = exc
            else:
                found.append(webhook)
        return cls(Pair.of(ids, found), problems)

    @property
    def in_order(self) -> list[str]:
        """Ids of the halves that were read, active ones first."""
        return [half.id.lower() for half in sorted(self.pair.webhooks, key=lambda half: half not in self.pair.active)]

    @property
    def baseline(self) -> PairBaseline:
        """Both halves, for the plans."""
        shown = {half_id: HalfBaseline.of(webhook) for half_id, webhook in self.pair.shown.items()}
        return PairBaseline(shown, next(iter(self.in_order), self.pair.ids[0]))


@dataclass
class PlannedHalves:
    """The plans of both halves.

    :param plans: by id, the live half's first; a half that has none can't be planned now.
    :param problems: why, by id.
    """

    plans: dict[str, RotationPlan]
    problems: dict[str, FeaturebaseError]

    def as_json(self) -> dict[str, Any]:
        """The first half's plan, and beside it all plans and problems."""
        return {
            **next(iter(self.plans.values())).as_json(),
            "halves": {half: plan.as_json() for half, plan in self.plans.items()},
            "problems": {half: said_of(problem) for half, problem in self.problems.items()},
        }


def plan_both(planner: EmergencyPlanner, client: Client) -> PlannedHalves:
    """Plan both halves. One that can't be planned does not hold up the other one.

    :raises FeaturebaseError: neither can be planned.
    """
    ids = ids_of(planner.config)
    read = HalvesRead.of(client, ids)
    known = _planned_by_rotation(planner)
    plans: dict[str, RotationPlan] = {}
    problems = dict(read.problems)
    for half_id in read.in_order:
        try:
            plans[half_id] = planner.plan(
                read.pair.shown[half_id],
                client.clock.now(),
                of_result=lambda half_id=half_id: _plan_left(planner, half_id),  # type: ignore[misc]
                known=known.get(half_id, ()),
                pair=replace(read.baseline, refreshes=half_id),
            )
        except FeaturebaseError as exc:
            problems[half_id] = exc
    fatal = None if plans else problems[ids[0]]
    for half_id, problem in problems.items():
        if problem is not fatal:  # Airflow logs the one that is raised
            planner.task.log.error("Webhook %s can't be planned: %s", half_id, problem)
        if isinstance(problem, WebhookNotFound):
            _record_leaked(planner, half_id)
    if fatal is not None:
        raise fatal
    return PlannedHalves(plans, problems)


def _plan_left(planner: EmergencyPlanner, half_id: str) -> RotationPlan | None:
    """The half's plan in the result of the run's rotate task, if it left one."""
    left = ((pulled(planner.context, planner.rotate_task_id) or {}).get("halves") or {}).get(half_id)
    return RotationPlan.from_json(left.get("plan"), webhook_id=half_id) if left else None


def _planned_by_rotation(planner: EmergencyPlanner) -> dict[str, list[str]]:
    """The secrets that the newest plan of the pair's own Dag saw, by half: its run may have left no other record."""
    memory = memory_of(planner.context, planner.host, pair_id(ids_of(planner.config)))
    try:
        plan = memory.plan(plan_key(planner.config.dag_id, PREFLIGHT))
    except MemoryUnknown as exc:
        planner.task.warn_unknown(exc)
        return {}
    halves = plan.pair.webhooks if plan is not None and plan.pair is not None else {}
    return {half_id.lower(): [half.before] for half_id, half in halves.items()}


def _record_leaked(planner: EmergencyPlanner, half_id: str) -> None:
    """Record all known secrets of a half that no longer exists as leaked, so that stores forget them."""
    memory = memory_of(planner.context, planner.host, half_id)
    history = planner.task.recall(planner.context, memory)
    try:
        memory.add_leaked(history.known)
    except MemoryUnknown as exc:
        planner.task.warn_unknown(exc)


def said_of(problem: FeaturebaseError) -> str:
    """Why a half was not refreshed, in words."""
    return GONE if isinstance(problem, WebhookNotFound) else str(problem)

"""Tests that the receiver accepts the secrets of both halves of a pair."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from featurebase_provider import operators, rotation
from featurebase_provider.operators.pair_task import PairTask
from featurebase_provider.operators.probe import ProbeReceiverOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow.sdk import Context

    from featurebase_provider.featurebase.client import Client
    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.probe import ProbeOutcome
    from featurebase_provider.rotation.store import Store


class ProbePairOperator(PairTask, ProbeReceiverOperator):
    """Send harmless events for each half of a pair, with its own id and headers, until none is refused for a while.

    Both halves are probed at the same time. If the receiver refuses one, no delivery was refused: the half that was
    refreshed is still paused. Its secret is then removed from the stores again.

    :param stores: the stores, from which a secret that was refused is removed.
    :returns: the outcome for the half to which deliveries move, and ``halves``: the outcome of each half, by id; None
        for one that was not probed, since the stores need not hold its secret any more.
    """

    def __init__(self, *, stores: Sequence[Store | Mapping[str, Any]] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stores = stores

    def state_if_it_fails(self, context: Context) -> str:
        """Nothing has moved yet."""
        return "The stores hold both secrets, but the receiver was not probed; deliveries go on as before"

    def probe_receiver(self, context: Context, options: Mapping[str, Any]) -> dict[str, Any]:
        """Probe every half whose secret the stores hold."""
        rotated = self.rotated(context, str(self.rotate_task_id))
        plan = rotated.plan
        rotation.pair_records.pair_of(plan)
        with self.hook.get_conn() as client:
            records = self.pair_records(context, plan.host)
            source = records.source(client, plan, self.previous_for, now=client.clock.now, rotated=rotated)
            pair = source.reader.read()
            about, wanted = source.wanted(pair)
            self.check_distributed(context, about)
            halves = [webhook for half in wanted.needed if (webhook := pair.get(half.webhook_id)) is not None]
            outcomes = probe_all(halves, client, options, self.log.info)
            result = {
                **outcomes.get(about.id, next(iter(outcomes.values()))).as_json(),
                "receiver_exposure_ms": None,
                "halves": {
                    webhook.id: outcomes[webhook.id].as_json() if webhook.id in outcomes else None
                    for webhook in pair.webhooks
                },
            }
            context["ti"].xcom_push(key="return_value", value=result)
            for webhook in halves:
                outcome = outcomes[webhook.id]
                if outcome.passed:
                    continue
                if outcome.retry_helps and context["ti"].try_number <= context["ti"].max_tries:
                    back = "A retry probes again, so the stores were left as they are"
                else:
                    back = rotation.take_back.take_back(
                        client,
                        plan,
                        records,
                        operators.stores.resolve_stores(self.stores),
                        self.previous_for,
                        now=client.clock.now,
                        say=self.log.warning,
                    )
                raise outcome.failure(webhook.id, f"{outcome.detail}. {_about_deliveries(webhook, outcome)}. {back}")
        for outcome in outcomes.values():
            self.log.info("Probe passed: %s", outcome.detail)
        return result


def _about_deliveries(webhook: Webhook, outcome: ProbeOutcome) -> str:
    """What a probe that did not pass means for deliveries: none are signed with the secret of a paused half."""
    if webhook.status != "active":
        return "No delivery was refused: deliveries have not moved"
    fails = outcome.result in ("refused", "unreachable")
    return f"Deliveries have not moved{'; this webhook is active, so they fail as this event did' if fails else ''}"


def probe_all(
    halves: Sequence[Webhook], client: Client, options: Mapping[str, Any], say: Callable[[str], None]
) -> dict[str, ProbeOutcome]:
    """Probe these halves at the same time; return each one's outcome, by id."""
    clock = rotation.clock.Clock(wall=lambda: client.clock.now().timestamp())
    said: list[str] = []
    probes = [rotation.probe.Probe(webhook, say=said.append, clock=clock, **options) for webhook in halves]
    with ThreadPoolExecutor(len(probes)) as pool:
        outcomes = pool.map(lambda probe: probe.run(rotation.current.secret_of(probe.webhook)), probes)
        found = {webhook.id: outcome for webhook, outcome in zip(halves, outcomes, strict=True)}
    for line in said:
        say(line)
    return found

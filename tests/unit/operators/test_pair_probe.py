"""What the probe of a pair leaves in the stores, and what it says of deliveries, when it does not pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from featurebase_provider.airflow_compat import AirflowFailException
from featurebase_provider.operators.pair_probe import ProbePairOperator
from featurebase_provider.rotation.clock import Clock
from featurebase_provider.rotation.plan import RotationPlan
from tests.unit.operators.pair_world import PairBehindTheHook
from tests.world.pair_states import A, B

if TYPE_CHECKING:
    from tests.world.running_task import RunningTask


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> PairBehindTheHook:
    """Half A delivers, and nobody waits."""
    monkeypatch.setattr(Clock, "sleep", lambda clock, seconds: None)
    pair = PairBehindTheHook(monkeypatch)
    pair.clock.sleep(86_400.0)
    return pair


@pytest.fixture
def plan(pair: PairBehindTheHook) -> RotationPlan:
    """Of a run that has refreshed half B, and written its secret beside that of half A."""
    plan = pair.kept_plan()
    pair.refresh_standby()
    return plan


def probe(pair: PairBehindTheHook, plan: RotationPlan, try_number: int = 1, *, answers: bool = True) -> RunningTask:
    """A try of the probe task, which has one retry."""
    options = dict(pair.probe_options)
    if not answers:
        options["transport"] = httpx.MockTransport(lambda request: httpx.Response(503))
    arguments = {"rotate_task_id": "rotate", "distributed_task_id": "distributed", "stores": [pair.store]}
    task = pair.task(ProbePairOperator, plan, probe_options=options, retries=1, **arguments)
    task.context["ti"].try_number = try_number
    return task


def test_probe_tells_which_secrets_were_proven(pair: PairBehindTheHook, plan: RotationPlan) -> None:
    result = probe(pair, plan).execute()
    assert result["result"] == "accepted"
    found = {half: outcome["fingerprint"] for half, outcome in result["halves"].items()}
    assert found == {half: api.current.fingerprint for half, api in pair.halves.items()}


@pytest.mark.parametrize("refused", [A, B])
def test_probe_takes_a_refused_secret_back(pair: PairBehindTheHook, plan: RotationPlan, refused: str) -> None:
    """No delivery was refused if the half is paused; and the result stays for the report."""
    pair.accepts.discard(refused)
    task = probe(pair, plan)
    with pytest.raises(AirflowFailException) as caught:
        task.execute()
    what = {A: "this webhook is active, so they fail as this event did", B: "No delivery was refused"}[refused]
    for part in (refused, what, "alone again"):
        assert part in str(caught.value)
    assert ("No delivery was refused" in str(caught.value)) == (refused == B)
    assert pair.held == (pair.secret(A), None)
    assert {outcome["result"] for outcome in task.pushed["return_value"]["halves"].values()} == {"accepted", "refused"}


@pytest.mark.parametrize("try_number", [1, 2])
def test_probe_leaves_the_stores_alone_while_a_retry_may_pass(
    pair: PairBehindTheHook, plan: RotationPlan, try_number: int
) -> None:
    """The receiver gave no answer: a retry would find it without the secret that it is to accept."""
    task = probe(pair, plan, try_number, answers=False)
    with pytest.raises(Exception, match="A retry probes again" if try_number == 1 else "alone again"):
        task.execute()
    assert pair.held == (pair.secret(A), pair.secret(B) if try_number == 1 else None)
    if try_number == 1:
        assert probe(pair, plan, try_number=2).execute()["result"] == "accepted"


def test_probe_does_not_say_that_deliveries_fail_that_nobody_signs(pair: PairBehindTheHook, plan: RotationPlan) -> None:
    """A person has refreshed the half that is paused still."""
    task = probe(pair, plan)
    task.results["distributed"] = {"fingerprint": "sha256:before"}
    with pytest.raises(AirflowFailException, match=rf"secret is {pair.halves[B].current.fingerprint} now\. It was"):
        task.execute()

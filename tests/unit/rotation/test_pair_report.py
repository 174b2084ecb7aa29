"""The advice at the end of a pair's run claims only what was seen."""

from __future__ import annotations

from typing import Any

import pytest

from featurebase_provider.rotation.advice import Outcome
from featurebase_provider.rotation.all_stores import StoreOutcome
from featurebase_provider.rotation.errors import HALF_DELETED
from featurebase_provider.rotation.pair_report import PairFacts
from tests.world.pair_states import A, B

LEFT = StoreOutcome("vault", "vault://x", "failed", problem="no answer")


def facts(a: str | None = "active", b: str | None = "paused", **changes: Any) -> PairFacts:
    statuses = {half: status for half, status in ((A, a), (B, b)) if status is not None}
    return PairFacts(**{"was_live": A, "moves_to": B, "mode": "rotate", "statuses": statuses, **changes})


@pytest.mark.parametrize(
    ("given", "outcome", "says", "never"),
    [
        (facts("paused", "active", keeps_until="T"), "rotated", "both secrets until T", "Nothing to do."),
        (facts("paused", "active"), "distributed", "Nothing to do.", "until"),
        (facts("active", "active"), "distributed", "Pause one of the webhooks", "Clear the failed task"),
        (facts("active", "active", moves_to=A), "distributed", "no run has begun", "had moved"),
        (facts("active", "active"), "rotated", "after this run had moved the deliveries", "no run has begun"),
        (facts("active", "active"), "distribution_failed", "Both webhooks deliver", "Nothing to do"),
        (facts("paused", "paused"), "rotated", "No webhook of the pair is active", "Nothing to do"),
        (facts("paused", None), "distribution_failed", "No webhook of the pair is active", "delivers as before"),
        (facts(None, None), "distribution_failed", "not known which webhook delivers", "delivers as before"),
        (facts(), "distribution_failed", f"No delivery was refused: webhook {A} delivers as before", "Both"),
        # A person has refreshed it, say: receivers refused its deliveries, and may do so still.
        (facts(moves_to=A, mode="distribute"), "distribution_failed", "this run moved no deliveries", "was refused"),
        (facts(moves_to=A, mode="distribute"), "distribution_failed", "Not known to hold both secrets: vault", "Both"),
        (facts(activated_at="T"), "distribution_failed", f"did not move: webhook {A} delivers", "was refused"),
        (facts(activated_at="T"), "distribution_failed", "The stores keep both secrets", "alone"),
        (facts("paused", "active", keeps_until="T"), "distribution_failed", "Until T mode=revert goes back", "refused"),
        (facts(taken_back="The stores hold one secret"), "distribution_failed", "The stores hold one secret.", "vault"),
        (facts(), "distribution_failed", "Not known to hold both secrets: vault", "Nothing"),
        (facts(b=None, gone=(B,)), "webhook_gone", f"Webhook {B} of the pair no longer exists", "Nothing is deliv"),
        (facts(b=None, gone=(B,)), "webhook_gone", f"webhook {A} is active", "clear rotate"),
        (facts(b=None, gone=(B,)), "webhook_gone", HALF_DELETED, "remove the entry"),
        (
            facts(a=None, gone=(A,)),
            "webhook_gone",
            "Nothing is delivered. Trigger",
            "as bef",
        ),
        (facts(a=None, b=None, gone=(A, B)), "webhook_gone", "remove the entry from the rotation file", "stores"),
    ],
)
def test_advice(given: PairFacts, outcome: Outcome, says: str, never: str) -> None:
    advice = given.advise(outcome, cause="probe: the receiver refused", left=[LEFT])
    assert says in advice
    assert never not in advice


def test_rows_and_json() -> None:
    given = facts(polls=3, refused=1)
    assert given.rows["refusals"] == "1 failed deliveries seen in 3 reads"
    assert given.rows["pair"] == f"{A} is active, {B} is paused"
    assert facts(None, None).rows["pair"] == "not read"
    assert given.as_json()["statuses"] == {A: "active", B: "paused"}

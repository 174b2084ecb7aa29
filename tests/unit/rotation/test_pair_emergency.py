"""The rules of an emergency of a pair: what stores must hold, and what the report says."""

from __future__ import annotations

import pytest

from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.rotation.all_stores import StoreOutcome
from featurebase_provider.rotation.errors import SecretHasLeaked
from featurebase_provider.rotation.one_store import WriteRule
from featurebase_provider.rotation.pair import Pair, needed
from featurebase_provider.rotation.pair_report import PairFacts
from featurebase_provider.rotation.store import StoredValue
from featurebase_provider.rotation.two_secrets import TwoSecrets
from tests.world.fakes import a_webhook, fingerprint, secret

ONE, TWO = "1" * 24, "2" * 24


def half(webhook_id: str, held: str, status: str = "active") -> Webhook:
    return a_webhook(f"whsec_{held}", id=webhook_id, status=status)


@pytest.mark.parametrize(
    ("one", "two", "leaked", "expected"),
    [
        (("a", "active"), ("b", "paused"), "b", [ONE]),
        (("a", "active"), ("b", "active"), "b", [ONE, TWO]),
        (("a", "paused"), ("b", "suspended"), "", [ONE, TWO]),
        (("a", "paused"), ("b", "suspended"), "b", [ONE]),
        (("a", "paused"), ("b", "suspended"), "ab", [ONE, TWO]),
    ],
)
def test_whose_secrets_stores_must_hold(
    one: tuple[str, str], two: tuple[str, str], leaked: str, expected: list[str]
) -> None:
    pair = Pair.of((ONE, TWO), [half(ONE, *one), half(TWO, *two)])
    found = needed(pair, "emergency", first=ONE, leaked={fingerprint(name) for name in leaked})
    assert [webhook.id for webhook in found] == expected


def test_a_leaked_secret_that_a_store_lacks_is_left_out_in_an_emergency() -> None:
    halves = [half(ONE, "new"), half(TWO, "leaked")]
    rule = WriteRule(ONE, "", known=frozenset({fingerprint("old")}), leaked=frozenset({fingerprint("leaked")}))
    lacks, holds = StoredValue(secret("old")), StoredValue(secret("old"), secret("leaked"))
    wanted = TwoSecrets.of(halves[0], halves, may_empty=True, spares_leaked=True)
    wanted.check("vault", lacks, rule)
    pair = wanted.pair_for(lacks, rule)
    assert pair is not None
    assert (pair.current, pair.previous) == (secret("new"), None)
    pair = wanted.pair_for(holds, rule)
    assert pair is not None
    assert (pair.current, pair.previous) == (secret("new"), secret("leaked")), "an active half signs with it"
    with pytest.raises(SecretHasLeaked):
        TwoSecrets.of(halves[0], halves, may_empty=True).check("vault", lacks, rule)
    alone = TwoSecrets.of(halves[1], halves[1:], spares_leaked=True)
    with pytest.raises(SecretHasLeaked):
        alone.check("vault", lacks, rule)


def test_the_report_says_whose_secret_is_still_valid() -> None:
    facts = PairFacts(ONE, ONE, "emergency", still_valid={TWO: "Featurebase refused it."})
    text = facts.warn([StoreOutcome("vault", "v", "failed")])
    assert f"THE LEAKED SECRET OF WEBHOOK {TWO} IS STILL VALID: Featurebase refused it. Fix that" in text
    assert "clear rotate and all tasks after it" in text
    assert "vault" in text
    assert facts.as_json()["still_valid"] == {TWO: "Featurebase refused it."}

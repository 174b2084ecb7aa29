from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.cli.webhook_check import WebhookCheck, check_webhook
from featurebase_provider.config.models import WebhookConfig
from featurebase_provider.rotation.errors import StoreUnreachable
from tests.unit.rotation.fakes import WEBHOOK_ID, MemoryStore, a_webhook, api_unreachable, failing, secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from featurebase_provider.featurebase.models import Webhook

OLD = secret("old")


def a_config(*stores: MemoryStore) -> WebhookConfig:
    """A webhook as the rotation file has it, with stores in memory."""
    facts = {"name": "production", "webhook_id": WEBHOOK_ID, "stores": stores}
    return WebhookConfig.model_construct(**facts)


def check(*stores: MemoryStore, reports: Sequence[Mapping[str, Any]] = ()) -> WebhookCheck:
    return check_webhook(a_config(*stores), lambda config: a_webhook("whsec_0"), lambda name: reports)


def test_nothing_to_look_after() -> None:
    found = check(MemoryStore("a", value=secret("0")), MemoryStore("b", readable=False, adopt=True))
    assert (found.name, found.webhook_id, found.fingerprint) == ("production", WEBHOOK_ID, secret("0").fingerprint)
    assert found.findings == ()


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"value": None}, "it holds no secret yet"),
        ({"value": OLD, "adopt": True}, f"it holds another secret ({OLD.fingerprint}) than Featurebase"),
        ({"value": secret("0"), "finished": False}, "what belongs to writing it is not done"),
    ],
)
def test_what_a_push_mends_says_so(facts: dict[str, Any], words: str) -> None:
    (text,) = check(MemoryStore("a", **facts)).findings
    assert text.startswith("store a (memory://a): ")
    assert words in text
    assert "mode distribute" in text


def test_a_value_of_an_earlier_rotation_is_ours() -> None:
    """As for preflight, earlier reports of this webhook tell; another webhook's do not."""
    ours = {"webhook_id": WEBHOOK_ID, "before": OLD.fingerprint}
    (text,) = check(MemoryStore(value=OLD), reports=[ours]).findings
    assert "it holds another secret" in text
    (text,) = check(MemoryStore(value=OLD), reports=[{**ours, "webhook_id": "f" * 24}]).findings
    assert "adopt: true" in text


def test_every_store_with_a_problem_is_a_finding() -> None:
    stores = [MemoryStore("a", arm_error=StoreUnreachable("a", "down")), MemoryStore("b", value=OLD)]
    assert [text.partition(":")[0] for text in check(*stores).findings] == ["store a", "store b (memory"]


@pytest.mark.parametrize("answer", [failing(api_unreachable()), lambda: a_webhook(None)])
def test_stores_are_looked_at_even_where_featurebase_is_not(answer: Any) -> None:
    """No answer, or one without a secret: that is the finding; values are not judged."""

    def read(config: WebhookConfig) -> Webhook:
        webhook: Webhook = answer()
        return webhook

    found = check_webhook(a_config(MemoryStore(value=OLD)), read, lambda name: ())
    assert found.fingerprint is None
    assert found.problem is not None
    assert found.findings == (found.problem,)
    assert [store.holding for store in found.stores] == ["not_compared"]

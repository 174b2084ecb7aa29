from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.cli.webhook_check import WebhookCheck, check_webhook
from featurebase_provider.config.models import WebhookConfig
from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import MemorySpoilt, StoreUnreachable
from featurebase_provider.rotation.history import History
from tests.world.fakes import WEBHOOK_ID, MemoryStore, a_webhook, api_unreachable, failing, secret

if TYPE_CHECKING:
    from featurebase_provider.featurebase.models import Webhook

OLD = secret("old")
HOST = "https://do.featurebase.app"
NOTHING = History(WEBHOOK_ID)


def a_config(*stores: MemoryStore) -> WebhookConfig:
    """A webhook as the rotation file has it, with stores in memory."""
    facts = {"name": "production", "webhook_id": WEBHOOK_ID, "stores": stores}
    return WebhookConfig.model_construct(**facts)


def check(*stores: MemoryStore, history: History = NOTHING) -> WebhookCheck:
    return check_webhook(a_config(*stores), lambda config: (a_webhook("whsec_0"), HOST), lambda *asked: history)


def test_nothing_to_look_after() -> None:
    found = check(MemoryStore("a", value=secret("0")), MemoryStore("b", readable=False, adopt=True))
    assert (found.name, found.webhook_id, found.fingerprint) == ("production", WEBHOOK_ID, secret("0").fingerprint)
    assert found.findings == ()


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"value": None}, "it holds no secret yet"),
        ({"value": OLD, "adopt": True}, f"it holds another secret ({OLD.fingerprint}) than Featurebase"),
        ({"value": secret("0"), "finished": False}, "a step after the write is not done"),
    ],
)
def test_what_a_push_mends_says_so(facts: dict[str, Any], words: str) -> None:
    (text,) = check(MemoryStore("a", **facts)).findings
    assert text.startswith("store a (memory://a): ")
    assert words in text
    assert "mode=distribute" in text


@pytest.mark.parametrize("told", ["known", "leaked"])
def test_a_value_of_an_earlier_run_is_ours(told: str) -> None:
    """As for preflight: a plan tells of a run that died, and what has leaked is ours to replace."""
    (text,) = check(MemoryStore(value=OLD), history=History(WEBHOOK_ID).knowing(**{told: [OLD.fingerprint]})).findings
    assert "it holds another secret" in text
    (text,) = check(MemoryStore(value=OLD)).findings
    assert "adopt: true" in text


def test_the_history_is_asked_of_the_webhook_that_was_read() -> None:
    asked: list[Any] = []
    config = a_config(MemoryStore(value=secret("0")))

    def history_of(*arguments: Any) -> History:
        asked.append(arguments)
        return History(WEBHOOK_ID)

    check_webhook(config, lambda config: (a_webhook("whsec_0"), HOST), history_of)
    assert asked == [(config, HOST, WEBHOOK_ID)]


def test_a_spoilt_memory_is_a_finding() -> None:
    def history_of(*arguments: Any) -> History:
        raise MemorySpoilt(WEBHOOK_ID, "featurebase_rotation__x__history", "holds something else")

    found = check_webhook(a_config(MemoryStore(value=OLD)), lambda config: (a_webhook("whsec_0"), HOST), history_of)
    assert "featurebase_rotation__x__history" in found.findings[0]
    assert found.fingerprint == secret("0").fingerprint


def test_white_space_around_the_secret_is_a_finding_of_its_own() -> None:
    padded = MemoryStore("a", value=SigningSecret(f"{secret('0').reveal()}\n"))
    (found,) = check(padded).findings
    assert "it holds Featurebase's secret with white space around it (such as a line break)" in found
    assert "mode=distribute" in found


def test_every_store_with_a_problem_is_a_finding() -> None:
    stores = [MemoryStore("a", arm_error=StoreUnreachable("a", "down")), MemoryStore("b", value=OLD)]
    assert [text.partition(":")[0] for text in check(*stores).findings] == ["store a", "store b (memory"]


@pytest.mark.parametrize("answer", [failing(api_unreachable()), lambda: a_webhook(None)])
def test_stores_are_looked_at_even_where_featurebase_is_not(answer: Any) -> None:
    """No answer, or one without a secret: that is the finding; values are not judged."""

    def read(config: WebhookConfig) -> tuple[Webhook, str]:
        return answer(), HOST

    found = check_webhook(a_config(MemoryStore(value=OLD)), read, lambda *asked: History(WEBHOOK_ID))
    assert found.fingerprint is None
    assert found.problem is not None
    assert found.findings == (found.problem,)
    assert [store.holding for store in found.stores] == ["not_compared"]
